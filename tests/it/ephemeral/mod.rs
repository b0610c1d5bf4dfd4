//! What is true of people for the moment: receipts, unread counts, typing, presence.

mod presence;
mod receipts;
mod typing;
mod unread;

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

/// Anna and Ben in a room of Anna's.
struct Pair {
    server: Server,
    anna: Client,
    ben: Client,
    room: String,
}

async fn pair() -> Pair {
    on(Server::start().await).await
}

async fn on(server: Server) -> Pair {
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    ben.join(&room).await.ok();
    Pair { server, anna, ben, room }
}

/// The token to go on with.
fn next(answer: &Value) -> String {
    answer["next_batch"].as_str().unwrap().to_owned()
}

/// The contents of a room's ephemeral events of a type.
fn ephemeral(answer: &Value, room: &str, kind: &str) -> Vec<Value> {
    let events = answer["rooms"]["join"][room]["ephemeral"]["events"].as_array().cloned().unwrap_or_default();
    events.into_iter().filter(|event| event["type"] == kind).map(|mut event| event["content"].take()).collect()
}

/// A receipt with a body of any kind.
async fn receipt(client: &Client, room: &str, kind: &str, event: &str, body: Value) -> crate::harness::Answer {
    let path = format!("/_matrix/client/v3/rooms/{}/receipt/{kind}/{}", escape(room), escape(event));
    client.post(&path, body).await
}

/// Sends a text into a thread.
async fn send_in_thread(client: &Client, room: &str, thread: &str, text: &str) -> String {
    let relation = json!({ "rel_type": "m.thread", "event_id": thread });
    client
        .send_event(room, "m.room.message", json!({ "msgtype": "m.text", "body": text, "m.relates_to": relation }))
        .await
}
