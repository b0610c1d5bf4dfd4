//! The server as a process: signals, exit codes, what it says.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running `homeroom serve`.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    folder: tempfile::TempDir,
}

fn start(listen: &str) -> Process {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\nname = \"school.example\"\n[listen]\nclient = \"{listen}\"\n[database]\npath = \"data\"\n\
         durability = \"os\"\n[registration]\nmode = \"open\"\n[passwords]\nmemory = \"8 KiB\"\niterations = 1\n"
    );
    let file = folder.path().join("homeroom.toml");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_homeroom"))
        .args(["serve", "--config"])
        .arg(file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    Process { child, log, folder }
}

impl Process {
    /// Reads the log until a line holds `text`; that line.
    fn line_with(&mut self, text: &str) -> String {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if line.contains(text) {
                return line;
            }
            line.clear();
        }
        panic!("the log ended without {text:?}");
    }

    /// The address clients reach it at, once it is ready.
    fn url(&mut self) -> String {
        let line = self.line_with(" ready ");
        let address = line.split("client=").nth(1).unwrap().split_whitespace().next().unwrap();
        format!("http://{address}")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only where the test failed before the server ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn both_signals_end_it_in_time_with_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = start("127.0.0.1:0");
        let url = server.url();
        let http = reqwest::Client::new();
        let body =
            serde_json::json!({ "username": "anna", "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        let answer = http.post(format!("{url}/_matrix/client/v3/register")).json(&body).send().await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        let sync = |query: &str| {
            let request = http.get(format!("{url}/_matrix/client/v3/sync{query}"));
            request.bearer_auth(answer["access_token"].as_str().unwrap()).send()
        };
        let first: serde_json::Value = sync("").await.unwrap().json().await.unwrap();
        let waiting = tokio::spawn(sync(&format!("?timeout=30000&since={}", first["next_batch"].as_str().unwrap())));
        // Answered after the poll's request was sent on another connection; it may still be on its way, which is fine.
        sync("").await.unwrap();

        let started = Instant::now();
        server.signal(signal);
        server.line_with("stopped");
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        drop(waiting.await);
        assert!(!server.folder.path().join("data/admin.sock").exists());
    }
}

#[test]
fn what_keeps_it_from_starting_is_said_with_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = start(&taken.local_addr().unwrap().to_string());
    server.line_with("cannot listen on");
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
}
