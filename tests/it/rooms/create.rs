//! `POST /createRoom`.

use homeroom::clock::Clock;
use serde_json::{Value, json};

use super::{membership, state, timeline};
use crate::harness::{Answer, Client, Server};

async fn create(client: &Client, body: Value) -> Answer {
    client.post("/_matrix/client/v3/createRoom", body).await
}

/// Type and state key of every event of a room, in order.
async fn outline(client: &Client, room: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    timeline(client, room).await.iter().map(|event| (text(&event["type"]), text(&event["state_key"]))).collect()
}

#[tokio::test]
async fn the_events_come_in_the_order_of_the_specification() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna
        .create_room(json!({
            "preset": "public_chat",
            "room_alias_name": "homework",
            "initial_state": [
                { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
                { "type": "m.room.topic", "content": { "topic": "replaced" } },
                { "type": "org.example.lesson", "state_key": "4", "content": { "book": "blue" } },
            ],
            "name": "Homework",
            "topic": "Page 12",
            "invite": [ben.user_id],
            "is_direct": true,
        }))
        .await;
    let expected = [
        ("m.room.create", ""),
        ("m.room.member", anna.user_id.as_str()),
        ("m.room.power_levels", ""),
        ("m.room.canonical_alias", ""),
        ("m.room.join_rules", ""),
        ("m.room.history_visibility", ""),
        ("m.room.guest_access", ""),
        ("org.example.lesson", "4"),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.member", ben.user_id.as_str()),
    ];
    let found = outline(&anna, &room).await;
    assert_eq!(found, expected.map(|(kind, key)| (kind.to_owned(), key.to_owned())));
    let topic = state(&anna, &room, "m.room.topic", "").await;
    assert_eq!(topic, json!({ "topic": "Page 12", "m.topic": { "m.text": [{ "body": "Page 12" }] } }));
    assert_eq!(state(&anna, &room, "m.room.guest_access", "").await["guest_access"], "can_join");
    assert_eq!(state(&anna, &room, "m.room.join_rules", "").await["join_rule"], "public");
    assert_eq!(state(&anna, &room, "m.room.canonical_alias", "").await["alias"], "#homework:school.example");
    let invite = state(&anna, &room, "m.room.member", &ben.user_id).await;
    assert_eq!((&invite["membership"], &invite["is_direct"]), (&json!("invite"), &json!(true)));
}

#[tokio::test]
async fn creators_of_version_12_have_power_without_being_listed() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let body = json!({ "preset": "trusted_private_chat", "invite": [ben.user_id] });
    let room = anna.create_room(body.clone()).await;
    let create = state(&anna, &room, "m.room.create", "").await;
    assert_eq!(create, json!({ "room_version": "12", "additional_creators": [ben.user_id] }));
    let levels = state(&anna, &room, "m.room.power_levels", "").await;
    assert_eq!((&levels["users"], &levels["events"]["m.room.tombstone"]), (&json!({}), &json!(150)));
    assert!(!room.contains(':'), "{room}");

    let mut older = body;
    older["room_version"] = json!("10");
    let room = anna.create_room(older).await;
    let levels = state(&anna, &room, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({ &anna.user_id: 100, &ben.user_id: 100 }));
    assert_eq!(state(&anna, &room, "m.room.create", "").await["creator"], anna.user_id.as_str());
}

#[tokio::test]
async fn every_room_version_works() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    for version in 1..=12 {
        let body = json!({ "room_version": version.to_string(), "preset": "public_chat", "name": "R" });
        let room = anna.create_room(body).await;
        assert_eq!(state(&anna, &room, "m.room.create", "").await["room_version"], version.to_string());
        ben.join(&room).await.ok();
        let sent = ben.send(&room, "hello").await;
        anna.redact(&room, &sent).await.ok();
        ben.leave(&room).await.ok();
        assert_eq!(membership(&anna, &room, &ben.user_id).await, "leave");
    }
}

