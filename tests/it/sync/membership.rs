//! What a coming or going does to the sections of an answer.

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

async fn sync(client: &Client, filter: &Value, rest: &str) -> Value {
    let filter = escape(&filter.to_string());
    client.get(&format!("/_matrix/client/v3/sync?timeout=0&filter={filter}{rest}")).await.ok()
}

fn token(answer: &Value) -> String {
    format!("&since={}", answer["next_batch"].as_str().unwrap())
}

#[tokio::test]
async fn rooms_left_earlier_are_told_of_only_when_asked_for() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let (all, usual) = (json!({ "room": { "include_leave": true } }), json!({}));
    let before = token(&sync(&alice, &all, "").await);
    alice.leave(&room).await.ok();
    let shown = |answer: &Value| answer["rooms"]["leave"].get(&room).is_some();

    let leaving = sync(&alice, &all, &before).await;
    assert!(shown(&leaving) && shown(&sync(&alice, &usual, &before).await));
    let after = token(&leaving);
    assert!(!shown(&sync(&alice, &all, &after).await), "an answer told it before");
    assert!(shown(&sync(&alice, &all, &format!("{after}&full_state=true")).await));
    assert!(shown(&sync(&alice, &all, "").await));
    assert!(!shown(&sync(&alice, &usual, "").await), "it was not asked for");
}

#[tokio::test]
async fn who_comes_back_starts_a_new_timeline() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let since = token(&sync(&alice, &json!({}), "").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let limited = |answer: &Value| answer["rooms"]["join"][&room]["timeline"]["limited"].clone();
    assert_eq!(limited(&sync(&alice, &json!({}), &since).await), false, "the whole room is there");

    let since = token(&sync(&bob, &json!({}), "").await);
    bob.join(&room).await.ok();
    let first = sync(&bob, &json!({}), &since).await;
    assert_eq!(limited(&first), true, "the room is older than what bob has seen");
    bob.leave(&room).await.ok();
    bob.join(&room).await.ok();
    assert_eq!(limited(&sync(&bob, &json!({}), &token(&first)).await), true, "bob has these events already");
}

#[tokio::test]
async fn an_invitation_shows_the_create_event_in_full() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "name": "7b" })).await;
    alice.invite(&room, &bob.user_id).await.ok();
    let answer = sync(&bob, &json!({}), "").await;
    let shown = answer["rooms"]["invite"][&room]["invite_state"]["events"].as_array().unwrap();
    let of = |kind: &str| shown.iter().find(|event| event["type"] == kind).unwrap();
    let create = of("m.room.create");
    assert!(create["origin_server_ts"].is_u64() && create["event_id"].is_string(), "{create}");
    assert_eq!(of("m.room.name")["content"]["name"], "7b");
    assert!(of("m.room.name")["event_id"].is_null() && of("m.room.member")["origin_server_ts"].is_null());
}
