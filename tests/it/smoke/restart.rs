//! A restart keeps everything that was acknowledged, and the end is orderly.

use serde_json::json;

use crate::harness::{Client, PASSWORD, Server};

#[tokio::test]
async fn a_restart_on_the_same_folder_keeps_everything() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "name": "Homework", "invite": [ben.user_id] })).await;
    ben.join(&room).await.ok();
    let before = ben.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let sent = anna.send(&room, "Before the restart").await;
    let key = server.app().services().key.verify_key();

    let server = server.restart().await;
    let (anna, ben) = (anna.at(&server), ben.at(&server));
    assert_eq!(server.app().services().key.verify_key(), key, "the signing key is kept");
    // The token, the sync token and the room are as before.
    let answer = ben.sync(Some(&before)).await;
    let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["event_id"] == sent.as_str()).count(), 1, "{answer}");
    assert_eq!(answer["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 1, "{answer}");

    let after = anna.send(&room, "After the restart").await;
    assert_ne!(after, sent);
    let answer = ben.sync(None).await;
    let bodies: Vec<_> = answer["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect();
    assert_eq!(bodies, ["Before the restart", "After the restart"]);
    Client::login(&server, "ben").await;
    assert_eq!(PASSWORD.len(), 28, "logged in with the password of before the restart");
}

#[tokio::test]
async fn two_servers_do_not_share_a_folder_and_say_so() {
    let server = Server::start().await;
    let mut config = homeroom::config::Config::defaults(ruma::owned_server_name!("school.example"));
    config.listen.client = ([127, 0, 0, 1], 0).into();
    config.database.path = server.folder();
    let second = homeroom::app::App::start(config, homeroom::clock::Clock::system(), homeroom::ids::Ids::system());
    let error = second.await.err().unwrap().to_string();
    assert!(error.contains("data folder"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = Server::start().await;
    let mut config = homeroom::config::Config::defaults(ruma::owned_server_name!("school.example"));
    config.listen.client = server.app().addresses().client;
    config.database.path = server.folder().with_extension("other");
    let second = homeroom::app::App::start(config, homeroom::clock::Clock::system(), homeroom::ids::Ids::system());
    let error = second.await.err().unwrap().to_string();
    assert!(error.contains("listen.client") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn a_long_poll_does_not_hold_the_end_up() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let since = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let waiting = tokio::spawn(async move { anna.wait(&since).await });
    // The poll has begun once the server counts it.
    while server.app().services().metrics.text().unwrap().contains("homeroom_http_in_flight 0") {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    let server = server.restart().await;
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    let answer = waiting.await.unwrap();
    assert!(answer["next_batch"].is_string(), "the poll was answered: {answer}");
    drop(server);
}

#[tokio::test]
async fn operators_see_figures_and_health() {
    let server = Server::with(|config| config.listen.metrics = Some(([127, 0, 0, 1], 0).into())).await;
    server.anonymous().get("/_matrix/client/versions").await.ok();
    let text = reqwest::get(server.operations_url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(text.contains("homeroom_http_requests_total"), "{text}");
    assert!(text.contains("homeroom_store_writable 1"), "{text}");
    let health = reqwest::get(server.operations_url("/health")).await.unwrap();
    assert_eq!(health.status(), 200);
}
