//! Rooms that replace others.

use homeroom::config::Durability;
use serde_json::{Value, json};

use super::{membership, post, state, timeline};
use crate::harness::{Client, Server, escape};

async fn upgrade(client: &Client, room: &str, body: Value) -> String {
    post(client, room, "upgrade", body).await.ok()["replacement_room"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_new_room_takes_over_what_the_old_one_was() {
    let server = Server::start().await;
    let (anna, ben, cleo) =
        (server.register("anna").await, server.register("ben").await, server.register("cleo").await);
    let old = anna
        .create_room(json!({
            "room_version": "10", "preset": "public_chat", "visibility": "public", "room_alias_name": "class",
            "name": "7b", "topic": "All of us", "creation_content": { "type": "m.space" },
            "initial_state": [
                { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
                { "type": "m.space.child", "state_key": "!x:school.example", "content": { "via": ["school.example"] } },
                { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
                { "type": "org.example.left_behind", "content": {} },
            ],
        }))
        .await;
    ben.join(&old).await.ok();
    post(&anna, &old, "ban", json!({ "user_id": cleo.user_id, "reason": "r" })).await.ok();
    post(&ben, &old, "upgrade", json!({ "new_version": "12" })).await.refused(403, "M_FORBIDDEN");
    post(&anna, &old, "upgrade", json!({ "new_version": "99" })).await.refused(400, "M_UNSUPPORTED_ROOM_VERSION");

    let new = upgrade(&anna, &old, json!({ "new_version": "12" })).await;
    let create = state(&anna, &new, "m.room.create", "").await;
    // From version 12 on the event that was last is not named (specification v1.16).
    let predecessor = json!({ "room_id": old });
    assert_eq!(create, json!({ "room_version": "12", "type": "m.space", "predecessor": predecessor }));
    assert_eq!(state(&anna, &old, "m.room.tombstone", "").await["replacement_room"], new.as_str());
    for kind in ["m.room.name", "m.room.topic", "m.room.encryption", "m.room.join_rules", "m.room.guest_access"] {
        assert_eq!(state(&anna, &new, kind, "").await, state(&anna, &old, kind, "").await, "{kind}");
    }
    assert_eq!(state(&anna, &new, "m.space.child", "!x:school.example").await["via"], json!(["school.example"]));
    anna.room(&new, "state/org.example.left_behind/").await.refused(404, "M_NOT_FOUND");
    assert_eq!(membership(&anna, &new, &cleo.user_id).await, "ban");
    cleo.join(&new).await.refused(403, "M_FORBIDDEN");

    let alias = anna.get("/_matrix/client/v3/directory/room/%23class%3Aschool.example").await.ok();
    assert_eq!(alias["room_id"], new.as_str());
    assert_eq!(state(&anna, &new, "m.room.canonical_alias", "").await["alias"], "#class:school.example");
    assert_eq!(state(&anna, &old, "m.room.canonical_alias", "").await, json!({}));
    let listed = anna.get("/_matrix/client/v3/publicRooms").await.ok();
    assert_eq!(listed["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(listed["chunk"][0]["room_id"], new.as_str());

    let text = json!({ "msgtype": "m.text", "body": "too late" });
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/x", escape(&old));
    ben.put(&path, text).await.refused(403, "M_FORBIDDEN");
    ben.join(&new).await.ok();
    ben.send(&new, "here we are").await;
}

#[tokio::test]
async fn power_is_what_the_versions_make_of_it() {
    let server = Server::start().await;
    let (anna, ben, cleo) =
        (server.register("anna").await, server.register("ben").await, server.register("cleo").await);
    let room = async |version: &str, users: Value| {
        let room = anna.create_room(json!({ "room_version": version, "preset": "public_chat" })).await;
        for pupil in [&ben, &cleo] {
            pupil.join(&room).await.ok();
        }
        anna.set_state(&room, "m.room.power_levels", "", json!({ "users": users })).await.ok();
        room
    };
    let (a, b, c) = (anna.user_id.as_str(), ben.user_id.as_str(), cleo.user_id.as_str());

    // From 11 to 12: who upgrades becomes the creator, and is no longer listed.
    let old = room("11", json!({ a: 100, b: 100, c: 50 })).await;
    let new = upgrade(&ben, &old, json!({ "new_version": "12" })).await;
    let levels = state(&ben, &new, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({ a: 100, c: 50 }));
    assert_eq!(levels["events"]["m.room.tombstone"], 150);
    assert!(state(&ben, &new, "m.room.create", "").await["additional_creators"].is_null());

    // From 12 to 12 with another creator.
    let old = room("12", json!({ b: 150, c: 50 })).await;
    let new = upgrade(&ben, &old, json!({ "new_version": "12", "additional_creators": [c] })).await;
    assert_eq!(state(&ben, &new, "m.room.create", "").await["additional_creators"], json!([c]));
    assert_eq!(state(&ben, &new, "m.room.power_levels", "").await["users"], json!({}));

    // Back to 11: the infinite power becomes the highest usual one.
    let old = room("12", json!({ b: 50 })).await;
    let new = upgrade(&anna, &old, json!({ "new_version": "11" })).await;
    assert_eq!(state(&anna, &new, "m.room.power_levels", "").await["users"], json!({ a: 100, b: 50 }));

    // Who upgrades with less than full power has no more in the new room than in the old one.
    let old = room("10", json!({ a: 100, b: 50 })).await;
    let mut levels = state(&anna, &old, "m.room.power_levels", "").await;
    levels["events"] = json!({ "m.room.tombstone": 50, "m.room.name": 100 });
    anna.set_state(&old, "m.room.power_levels", "", levels.clone()).await.ok();
    anna.set_state(&old, "m.room.name", "", json!({ "name": "N" })).await.ok();
    let new = upgrade(&ben, &old, json!({ "new_version": "10" })).await;
    assert_eq!(state(&ben, &new, "m.room.name", "").await["name"], "N");
    assert_eq!(state(&ben, &new, "m.room.power_levels", "").await, levels);
}

#[tokio::test]
async fn push_rules_go_along_to_the_new_room() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let old = anna.create_room(json!({ "room_version": "10", "preset": "public_chat" })).await;
    ben.join(&old).await.ok();
    let rule = |kind: &str, room: &str| format!("/_matrix/client/v3/pushrules/global/{kind}/{}", escape(room));
    for client in [&anna, &ben] {
        client.put(&rule("room", &old), json!({ "actions": ["notify"] })).await.ok();
    }
    let muted = json!({
        "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": old }], "actions": [],
    });
    ben.put(&rule("override", &old), muted).await.ok();
    ben.put(&format!("{}/enabled", rule("override", &old)), json!({ "enabled": false })).await.ok();

    let last = timeline(&anna, &old).await.last().unwrap()["event_id"].clone();
    let new = upgrade(&anna, &old, json!({ "new_version": "11" })).await;
    let create = state(&anna, &new, "m.room.create", "").await;
    assert_eq!(create["predecessor"], json!({ "room_id": old, "event_id": last }));
    assert_eq!(anna.get(&rule("room", &new)).await.ok()["actions"], json!(["notify"]));
    ben.get(&rule("room", &new)).await.refused(404, "M_NOT_FOUND");
    ben.join(&new).await.ok();
    assert_eq!(ben.get(&rule("room", &new)).await.ok()["actions"], json!(["notify"]));
    let copy = ben.get(&rule("override", &new)).await.ok();
    assert_eq!((&copy["conditions"][0]["pattern"], &copy["enabled"]), (&json!(new), &json!(false)));
    ben.get(&rule("override", &old)).await.ok();

    // What somebody took off stays off, also when they come back.
    ben.delete(&rule("room", &new)).await.ok();
    ben.leave(&new).await.ok();
    ben.join(&new).await.ok();
    ben.get(&rule("room", &new)).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn who_asks_again_for_an_upgrade_is_told_of_the_same_room() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let old = anna.create_room(json!({ "room_version": "11", "preset": "public_chat" })).await;
    ben.join(&old).await.ok();
    let power = json!({ "users": { &anna.user_id: 100, &ben.user_id: 100 } });
    anna.set_state(&old, "m.room.power_levels", "", power).await.ok();
    let request = json!({ "new_version": "12", "additional_creators": [ben.user_id] });
    let ask = || upgrade(&anna, &old, request.clone());
    let (first, second, third) = tokio::join!(ask(), ask(), ask());
    assert_eq!((&first, &first), (&second, &third));
    assert_eq!(upgrade(&anna, &old, request.clone()).await, first);
    let joined = anna.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), 2, "{joined}");
    assert_eq!(timeline(&anna, &old).await.iter().filter(|event| event["type"] == "m.room.tombstone").count(), 1);

    // Whoever wants something else, or is somebody else, gets another room.
    let mut others = vec![first.clone()];
    for other in [
        upgrade(&anna, &old, json!({ "new_version": "12" })).await,
        upgrade(&anna, &old, json!({ "new_version": "11" })).await,
        upgrade(&ben, &old, json!({ "new_version": "11" })).await,
    ] {
        assert!(!others.contains(&other), "{other}");
        others.push(other);
    }
    // So does who has left the one they made.
    let last = others.last().unwrap().clone();
    ben.leave(&last).await.ok();
    assert_ne!(upgrade(&ben, &old, json!({ "new_version": "11" })).await, last);
}

#[tokio::test]
async fn the_new_room_is_seen_together_with_the_end_of_the_old_one() {
    // Commits take their time.
    let server = Server::with(|config| config.database.durability = Durability::Fsync).await;
    let anna = server.register("anna").await;
    for _ in 0..10 {
        let old = anna.create_room(json!({ "room_version": "11" })).await;
        let since = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let ended = |sync: &Value| {
            let rooms = sync["rooms"]["join"].as_object()?;
            rooms.keys().find(|room| **room != old)?;
            let events = rooms.get(&old).and_then(|room| room["timeline"]["events"].as_array());
            Some(events.is_some_and(|events| events.iter().any(|event| event["type"] == "m.room.tombstone")))
        };
        let (_, (seen, _)) =
            tokio::join!(upgrade(&anna, &old, json!({ "new_version": "12" })), anna.sync_until(&since, ended));
        assert!(seen, "the new room was shown while the old one went on");
    }
}
