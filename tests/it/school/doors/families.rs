//! Rooms of families: what they are, and what they cannot be made to be.

use reqwest::Method;
use serde_json::{Value, json};

use super::{V3, Walk, in_room, refused_by};
use crate::harness::{Client, escape};

async fn content(client: &Client, room: &str, kind: &str) -> Value {
    client.room(room, &format!("state/{kind}/")).await.ok()
}

/// Everything a stock client could ask for that such a room is not.
fn everything() -> Value {
    let state = |kind: &str, content: Value| json!({ "type": kind, "state_key": "", "content": content });
    json!({
        "preset": "trusted_private_chat",
        "creation_content": { "m.federate": true },
        "initial_state": [
            state("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
            state("m.room.guest_access", json!({ "guest_access": "can_join" })),
            state("m.room.history_visibility", json!({ "history_visibility": "world_readable" })),
            state("m.room.server_acl", json!({ "allow": ["*"] })),
            state("org.example.own", json!({ "kept": true })),
        ],
    })
}

async fn is_one_of_families(client: &Client, room: &str) {
    let create = content(client, room, "m.room.create").await;
    assert_eq!((&create["m.federate"], &create["org.homeroom.terms"]), (&json!(false), &json!("family")), "{create}");
    assert_eq!(content(client, room, "m.room.history_visibility").await["history_visibility"], "joined");
    assert_eq!(content(client, room, "m.room.guest_access").await["guest_access"], "forbidden");
    assert_eq!(content(client, room, "m.room.join_rules").await["join_rule"], "invite");
    for kind in ["m.room.encryption", "m.room.server_acl", "m.room.canonical_alias"] {
        client.room(room, &format!("state/{kind}/")).await.refused(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn what_a_client_asks_for_otherwise_is_dropped() {
    let walk = Walk::start().await;
    for (actor, guest) in
        [("guardian", Some("tutor")), ("head", Some("guardian")), ("pupil", Some("lead")), ("pupil", None)]
    {
        let client = walk.small.client(actor);
        let mut body = everything();
        body["invite"] = guest.into_iter().map(|guest| walk.id(guest)).collect();
        body["is_direct"] = guest.is_some().into();
        let room = client.create_room(body).await;
        is_one_of_families(client, &room).await;
        assert_eq!(content(client, &room, "org.example.own").await["kept"], true, "{actor}");
        let levels = content(client, &room, "m.room.power_levels").await;
        assert_eq!(levels["users"], json!({}), "{actor}: nobody else has the creator's power");
    }
    // Two colleagues have what they ask for.
    let mut body = everything();
    body["invite"] = json!([walk.id("head")]);
    let room = walk.small.client("tutor").create_room(body).await;
    assert_eq!(content(walk.small.client("tutor"), &room, "m.room.guest_access").await["guest_access"], "can_join");
    content(walk.small.client("tutor"), &room, "m.room.encryption").await;
}

#[tokio::test]
async fn families_make_no_public_rooms_and_staff_none_with_them() {
    let walk = Walk::start().await;
    let rule = json!({ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } });
    for actor in ["pupil", "junior", "guardian"] {
        for body in [
            json!({ "preset": "public_chat" }),
            json!({ "visibility": "public" }),
            json!({ "visibility": "public", "preset": "private_chat" }),
            json!({ "initial_state": [rule] }),
        ] {
            let answer = walk.small.client(actor).post(&format!("{V3}/createRoom"), body).await;
            refused_by(actor, &answer, "rooms.public");
        }
    }
    let head = walk.small.client("head");
    let body = json!({
        "preset": "public_chat", "visibility": "public", "room_alias_name": "parents", "invite": [walk.id("guardian")],
    });
    let room = head.create_room(body).await;
    is_one_of_families(head, &room).await;
    head.get(&format!("{V3}/directory/room/{}", escape("#parents:school.example"))).await.refused(404, "M_NOT_FOUND");
    let listed = head.get(&format!("{V3}/directory/list/room/{}", escape(&room))).await.ok();
    assert_eq!(listed["visibility"], "private");
}

#[tokio::test]
async fn such_a_room_stays_as_it_is() {
    let walk = Walk::start().await;
    let (guardian, tutor) = (walk.small.client("guardian"), walk.small.client("tutor"));
    let room = guardian.create_room(json!({ "is_direct": true, "invite": [&tutor.user_id] })).await;
    // Whom a room is made with need not have come yet.
    for joined in [false, true] {
        if joined {
            tutor.join(&room).await.ok();
        }
        for (kind, content) in [
            ("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
            ("m.room.join_rules", json!({ "join_rule": "public" })),
            ("m.room.join_rules", json!({ "join_rule": "knock" })),
            ("m.room.join_rules", json!({ "join_rule": "restricted", "allow": [] })),
            ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
            ("m.room.history_visibility", json!({ "history_visibility": "world_readable" })),
            ("m.room.guest_access", json!({ "guest_access": "can_join" })),
            ("m.room.server_acl", json!({ "allow": ["*"] })),
            ("m.room.power_levels", json!({ "users_default": 100 })),
        ] {
            refused_by(kind, &guardian.set_state(&room, kind, "", content).await, "rooms.families");
        }
        // What is in force may be said again.
        for kind in ["m.room.join_rules", "m.room.history_visibility", "m.room.guest_access", "m.room.power_levels"] {
            guardian.set_state(&room, kind, "", content(guardian, &room, kind).await).await.ok();
        }
        guardian.set_state(&room, "m.room.name", "", json!({ "name": "The trip" })).await.ok();
        let alias = format!("{V3}/directory/room/{}", escape("#trip:school.example"));
        refused_by("alias", &guardian.put(&alias, json!({ "room_id": room })).await, "rooms.published");
        let list = format!("{V3}/directory/list/room/{}", escape(&room));
        refused_by("list", &guardian.put(&list, json!({ "visibility": "public" })).await, "rooms.published");
        guardian.put(&list, json!({ "visibility": "private" })).await.ok();
    }
    let upgraded = in_room(guardian, Method::POST, &room, "upgrade", json!({ "new_version": "12" })).await.ok();
    is_one_of_families(guardian, upgraded["replacement_room"].as_str().unwrap()).await;
}

/// A room from before there were rules keeps what it is only until it is replaced.
#[tokio::test]
async fn a_replaced_room_becomes_what_it_has_to_be() {
    let server = crate::harness::Server::start().await;
    let old = server.register("early").await;
    let mut body = everything();
    body["preset"] = json!("public_chat");
    body["room_alias_name"] = json!("early");
    let room = old.create_room(body).await;
    let small = super::Small::on(server).await;
    let people = small.school().people();
    assert!(people.is_loaded());
    // The early account is unknown to the school and no family: nothing changes for it alone.
    let upgraded = in_room(&old, Method::POST, &room, "upgrade", json!({ "new_version": "12" })).await.ok();
    let upgraded = upgraded["replacement_room"].as_str().unwrap();
    assert_eq!(content(&old, upgraded, "m.room.guest_access").await["guest_access"], "can_join");
}

#[tokio::test]
async fn families_come_into_no_room_that_is_not_made_for_them() {
    let walk = Walk::start().await;
    let head = walk.small.client("head");
    let state = |kind: &str, content: Value| json!({ "type": kind, "state_key": "", "content": content });
    let closed = |extra: Value| {
        let mut body = json!({
            "creation_content": { "m.federate": false },
            "initial_state": [
                state("m.room.history_visibility", json!({ "history_visibility": "joined" })),
                state("m.room.guest_access", json!({ "guest_access": "forbidden" })),
            ],
        });
        body["initial_state"].as_array_mut().unwrap().push(extra);
        body
    };
    let fine = state("m.room.topic", json!({ "topic": "fine" }));
    for (case, body, fits) in [
        ("as clients make them", json!({}), false),
        ("encrypted", closed(state("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" }))), false),
        ("shared", closed(state("m.room.history_visibility", json!({ "history_visibility": "shared" }))), false),
        ("knocked on", closed(state("m.room.join_rules", json!({ "join_rule": "knock" }))), false),
        ("guests", closed(state("m.room.guest_access", json!({ "guest_access": "can_join" }))), false),
        ("fit", closed(fine), true),
    ] {
        let room = head.create_room(body).await;
        let answer = head.invite(&room, walk.id("guardian")).await;
        if fits {
            answer.ok();
            walk.small.client("guardian").join(&room).await.ok();
            let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
            refused_by(case, &head.set_state(&room, "m.room.encryption", "", encryption).await, "rooms.families");
        } else {
            refused_by(case, &answer, "rooms.families");
            let invite = json!({ "membership": "invite" });
            let answer = head.set_state(&room, "m.room.member", walk.id("guardian"), invite).await;
            refused_by(case, &answer, "rooms.families");
        }
    }
}
