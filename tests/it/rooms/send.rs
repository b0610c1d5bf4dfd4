//! Messages and redactions.

use std::time::Duration;

use homeroom::{
    clock::Clock,
    event::Content,
    rooms::{NewEvent, RoomsError},
};
use reqwest::Method;
use ruma::{RoomId, UserId};
use serde_json::{Value, json};

use super::{state, timeline};
use crate::harness::{Answer, Client, Server, escape};

async fn send(client: &Client, room: &str, kind: &str, transaction: &str, content: Value) -> Answer {
    client.put(&format!("/_matrix/client/v3/rooms/{}/send/{kind}/{transaction}", escape(room)), content).await
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

#[tokio::test]
async fn a_repeated_request_is_one_event_per_device_and_path() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let (room, other) = (anna.create_room(json!({})).await, anna.create_room(json!({})).await);
    let id = async |client: &Client, room: &str, kind: &str| {
        send(client, room, kind, "t1", text("first")).await.ok()["event_id"].as_str().unwrap().to_owned()
    };
    let first = id(&anna, &room, "m.room.message").await;
    assert_eq!(send(&anna, &room, "m.room.message", "t1", text("changed")).await.ok()["event_id"], first.as_str());
    assert_ne!(id(&anna, &other, "m.room.message").await, first);
    assert_ne!(id(&anna, &room, "m.sticker").await, first);
    let second_device = Client::login(&server, "anna").await;
    assert_ne!(id(&second_device, &room, "m.room.message").await, first);
    let texts: Vec<_> =
        timeline(&anna, &room).await.iter().filter_map(|e| e["content"]["body"].as_str().map(str::to_owned)).collect();
    assert_eq!(texts, ["first"; 3]);
}

#[tokio::test]
async fn a_request_repeated_while_under_way_is_one_event() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    for round in 0..20 {
        let transaction = format!("r{round}");
        let (a, b, c) = tokio::join!(
            send(&anna, &room, "m.room.message", &transaction, text("once")),
            send(&anna, &room, "m.room.message", &transaction, text("once")),
            send(&anna, &room, "m.room.message", &transaction, text("once")),
        );
        let ids = [a, b, c].map(|answer| answer.ok()["event_id"].as_str().unwrap().to_owned());
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    let sent = timeline(&anna, &room).await.iter().filter(|event| event["type"] == "m.room.message").count();
    assert_eq!(sent, 20);
}

#[tokio::test]
async fn a_repeated_request_is_known_after_a_restart() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let first = send(&anna, &room, "m.room.message", "t1", text("first")).await.ok();
    let server = server.restart().await;
    let anna = anna.at(&server);
    assert_eq!(send(&anna, &room, "m.room.message", "t1", text("first")).await.ok(), first);
}

#[tokio::test]
async fn transactions_are_forgotten_after_a_day() {
    let clock = Clock::test(1_800_000_000_000);
    let server = Server::at(clock.clone(), |_| {}).await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let id = async |transaction: &str| send(&anna, &room, "m.room.message", transaction, text("x")).await.ok();
    let rooms = &server.app().services().rooms;
    let old = id("old").await;
    clock.advance(Duration::from_hours(23));
    let young = id("young").await;
    assert_eq!(rooms.sweep_transactions().await.unwrap(), 0);
    clock.advance(Duration::from_hours(2));
    assert_eq!(rooms.sweep_transactions().await.unwrap(), 1);
    assert_eq!(rooms.sweep_transactions().await.unwrap(), 0);
    assert_eq!(id("young").await, young);
    assert_ne!(id("old").await, old);
}

#[tokio::test]
async fn bad_content_and_strangers_are_refused() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({})).await;
    send(&ben, &room, "m.room.message", "t", text("x")).await.refused(403, "M_FORBIDDEN");
    send(&anna, "!nowhere:school.example", "m.room.message", "t", text("x")).await.refused(403, "M_FORBIDDEN");
    send(&anna, &room, "m.room.message", "t", json!({ "body": "x".repeat(65_600) })).await.refused(413, "M_TOO_LARGE");
    send(&anna, &room, "m.room.message", "t", json!({ "number": 1.5 })).await.refused(400, "M_BAD_JSON");
    send(&anna, &room, "m.room.message", "t", json!({ "n": 9_007_199_254_740_993_i64 }))
        .await
        .refused(400, "M_BAD_JSON");
    send(&anna, &room, &"x".repeat(256), "t", text("x")).await.refused(413, "M_TOO_LARGE");
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/t", escape(&room));
    anna.call_raw(Method::PUT, &path, "").await.refused(400, "M_NOT_JSON");
    anna.call_raw(Method::PUT, &path, "{").await.refused(400, "M_NOT_JSON");
    // None of these has used the transaction up.
    send(&anna, &room, "m.room.message", "t", text("x")).await.ok();
}

