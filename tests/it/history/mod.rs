//! Reading rooms: who sees what, page by page.
//!
//! - `matrix`: every endpoint that reads a room, asked by everyone who is or is not in it
//! - `pages`: `/messages` and `/context`
//! - `shown`: what `unsigned` says
//! - `related`: relations and threads
//! - `rooms`: state, members, summaries and spaces
//! - `search`: finding messages

mod matrix;
mod pages;
mod related;
mod rooms;
mod search;
mod shown;

use serde_json::Value;

use crate::harness::{Client, escape};

/// The texts of the messages in a list of events.
fn texts(events: &Value) -> Vec<String> {
    let bodies = events.as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str());
    bodies.map(str::to_owned).collect()
}

/// The event ids of a list of events.
fn ids(events: &Value) -> Vec<String> {
    events.as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// Below a room, in the first version of the paths.
async fn v1(client: &Client, room: &str, rest: &str) -> crate::harness::Answer {
    client.get(&format!("/_matrix/client/v1/rooms/{}/{rest}", escape(room))).await
}

/// Everything a reader can page to, newest first.
async fn all_texts(client: &Client, room: &str, limit: usize) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page = client.room(room, &format!("messages?dir=b&limit={limit}{from}")).await.ok();
        found.extend(texts(&page["chunk"]));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={}", escape(end)),
            None => return found,
        }
    }
    panic!("the history does not end");
}