#[tokio::test]
async fn creation_content_is_kept_but_not_what_the_server_says() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let content =
        json!({ "type": "m.space", "m.federate": false, "test": "azerty", "room_version": "test", "creator": "@x:y" });
    let room = anna.create_room(json!({ "creation_content": content })).await;
    let created = state(&anna, &room, "m.room.create", "").await;
    let expected = json!({ "type": "m.space", "m.federate": false, "test": "azerty", "room_version": "12" });
    assert_eq!(created, expected);
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_behind() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    anna.create_room(json!({ "room_alias_name": "taken" })).await;
    let refusals = [
        (json!({ "room_alias_name": "taken" }), "M_ROOM_IN_USE"),
        (json!({ "room_alias_name": "a:b" }), "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "" }), "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "x".repeat(300) }), "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "free", "room_version": "unknown" }), "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({ "room_alias_name": "free", "room_version": 12 }), "M_BAD_JSON"),
        (json!({ "room_alias_name": "free", "preset": "unheard_of" }), "M_INVALID_PARAM"),
        (
            json!({ "room_alias_name": "free", "power_level_content_override": { "users": { &anna.user_id: 5 } } }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "room_alias_name": "free", "power_level_content_override": { "ban": "high" } }),
            "M_INVALID_ROOM_STATE",
        ),
        (
            json!({ "room_alias_name": "free", "room_version": "11", "name": "N", "power_level_content_override": { "users": {} } }),
            "M_INVALID_ROOM_STATE",
        ),
        (json!({ "room_alias_name": "free", "creation_content": { "additional_creators": ["x"] } }), "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "free", "creation_content": { "m.federate": "no" } }), "M_BAD_JSON"),
        (
            json!({ "room_alias_name": "free", "initial_state": [{ "type": "m.room.create", "content": {} }] }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "room_alias_name": "free", "initial_state": [{ "type": "x", "content": { "float": 1.5 } }] }),
            "M_BAD_JSON",
        ),
    ];
    for (body, errcode) in refusals {
        create(&anna, body).await.refused(400, errcode);
    }
    let nobody = json!({ "room_alias_name": "free", "invite": ["@nobody:school.example"] });
    create(&anna, nobody).await.refused(404, "M_NOT_FOUND");
    let abroad = json!({ "room_alias_name": "free", "invite": ["@x:elsewhere.example"] });
    create(&anna, abroad).await.refused(403, "M_FORBIDDEN");
    let long = json!({ "room_alias_name": "free", "name": "x".repeat(66_000) });
    create(&anna, long).await.refused(413, "M_TOO_LARGE");
    anna.get("/_matrix/client/v3/directory/room/%23free%3Aschool.example").await.refused(404, "M_NOT_FOUND");
    let rooms = anna.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(rooms["joined_rooms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_rooms_cannot_take_one_alias_at_once() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let body = json!({ "room_alias_name": "one" });
    let (a, b, c) = tokio::join!(create(&anna, body.clone()), create(&anna, body.clone()), create(&anna, body));
    let made = [&a, &b, &c].into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(made, 1, "{a:?} {b:?} {c:?}");
}

#[tokio::test]
async fn an_override_replaces_whole_keys_and_keeps_the_tombstone_high() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let levels = json!({ "events": { "m.room.name": 10 }, "users_default": 5 });
    let room = anna.create_room(json!({ "power_level_content_override": levels })).await;
    let levels = state(&anna, &room, "m.room.power_levels", "").await;
    assert_eq!(levels["events"], json!({ "m.room.name": 10, "m.room.tombstone": 150 }));
    assert_eq!((&levels["users_default"], &levels["ban"]), (&json!(5), &json!(50)));
}

/// From room version 12 the room id is the hash of the create event: equal ones would be one room.
#[tokio::test]
async fn equal_rooms_made_in_one_millisecond_are_different_rooms() {
    let server = Server::at(Clock::test(1_900_000_000_000), |_| {}).await;
    let anna = server.register("anna").await;
    let (first, second) = tokio::join!(anna.create_room(json!({})), anna.create_room(json!({})));
    let third = anna.create_room(json!({})).await;
    assert!(first != second && first != third && second != third, "{first} {second} {third}");
}