#[tokio::test]
async fn the_same_reaction_twice_is_refused_until_it_is_taken_back() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    ben.join(&room).await.ok();
    let message = anna.send(&room, "Who can help?").await;
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": message, "key": "👍" } });
    let first = send(&anna, &room, "m.reaction", "a", reaction.clone()).await.ok();
    send(&anna, &room, "m.reaction", "b", reaction.clone()).await.refused(400, "M_DUPLICATE_ANNOTATION");
    send(&ben, &room, "m.reaction", "c", reaction.clone()).await.ok();
    anna.redact(&room, first["event_id"].as_str().unwrap()).await.ok();
    send(&anna, &room, "m.reaction", "d", reaction).await.ok();
}

#[tokio::test]
async fn two_equal_reactions_at_once_are_one() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    for round in 0..10 {
        let message = anna.send(&room, "?").await;
        let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": message, "key": "👍" } });
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let (a, b) = tokio::join!(
            send(&anna, &room, "m.reaction", &first, reaction.clone()),
            send(&anna, &room, "m.reaction", &second, reaction.clone()),
        );
        let made = [&a, &b].into_iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(made, 1, "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn one_redacts_ones_own_events_and_with_power_anybodys() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    for version in ["10", "12"] {
        let room = anna.create_room(json!({ "preset": "public_chat", "room_version": version })).await;
        ben.join(&room).await.ok();
        let (of_anna, of_ben) = (anna.send(&room, "A").await, ben.send(&room, "B").await);
        ben.redact(&room, &of_anna).await.refused(403, "M_FORBIDDEN");
        ben.redact(&room, "$nothing").await.refused(404, "M_NOT_FOUND");
        ben.redact(&room, &of_ben).await.ok();
        let gone = anna.room(&room, &format!("event/{}", escape(&of_ben))).await.ok();
        assert_eq!(gone["content"], json!({}));
        // Through /send, the target stands in the content whatever the room version.
        let of_ben = ben.send(&room, "C").await;
        send(&anna, &room, "m.room.redaction", "r", json!({})).await.refused(400, "M_BAD_JSON");
        let content = json!({ "redacts": of_ben, "reason": "spam" });
        send(&anna, &room, "m.room.redaction", "r", content).await.ok();
        let gone = ben.room(&room, &format!("event/{}", escape(&of_ben))).await.ok();
        assert_eq!(gone["content"], json!({}), "version {version}");
        let create = timeline(&anna, &room).await[0]["event_id"].as_str().unwrap().to_owned();
        anna.redact(&room, &create).await.refused(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn events_of_other_rooms_cannot_be_redacted() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let (mine, theirs) = (anna.create_room(json!({})).await, ben.create_room(json!({})).await);
    let secret = ben.send(&theirs, "secret").await;
    anna.redact(&mine, &secret).await.refused(404, "M_NOT_FOUND");
    anna.redact(&theirs, &secret).await.refused(403, "M_FORBIDDEN");
    let kept = ben.room(&theirs, &format!("event/{}", escape(&secret))).await.ok();
    assert_eq!(kept["content"]["body"], "secret");
    assert!(state(&anna, &mine, "m.room.create", "").await.is_object());
}

#[tokio::test]
async fn a_second_reaction_is_refused_before_the_room_has_moved() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let said = anna.send(&room, "first").await;
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": said, "key": "+" } });
    let reacted = anna.send_event(&room, "m.reaction", reaction.clone()).await;
    let rooms = &server.app().services().rooms;
    let room = rooms.by_id(&RoomId::parse(&room).unwrap()).await.unwrap().unwrap();
    let sender = UserId::parse(&anna.user_id).unwrap();
    let new = |kind: &str, content: &Value| {
        NewEvent::message(&sender, kind.into(), Content::from_serialize(content).unwrap())
    };
    let mut writer = rooms.writer(&room).await;
    let refused = writer.append(new("m.reaction", &reaction)).await;
    assert!(matches!(refused, Err(RoomsError::DuplicateAnnotation)), "{refused:?}");
    // The writer goes on where the room stands.
    let next = writer.append(new("m.room.message", &text("next"))).await.unwrap();
    assert_eq!(next.pdu.prev_events, [reacted]);
    writer.commit().await.unwrap();
    let view = room.view();
    let ends: Vec<_> = view.extremities.iter().map(|end| &end.id).collect();
    assert_eq!(ends, [&next.pdu.event_id]);
}
