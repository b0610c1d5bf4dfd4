//! `homeroom demo`: a server to try out.

use std::{path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

#[tokio::test]
async fn the_demo_prints_accounts_that_can_sign_in_and_leaves_nothing() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeroom"));
    command.args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut base, mut accounts, mut file) = (String::new(), Vec::new(), String::new());
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once("runs at ") {
            address.split(". ").next().unwrap().clone_into(&mut base);
        }
        if let Some((part, rest)) = line.split_once('@') {
            let mut rest = rest.split_whitespace();
            let (user_id, password) = (format!("@{}", rest.next().unwrap()), rest.next().unwrap().to_owned());
            accounts.push((part.trim().to_owned(), user_id, password));
        }
        if let Some((_, rest)) = line.split_once("--config ") {
            rest.split_whitespace().next().unwrap().clone_into(&mut file);
        }
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    crate::harness::install_provider();
    let http = reqwest::Client::new();
    for wanted in ["admin", "head", "safeguarding lead", "teacher", "pupil", "guardian"] {
        let (_, user_id, password) = accounts.iter().find(|(part, ..)| part == wanted).unwrap();
        let identifier = json!({ "type": "m.id.user", "user": user_id });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        let answer = http.post(format!("{base}/_matrix/client/v3/login")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{wanted}");
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        let audit = http.get(format!("{base}/_homeroom/v1/audit")).bearer_auth(token).send().await.unwrap();
        let may = ["admin", "safeguarding lead"].contains(&wanted);
        assert_eq!(audit.status() == 200, may, "{wanted}");
    }
    assert!(Path::new(&file).exists());
    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert!(!Path::new(&file).parent().unwrap().exists());
}
