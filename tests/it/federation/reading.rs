//! What other servers can read of rooms, and what they cannot.

use homeroom::event::Pdu;
use http::Method;
use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::{Fake, server};
use crate::harness::{Server, escape};

/// Lets somebody of the fake server join a public room of version 11.
pub(super) async fn enter(fake: &Fake, to: &Server, room: &str, localpart: &str) {
    let user = fake.user(localpart);
    let path = format!("/_matrix/federation/v1/make_join/{}/{}?ver=11", escape(room), escape(&user));
    let template = fake.get(to, &path).await.ok();
    let rules = RoomVersionId::V11.rules().unwrap();
    let event = fake.sign_event(template["event"].clone(), &rules);
    let id = Pdu::parse(event.to_string().as_bytes(), &rules).unwrap().event_id;
    let path = format!("/_matrix/federation/v2/send_join/{}/{}", escape(room), escape(id.as_str()));
    fake.call(to, Method::PUT, &path, event).await.ok();
}

/// Every question about a room, and about an event of it.
fn questions(room: &str, event: &str) -> Vec<(Method, String, Value)> {
    let (room, event, id) = (escape(room), escape(event), event);
    let get = |rest: String| (Method::GET, format!("/_matrix/federation/v1/{rest}"), Value::Null);
    vec![
        get(format!("state/{room}?event_id={event}")),
        get(format!("state_ids/{room}?event_id={event}")),
        get(format!("event_auth/{room}/{event}")),
        get(format!("backfill/{room}?v={event}&limit=10")),
        get(format!("timestamp_to_event/{room}?ts=1&dir=f")),
        (
            Method::POST,
            format!("/_matrix/federation/v1/get_missing_events/{room}"),
            json!({ "earliest_events": [], "latest_events": [id], "limit": 10 }),
        ),
    ]
}

#[tokio::test]
async fn a_server_that_is_not_in_a_room_is_told_nothing_of_it() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let event = ada.send(&room, "secret").await;
    let nowhere = format!("!nowhere:{}", home.name());
    for ((method, path, body), (_, absent, _)) in questions(&room, &event).into_iter().zip(questions(&nowhere, &event))
    {
        let here = fake.call(&home, method.clone(), &path, body.clone()).await.refused(403, "M_FORBIDDEN");
        let there = fake.call(&home, method, &absent, body).await.refused(403, "M_FORBIDDEN");
        assert_eq!(here, there, "{path}");
    }
    let path = |id: &str| format!("/_matrix/federation/v1/event/{}", escape(id));
    let here = fake.get(&home, &path(&event)).await.refused(404, "M_NOT_FOUND");
    assert_eq!(here, fake.get(&home, &path("$nothing")).await.refused(404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn an_event_of_another_room_is_one_that_does_not_exist() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let other = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let elsewhere = ada.send(&other, "elsewhere").await;
    enter(&fake, &home, &room, "charlie").await;
    for (method, path, body) in questions(&room, &elsewhere).into_iter().take(3) {
        let wrong = fake.call(&home, method.clone(), &path, body.clone()).await.refused(404, "M_NOT_FOUND");
        let absent = path.replace(&escape(&elsewhere), "%24nothing");
        assert_eq!(wrong, fake.call(&home, method, &absent, body).await.refused(404, "M_NOT_FOUND"), "{path}");
    }
    for (method, path, body) in
        questions(&room, &elsewhere).into_iter().skip(3).filter(|it| !it.1.contains("timestamp"))
    {
        let answer = fake.call(&home, method, &path, body).await.ok();
        assert!(!answer.to_string().contains("elsewhere"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn of_history_from_before_its_time_a_server_gets_what_a_redaction_leaves() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let hidden = json!({
        "preset": "public_chat", "room_version": "11",
        "initial_state": [
            { "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } },
        ],
    });
    let room = ada.create_room(hidden).await;
    let before = ada.send(&room, "before").await;
    enter(&fake, &home, &room, "charlie").await;
    let after = ada.send(&room, "after").await;
    let path = format!("/_matrix/federation/v1/backfill/{}?v={}&limit=10", escape(&room), escape(&after));
    let answer = fake.get(&home, &path).await.ok();
    let pdus = answer["pdus"].as_array().unwrap();
    let messages: Vec<_> = pdus.iter().filter(|pdu| pdu["type"] == "m.room.message").collect();
    assert_eq!(messages.len(), 2, "{answer}");
    assert_eq!(messages[0]["content"]["body"], "after");
    assert_eq!(messages[1]["content"], json!({}));
    let event = |id: &str| format!("/_matrix/federation/v1/event/{}", escape(id));
    fake.get(&home, &event(&before)).await.refused(404, "M_NOT_FOUND");
    assert_eq!(fake.get(&home, &event(&after)).await.ok()["pdus"][0]["content"]["body"], "after");
}

#[tokio::test]
async fn a_server_in_the_room_gets_states_and_what_allows_them() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    enter(&fake, &home, &room, "charlie").await;
    let event = ada.send(&room, "hello").await;
    let get = async |rest: &str| {
        let path = format!("/_matrix/federation/v1/{rest}/{}?event_id={}", escape(&room), escape(&event));
        fake.get(&home, &path).await.ok()
    };
    let (ids, whole) = (get("state_ids").await, get("state").await);
    let kinds: Vec<_> = whole["pdus"].as_array().unwrap().iter().map(|pdu| pdu["type"].as_str().unwrap()).collect();
    assert_eq!(ids["pdu_ids"].as_array().unwrap().len(), kinds.len());
    assert_eq!(kinds.iter().filter(|kind| **kind == "m.room.member").count(), 2, "{kinds:?}");
    assert!(whole["auth_chain"].as_array().unwrap().iter().any(|pdu| pdu["type"] == "m.room.create"));
    assert_eq!(ids["auth_chain_ids"].as_array().unwrap().len(), whole["auth_chain"].as_array().unwrap().len());
    let path = format!("/_matrix/federation/v1/timestamp_to_event/{}?ts=1&dir=f", escape(&room));
    let first = fake.get(&home, &path).await.ok();
    assert!(first["event_id"].as_str().unwrap().starts_with('$'));
}
