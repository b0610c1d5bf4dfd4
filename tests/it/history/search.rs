//! Searching.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

async fn search(client: &Client, term: &str, more: Value, next: &str) -> Value {
    let mut criteria = json!({ "search_term": term, "order_by": "recent" });
    criteria.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({ "search_categories": { "room_events": criteria } });
    let answer = client.post(&format!("/_matrix/client/v3/search?next_batch={next}"), body).await.ok();
    answer["search_categories"]["room_events"].clone()
}

fn found(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|result| result["result"]["content"]["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn words_are_found_with_what_stands_around_them() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "name": "Class 5" })).await;
    for number in 1..=7 {
        alice.send(&room, &format!("Message number {number}")).await;
    }
    let context = json!({ "event_context": { "before_limit": 2, "after_limit": 1, "include_profile": true } });
    let answer = search(&alice, "number message 4", context, "").await;
    assert_eq!(answer["count"], 1);
    let around = &answer["results"][0]["context"];
    assert_eq!(super::texts(&around["events_before"]), ["Message number 3", "Message number 2"]);
    assert_eq!(super::texts(&around["events_after"]), ["Message number 5"]);
    assert!(around["profile_info"][&alice.user_id].is_object());
    let named = search(&alice, "class", json!({ "keys": ["content.name"] }), "").await;
    assert_eq!(named["results"][0]["result"]["content"]["name"], "Class 5");
    assert_eq!(search(&alice, "class", json!({ "keys": ["content.body"] }), "").await["count"], 0);
}

#[tokio::test]
async fn results_are_paged() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    for number in 0..5 {
        alice.send(&room, &format!("page {number}")).await;
    }
    let limit = json!({ "filter": { "limit": 3, "rooms": [room] } });
    let first = search(&alice, "page", limit.clone(), "").await;
    assert_eq!((found(&first), &first["count"]), (vec!["page 4", "page 3", "page 2"], &json!(5)));
    let second = search(&alice, "page", limit, first["next_batch"].as_str().unwrap()).await;
    assert_eq!(found(&second), ["page 1", "page 0"]);
    assert!(second["next_batch"].is_null());
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_read() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let history =
        json!({ "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } });
    let room = alice.create_room(json!({ "preset": "public_chat", "initial_state": [history] })).await;
    alice.send(&room, "secret before").await;
    assert_eq!(search(&bob, "secret", json!({}), "").await["count"], 0);
    bob.join(&room).await.ok();
    let regretted = alice.send(&room, "secret regretted").await;
    alice.send(&room, "secret shared").await;
    alice.redact(&room, &regretted).await.ok();
    assert_eq!(found(&search(&bob, "secret", json!({}), "").await), ["secret shared"]);
    assert_eq!(search(&bob, "secret", json!({ "filter": { "not_rooms": [room] } }), "").await["count"], 0);
    bob.leave(&room).await.ok();
    assert_eq!(search(&bob, "secret", json!({}), "").await["count"], 0);
}
