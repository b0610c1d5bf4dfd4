//! What administrators and their tools do: shared-secret registration, and the command line beside the server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use homeroom::{config::RegistrationMode, users::to_hex};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::harness::{Client, PASSWORD, Server};

const REGISTER: &str = "/_synapse/admin/v1/register";

async fn server() -> Server {
    Server::with(|config| {
        config.registration.mode = RegistrationMode::Closed;
        config.registration.shared_secret = Some("between us".into());
    })
    .await
}

fn mac(parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(b"between us").unwrap();
    mac.update(parts.join("\0").as_bytes());
    to_hex(&mac.finalize().into_bytes())
}

async fn nonce(server: &Server) -> String {
    server.anonymous().get(REGISTER).await.ok()["nonce"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_shared_secret_makes_accounts_in_every_mode() {
    let server = server().await;
    let first = nonce(&server).await;
    let body = |nonce: &str, admin: bool, mac: String| json!({ "nonce": nonce, "username": "anna", "password": PASSWORD, "admin": admin, "mac": mac, "displayname": "Anna" });
    let code = |nonce: &str, admin: &str| mac(&[nonce, "anna", PASSWORD, admin]);
    let client = server.anonymous();
    let made_up = body("made up", false, code("made up", "notadmin"));
    client.post(REGISTER, made_up).await.refused(400, "M_UNKNOWN");
    // Whoever may make accounts does not thereby make administrators of them.
    let raised = body(&first, true, code(&first, "notadmin"));
    client.post(REGISTER, raised).await.refused(403, "M_FORBIDDEN");
    // A nonce is good for one attempt.
    client.post(REGISTER, body(&first, false, code(&first, "notadmin"))).await.refused(400, "M_UNKNOWN");
    let second = nonce(&server).await;
    let made = client.post(REGISTER, body(&second, true, code(&second, "admin"))).await.ok();
    assert_eq!((&made["user_id"], &made["home_server"]), (&json!("@anna:school.example"), &json!("school.example")));
    let mut anna = server.anonymous();
    anna.token = made["access_token"].as_str().unwrap().to_owned();
    anna.get("/_matrix/client/v3/account/whoami").await.ok();
    let (_, _, account) = server.app().services().users.accounts.meant("anna").await.unwrap().unwrap();
    assert!(account.admin);
    let name = client.get("/_matrix/client/v3/profile/@anna:school.example/displayname").await.ok();
    assert_eq!(name["displayname"], "Anna");
}

/// Sends orders to the socket, as `homeroom user` does, on a thread of its own.
async fn order(server: &Server, orders: Vec<Value>) -> Vec<Value> {
    let path = server.folder().join("admin.sock");
    let told = tokio::task::spawn_blocking(move || {
        let mut stream = BufReader::new(UnixStream::connect(path).unwrap());
        let mut answers = Vec::new();
        for order in orders {
            writeln!(stream.get_mut(), "{order}").unwrap();
            let mut answer = String::new();
            stream.read_line(&mut answer).unwrap();
            answers.push(serde_json::from_str(&answer).unwrap());
        }
        answers
    });
    told.await.unwrap()
}

#[tokio::test]
async fn orders_reach_the_running_server() {
    let server = server().await;
    let add = json!({ "order": "add", "name": "anna", "password": PASSWORD, "admin": false });
    let answers = order(&server, vec![add.clone(), add, json!({ "order": "list", "after": null })]).await;
    assert_eq!(answers[0], json!({ "done": "@anna:school.example" }));
    assert!(answers[1]["failed"].is_string());
    assert_eq!(answers[2]["accounts"]["accounts"][0]["user_id"], "@anna:school.example");
    let anna = Client::login(&server, "anna").await;
    let reset = json!({ "order": "reset_password", "user": "anna", "password": "another battery" });
    order(&server, vec![reset]).await;
    anna.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    let answers = order(&server, vec![json!({ "order": "deactivate", "user": "anna" })]).await;
    assert_eq!(answers[0], json!({ "done": "@anna:school.example" }));
}
