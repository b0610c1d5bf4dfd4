//! What members may do in rooms that the school made.

use homeroom::school::audit::Author;
use reqwest::Method;
use ruma::RoomId;
use serde_json::{Value, json};

use super::{V3, Walk, in_room, refused_by};
use crate::harness::{Answer, Client, escape};

/// The room of a name in which somebody is.
async fn room_named(client: &Client, name: &str, space: bool) -> String {
    let rooms = client.get(&format!("{V3}/joined_rooms")).await.ok();
    for room in rooms["joined_rooms"].as_array().unwrap() {
        let room = room.as_str().unwrap();
        let named = client.room(room, "state/m.room.name/").await.body["name"] == name;
        let is_space = client.room(room, "state/m.room.create/").await.ok()["type"] == "m.space";
        if named && is_space == space {
            return room.to_owned();
        }
    }
    panic!("{} is in no room called {name}", client.user_id);
}

async fn message(client: &Client, room: &str, transaction: &str) -> Answer {
    let body = json!({ "msgtype": "m.text", "body": "hello" });
    in_room(client, Method::PUT, room, &format!("send/m.room.message/{transaction}"), body).await
}

#[tokio::test]
async fn who_is_in_a_room_of_the_school_is_not_for_its_members_to_say() {
    let walk = Walk::start().await;
    let (tutor, pupil) = (walk.small.client("tutor"), walk.small.client("pupil"));
    for space in [false, true] {
        let room = room_named(pupil, "8a", space).await;
        for client in [pupil, tutor] {
            refused_by("leave", &client.leave(&room).await, "rooms.school");
            let leave = json!({ "membership": "leave" });
            let answer = client.set_state(&room, "m.room.member", &client.user_id, leave).await;
            refused_by("leave", &answer, "rooms.school");
            refused_by(
                "invite",
                &client.invite(&room, walk.id("head")).await,
                if client.user_id == tutor.user_id { "rooms.school" } else { "matrix.student.leadership.add" },
            );
        }
        for (action, target) in [("kick", &pupil.user_id), ("ban", &pupil.user_id)] {
            let answer = in_room(tutor, Method::POST, &room, action, json!({ "user_id": target })).await;
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
        for (kind, content) in [
            ("m.room.name", json!({ "name": "Ours" })),
            ("m.room.join_rules", json!({ "join_rule": "public" })),
            ("m.room.power_levels", json!({ "users_default": 100 })),
            ("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
            ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
            ("m.room.tombstone", json!({ "body": "x", "replacement_room": "!x:y" })),
            ("m.space.child", json!({ "via": ["x"] })),
            ("org.example.own", json!({ "x": 1 })),
        ] {
            for client in [pupil, tutor] {
                refused_by(kind, &client.set_state(&room, kind, "", content.clone()).await, "rooms.school");
            }
        }
        let alias = format!("{V3}/directory/room/{}", escape("#8a:school.example"));
        refused_by("alias", &tutor.put(&alias, json!({ "room_id": room })).await, "rooms.school");
        let upgrade = json!({ "new_version": "12" });
        assert_eq!(in_room(tutor, Method::POST, &room, "upgrade", upgrade).await.status, 403);
        let join = walk.small.client("other_teacher").join(&room).await;
        join.refused(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn members_write_and_teachers_pin() {
    let walk = Walk::start().await;
    let (tutor, pupil) = (walk.small.client("tutor"), walk.small.client("pupil"));
    let room = room_named(pupil, "8a", false).await;
    message(pupil, &room, "1").await.ok();
    let sent = message(tutor, &room, "1").await.ok();
    let pins = json!({ "pinned": [sent["event_id"]] });
    refused_by("pin", &pupil.set_state(&room, "m.room.pinned_events", "", pins.clone()).await, "rooms.school");
    let topic = tutor.set_state(&room, "m.room.topic", "", json!({ "topic": "Fractions" })).await;
    let pinned = tutor.set_state(&room, "m.room.pinned_events", "", pins).await;
    for answer in [topic, pinned] {
        // Where the power levels let them.
        assert!(answer.status == 200 || answer.body["org.homeroom.reason"] == Value::Null, "{}", answer.body);
    }
    // A new name reaches every room, and the member event that says it is no leaving and no joining.
    let name = json!({ "displayname": "Frau Tafel" });
    tutor.put(&format!("{V3}/profile/{}/displayname", escape(&tutor.user_id)), name).await.ok();
    let since = pupil.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let path = format!("state/m.room.member/{}", escape(&tutor.user_id));
    if pupil.room(&room, &path).await.ok()["displayname"] != "Frau Tafel" {
        let renamed = |answer: &Value| {
            let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
            events.iter().any(|event| event["content"]["displayname"] == "Frau Tafel").then_some(())
        };
        pupil.sync_until(&since, renamed).await;
    }
}

#[tokio::test]
async fn in_a_frozen_room_nobody_writes() {
    let walk = Walk::start().await;
    let (tutor, pupil) = (walk.small.client("tutor"), walk.small.client("pupil"));
    let room = room_named(pupil, "8a", false).await;
    message(pupil, &room, "1").await.ok();
    let id = RoomId::parse(&room).unwrap();
    walk.small.school().rooms.freeze(&id, true, &Author::console()).await.unwrap();
    for client in [tutor, pupil] {
        refused_by("frozen", &message(client, &room, "2").await, "rooms.closed");
        let topic = client.set_state(&room, "m.room.topic", "", json!({ "topic": "x" })).await;
        refused_by("frozen", &topic, "rooms.closed");
        client.room(&room, "messages?dir=b").await.ok();
    }
    walk.small.school().rooms.freeze(&id, false, &Author::console()).await.unwrap();
    message(pupil, &room, "3").await.ok();
}
