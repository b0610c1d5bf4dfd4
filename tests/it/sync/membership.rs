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

fn bodies(section: &Value) -> Vec<&str> {
    section["timeline"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn who_was_banned_after_leaving_is_told_nothing_from_after_they_left() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let since = token(&sync(&bob, &json!({}), "").await);
    alice.send(&room, "for both").await;
    bob.leave(&room).await.ok();
    alice.send(&room, "about bob").await;
    let ban = json!({ "user_id": bob.user_id });
    alice.post(&format!("/_matrix/client/v3/rooms/{}/ban", escape(&room)), ban).await.ok();
    let left = sync(&bob, &json!({}), &since).await["rooms"]["leave"][&room].take();
    assert_eq!(bodies(&left), ["for both"], "{left}");
}

#[tokio::test]
async fn state_that_a_timeline_filter_leaves_out_is_told_as_state() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let filter = json!({ "room": { "timeline": { "not_types": ["m.room.name"] } } });
    let since = token(&sync(&alice, &filter, "").await);
    alice.set_state(&room, "m.room.name", "", json!({ "name": "7b" })).await.ok();
    alice.send(&room, "hello").await;
    let joined = sync(&alice, &filter, &since).await["rooms"]["join"][&room].take();
    assert_eq!(bodies(&joined), ["hello"]);
    let state = joined["state"]["events"].as_array().unwrap();
    assert!(state.iter().any(|event| event["content"]["name"] == "7b"), "{joined}");
}

#[tokio::test]
async fn members_of_an_answer_that_was_lost_are_sent_again() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let lazy = json!({ "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } } });
    let of_alice = |answer: &Value| {
        let state = answer["rooms"]["join"][&room]["state"]["events"].as_array().cloned().unwrap_or_default();
        state.iter().any(|event| event["state_key"] == alice.user_id.as_str())
    };
    bob.send(&room, "first").await;
    let since = token(&sync(&bob, &lazy, "").await);
    alice.send(&room, "hello").await;
    let lost = sync(&bob, &lazy, &since).await;
    let again = sync(&bob, &lazy, &since).await;
    assert!(of_alice(&lost) && of_alice(&again), "the device never said that it has the first of them");
    alice.send(&room, "once more").await;
    assert!(!of_alice(&sync(&bob, &lazy, &token(&again)).await), "it has her now");
}
