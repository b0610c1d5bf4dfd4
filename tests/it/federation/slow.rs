//! A server that asks and does not read what is answered.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use super::{Fake, authority, guest::Guest, server};
use crate::harness::{Server, escape};

/// How many requests of one server are answered at once.
const AT_ONCE: usize = 64;

/// A client that opens no window for what comes back to it: of a long answer it sees the head.
fn blind() -> reqwest::Client {
    let mut tls = authority::client_config();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    client.http2_prior_knowledge().http2_initial_stream_window_size(0).build().unwrap()
}

async fn ask(client: &reqwest::Client, fake: &Fake, home: &Server, path: &str) -> reqwest::Response {
    let authorization = fake.authorization(home.name(), &Method::GET, path, &Value::Null);
    let request = client.get(format!("https://{}{path}", home.name())).header("authorization", authorization);
    request.send().await.unwrap()
}

/// Files in a folder that this process has open.
fn open_files(folder: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|file| {
        file.as_ref().is_ok_and(|file| std::fs::read_link(file.path()).is_ok_and(|path| path.starts_with(folder)))
    })
    .count()
}

/// Asks as often as it is answered, which is no more often than there are places; and again when nobody waits.
async fn fill(home: &Server, path: &str, fake: &Fake, reading: &Fake) {
    let client = blind();
    let mut unread = Vec::new();
    loop {
        let answer = ask(&client, fake, home, path).await;
        if answer.status() == 429 {
            break;
        }
        assert_eq!(answer.status(), 200, "{path}");
        unread.push(answer);
        assert!(unread.len() <= AT_ONCE, "{path}: its places are given back though nothing was read");
    }
    assert_eq!(unread.len(), AT_ONCE, "{path}");
    // Others are answered.
    assert_eq!(reading.get(home, path).await.status, 200);
    drop((unread, client));
    while fake.get(home, path).await.status == 429 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_answers_that_it_does_not_read_a_server_has_few() {
    let home = server(|_| {}).await;
    let ada = home.register("ada").await;
    let upload = ada.call_raw(Method::POST, "/_matrix/media/v3/upload?filename=notes.json", "{}".repeat(200_000)).await;
    let uri = upload.ok()["content_uri"].as_str().unwrap().to_owned();
    let content = format!("/_matrix/federation/v1/media/download/{}", uri.rsplit('/').next().unwrap());
    let (fake, reading) = (Fake::start().await, Fake::elsewhere().await);
    fill(&home, &content, &fake, &reading).await;
    let folder = home.folder().join("media");
    while open_files(&folder) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_states_that_it_does_not_read_a_server_has_few() {
    let home = server(|_| {}).await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    for n in 0..20 {
        ada.set_state(&room, "org.example.large", &n.to_string(), json!({ "text": "x".repeat(50_000) })).await.ok();
    }
    let newest = ada.send(&room, "the newest").await;
    let reading = Fake::elsewhere().await;
    let _guest = Guest::enter(&reading, &home, &room, "gil").await;
    let eve = Fake::start().await;
    let _other = Guest::enter(&eve, &home, &room, "eve").await;
    let path = format!("/_matrix/federation/v1/state/{}?event_id={}", escape(&room), escape(&newest));
    fill(&home, &path, &eve, &reading).await;
}
