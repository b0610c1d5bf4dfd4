//! What `unsigned` tells each reader.

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

async fn event(client: &Client, room: &str, id: &str) -> Value {
    client.room(room, &format!("event/{}", escape(id))).await.ok()
}

#[tokio::test]
async fn only_the_sending_device_is_told_the_transaction() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/my-transaction", escape(&room));
    let sent = alice.put(&path, json!({ "msgtype": "m.text", "body": "x" })).await.ok();
    let id = sent["event_id"].as_str().unwrap();
    let other_device = Client::login(&server, "alice").await;
    assert_eq!(event(&alice, &room, id).await["unsigned"]["transaction_id"], "my-transaction");
    for other in [&other_device, &bob] {
        let shown = event(other, &room, id).await;
        assert!(shown["unsigned"]["transaction_id"].is_null());
        assert!(shown["unsigned"]["age"].as_i64().unwrap() >= 0);
        assert_eq!(shown["room_id"], room.as_str());
    }
}

#[tokio::test]
async fn membership_is_the_readers_at_the_event() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let before = alice.send(&room, "before").await;
    alice.invite(&room, &bob.user_id).await.ok();
    let invited = alice.send(&room, "invited").await;
    bob.join(&room).await.ok();
    let after = alice.send(&room, "after").await;
    for (id, expected) in [(&before, "leave"), (&invited, "invite"), (&after, "join")] {
        assert_eq!(event(&bob, &room, id).await["unsigned"]["membership"], expected);
    }
    assert_eq!(event(&alice, &room, &before).await["unsigned"]["membership"], "join");
}

#[tokio::test]
async fn state_shows_what_it_replaced() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut set = Vec::new();
    for topic in ["one", "two"] {
        let answer = alice.set_state(&room, "m.room.topic", "", json!({ "topic": topic })).await.ok();
        set.push(answer["event_id"].as_str().unwrap().to_owned());
    }
    let first = event(&alice, &room, &set[0]).await;
    assert!(first["unsigned"]["prev_content"].is_null() && first["unsigned"]["replaces_state"].is_null());
    let second = event(&alice, &room, &set[1]).await;
    assert_eq!(second["unsigned"]["prev_content"]["topic"], "one");
    assert_eq!(second["unsigned"]["replaces_state"], set[0].as_str());
    assert_eq!(second["unsigned"]["prev_sender"], alice.user_id.as_str());
}

#[tokio::test]
async fn replaced_content_is_shown_only_to_those_who_saw_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let history =
        json!({ "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } });
    let room =
        alice.create_room(json!({ "preset": "public_chat", "topic": "secret", "initial_state": [history] })).await;
    bob.join(&room).await.ok();
    let answer = alice.set_state(&room, "m.room.topic", "", json!({ "topic": "open" })).await.ok();
    let id = answer["event_id"].as_str().unwrap();
    assert_eq!(event(&alice, &room, id).await["unsigned"]["prev_content"]["topic"], "secret");
    assert!(event(&bob, &room, id).await["unsigned"]["prev_content"].is_null());
}

#[tokio::test]
async fn a_redacted_event_shows_its_redaction() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let id = alice.send(&room, "regretted").await;
    // Read before, so that it is in memory.
    assert_eq!(event(&alice, &room, &id).await["content"]["body"], "regretted");
    let redaction = alice.redact(&room, &id).await.ok();
    let shown = event(&alice, &room, &id).await;
    assert_eq!(shown["content"], json!({}));
    let because = &shown["unsigned"]["redacted_because"];
    assert_eq!(because["event_id"], redaction["event_id"]);
    assert_eq!(because["type"], "m.room.redaction");
    assert_eq!(because["content"]["redacts"], id.as_str());
}
