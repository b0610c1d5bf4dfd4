//! Making rooms, entering and leaving them, sending to them, naming and replacing them.

mod aliases;
mod create;
mod directory;
mod membership;
mod profile;
mod restricted;
mod send;
mod state;
mod upgrade;
mod upgrade_crash;

use serde_json::Value;

use crate::harness::{Client, escape};

/// The content of a piece of state.
async fn state(client: &Client, room: &str, kind: &str, key: &str) -> Value {
    client.room(room, &format!("state/{kind}/{}", escape(key))).await.ok()
}

/// The membership of a user.
async fn membership(client: &Client, room: &str, user_id: &str) -> String {
    state(client, room, "m.room.member", user_id).await["membership"].as_str().unwrap().to_owned()
}

/// The newest events of a room, oldest first.
async fn timeline(client: &Client, room: &str) -> Vec<Value> {
    let mut events = client.room(room, "messages?dir=b&limit=100").await.ok()["chunk"].as_array().unwrap().clone();
    events.reverse();
    events
}

/// What a POST below a room answers.
async fn post(client: &Client, room: &str, action: &str, body: Value) -> crate::harness::Answer {
    client.post(&format!("/_matrix/client/v3/rooms/{}/{action}", escape(room)), body).await
}
