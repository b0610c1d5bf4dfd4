//! A disk that is full: the server stops acknowledging, says so, and loses nothing.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Process, escape, write_config};

/// No file may grow beyond a few hundred kilobytes: the write-ahead log soon wants to. The signal that comes with it is
/// ignored, so the write fails as it does on a full disk.
const SMALL_FILES: &str = "trap '' XFSZ; ulimit -f 600";

async fn ask(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_full_disk_stops_acknowledging_is_said_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path());
    let http = Client::new();
    let process = Process::start_after(SMALL_FILES, &config).await;
    let url = |base: &str, path: &str| format!("{base}/_matrix/client/v3{path}");
    let body = json!({ "username": "anna", "password": "correct horse", "auth": { "type": "m.login.dummy" } });
    let (_, account) = ask(http.post(url(&process.base, "/register")).json(&body)).await;
    let token = account["access_token"].as_str().unwrap().to_owned();
    let created = ask(http.post(url(&process.base, "/createRoom")).bearer_auth(&token).json(&json!({}))).await.1;
    let room = escape(created["room_id"].as_str().unwrap());

    let mut acknowledged = Vec::new();
    let refused = loop {
        let path = format!("/rooms/{room}/send/m.room.message/{}", acknowledged.len());
        let body = json!({ "msgtype": "m.text", "body": "x".repeat(1000) });
        let (status, answer) = ask(http.put(url(&process.base, &path)).bearer_auth(&token).json(&body)).await;
        match answer["event_id"].as_str() {
            Some(id) => acknowledged.push(id.to_owned()),
            None => break status,
        }
        assert!(acknowledged.len() < 5_000, "the limit was never reached");
    };
    assert!(refused.is_server_error() && !acknowledged.is_empty());
    // Reading goes on, writing does not, and whoever watches is told why.
    let path = url(&process.base, &format!("/rooms/{room}/event/{}", escape(&acknowledged[0])));
    assert_eq!(ask(http.get(path).bearer_auth(&token)).await.0, StatusCode::OK);
    let path = url(&process.base, &format!("/rooms/{room}/send/m.room.message/again"));
    assert!(ask(http.put(path).bearer_auth(&token).json(&json!({}))).await.0.is_server_error());
    let (status, health) = ask(http.get(format!("{}/health", process.operations))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{health}");
    assert!(health.to_string().contains("store"), "{health}");
    process.kill().await;

    let process = Process::start(&config).await;
    for id in &acknowledged {
        let path = url(&process.base, &format!("/rooms/{room}/event/{}", escape(id)));
        assert_eq!(ask(http.get(path).bearer_auth(&token)).await.0, StatusCode::OK, "{id} was lost");
    }
    process.kill().await;
}
