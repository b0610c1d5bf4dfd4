//! Rooms as those see them who are not in them: in the directory, in spaces, by alias and by id.

use reqwest::Method;
use serde_json::{Value, json};

use super::{V3, Walk, in_room, shape};
use crate::harness::{Client, escape};

/// The alias of the room of staff.
const ALIAS: &str = "#colleagues:school.example";

/// A room that a teacher has opened to everybody, and a space with it, the teacher's private room and a room that was
/// never made.
struct Rooms {
    open: String,
    space: String,
    private: String,
}

async fn rooms(walk: &Walk) -> Rooms {
    let tutor = walk.small.client("tutor");
    let body =
        json!({ "preset": "public_chat", "visibility": "public", "room_alias_name": "colleagues", "name": "Us" });
    let open = tutor.create_room(body).await;
    let world = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } });
    let body = json!({
        "preset": "public_chat", "visibility": "public", "name": "Space",
        "creation_content": { "type": "m.space" }, "initial_state": [world],
    });
    let space = tutor.create_room(body).await;
    let private = walk.own_rooms["tutor"].clone();
    for room in [&open, &private] {
        tutor.set_state(&space, "m.space.child", room, json!({ "via": ["school.example"] })).await.ok();
    }
    Rooms { open, space, private }
}

async fn listed(client: &Client, query: &str) -> (Vec<String>, u64) {
    let page = client.get(&format!("{V3}/publicRooms{query}")).await.ok();
    let rooms = page["chunk"].as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap().to_owned());
    (rooms.collect(), page["total_room_count_estimate"].as_u64().unwrap())
}

async fn hierarchy(client: &Client, space: &str) -> Value {
    client.get(&format!("/_matrix/client/v1/rooms/{}/hierarchy", escape(space))).await.ok()
}

#[tokio::test]
async fn staff_find_each_others_open_rooms() {
    let walk = Walk::start().await;
    let rooms = rooms(&walk).await;
    for name in ["head", "other_teacher", "parent_teacher", "office", "lead"] {
        let client = walk.small.client(name);
        assert_eq!(listed(client, "").await.1, 2, "{name}");
        assert_eq!(listed(client, "?limit=1").await.0.len(), 1, "{name}");
        let found = client.get(&format!("{V3}/directory/room/{}", escape(ALIAS))).await.ok();
        assert_eq!(found["room_id"], rooms.open.as_str());
        let found = hierarchy(client, &rooms.space).await;
        // Neither the room nor the link to it is shown to those who may not know of it.
        assert_eq!(found["rooms"].as_array().unwrap().len(), 2, "{found}");
        assert_eq!(found["rooms"][0]["children_state"].as_array().unwrap().len(), 1, "{found}");
        assert!(!found.to_string().contains(&rooms.private), "{found}");
        client.join(&rooms.open).await.ok();
    }
}

#[tokio::test]
async fn families_and_strangers_are_shown_no_room_they_do_not_belong_to() {
    let walk = Walk::start().await;
    let rooms = rooms(&walk).await;
    let nowhere = "!nowhere-at-all:school.example";
    for name in ["pupil", "junior", "guardian", "stranger_guardian", "relative", "admin"] {
        let client = walk.small.client(name);
        assert_eq!(listed(client, "").await, (Vec::new(), 0), "{name}");
        let filtered = client.post(&format!("{V3}/publicRooms"), json!({ "filter": {} })).await.ok();
        assert_eq!((&filtered["chunk"], &filtered["total_room_count_estimate"]), (&json!([]), &json!(0)), "{name}");
        for (path, hidden, missing) in [
            (format!("{V3}/directory/room/"), ALIAS, "#none-of-ours:school.example"),
            (format!("{V3}/directory/list/room/"), &rooms.open, nowhere),
            ("/_matrix/client/v1/room_summary/".into(), &rooms.open, nowhere),
            ("/_matrix/client/v1/room_summary/".into(), ALIAS, "#none-of-ours:school.example"),
        ] {
            let answer = client.get(&format!("{path}{}", escape(hidden))).await;
            let other = client.get(&format!("{path}{}", escape(missing))).await;
            assert_eq!(shape(&answer, hidden), shape(&other, missing), "{name}: {}", answer.asked);
            assert_eq!(answer.status, 404, "{name}: {}", answer.asked);
        }
        for (method, rest, body) in [
            (Method::POST, "join", json!({})),
            (Method::POST, "leave", json!({})),
            (Method::POST, "forget", json!({})),
            (Method::POST, "invite", json!({ "user_id": client.user_id })),
            (Method::POST, "upgrade", json!({ "new_version": "12" })),
            (Method::PUT, "typing/@x:school.example", json!({ "typing": true })),
            (Method::PUT, "send/m.room.message/1", json!({ "body": "x" })),
            (Method::PUT, "state/m.room.topic", json!({ "topic": "x" })),
            (Method::PUT, "state/m.room.member/@x:school.example", json!({ "membership": "ban" })),
            (Method::GET, "messages?dir=b", Value::Null),
            (Method::GET, "state", Value::Null),
            (Method::GET, "members", Value::Null),
            (Method::GET, "joined_members", Value::Null),
            (Method::GET, "aliases", Value::Null),
            (Method::GET, "context/%24none", Value::Null),
            (Method::GET, "event/%24none", Value::Null),
        ] {
            for room in [&rooms.open, &rooms.space, &rooms.private] {
                let answer = in_room(client, method.clone(), room, rest, body.clone()).await;
                let other = in_room(client, method.clone(), nowhere, rest, body.clone()).await;
                assert_eq!(shape(&answer, room), shape(&other, nowhere), "{name}: {}", answer.asked);
            }
        }
        let join = json!({ "membership": "join" });
        let answer = client.set_state(&rooms.open, "m.room.member", &client.user_id, join.clone()).await;
        let other = client.set_state(nowhere, "m.room.member", &client.user_id, join).await;
        assert_eq!(shape(&answer, &rooms.open), shape(&other, nowhere), "{name}");
        for (verb, name_of) in [("join", ALIAS), ("join", &rooms.open), ("knock", ALIAS), ("knock", &rooms.open)] {
            let missing = if name_of == ALIAS { "#none-of-ours:school.example" } else { nowhere };
            let answer = client.post(&format!("{V3}/{verb}/{}", escape(name_of)), json!({})).await;
            let other = client.post(&format!("{V3}/{verb}/{}", escape(missing)), json!({})).await;
            assert_eq!(shape(&answer, name_of), shape(&other, missing), "{name}: {}", answer.asked);
            assert_eq!(answer.status, 404, "{name}: {}", answer.asked);
        }
        // Administrators can remove any alias.
        if name != "admin" {
            let delete = async |alias: &str| client.delete(&format!("{V3}/directory/room/{}", escape(alias))).await;
            let (answer, other) = (delete(ALIAS).await, delete("#none-of-ours:school.example").await);
            assert_eq!(shape(&answer, ALIAS), shape(&other, "#none-of-ours:school.example"), "{name}");
        }
        let path = format!("/_matrix/client/v1/rooms/{}/hierarchy", escape(&rooms.space));
        client.get(&path).await.refused(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn who_has_not_signed_in_learns_nothing() {
    let walk = Walk::start().await;
    let rooms = rooms(&walk).await;
    let anybody = walk.small.server.anonymous();
    assert_eq!(listed(&anybody, "").await, (Vec::new(), 0));
    for path in [
        format!("{V3}/profile/{}", escape(walk.id("head"))),
        format!("{V3}/profile/{}/displayname", escape(walk.id("head"))),
        format!("{V3}/directory/room/{}", escape(ALIAS)),
        format!("{V3}/directory/list/room/{}", escape(&rooms.open)),
        format!("/_matrix/client/v1/room_summary/{}", escape(&rooms.open)),
    ] {
        anybody.get(&path).await.refused(404, "M_NOT_FOUND");
    }
}

/// The school's rooms are for those in them, also where somebody else would be shown such rooms.
#[tokio::test]
async fn rooms_of_families_are_not_shown_to_staff_outside() {
    let walk = Walk::start().await;
    let guardian = walk.small.client("guardian");
    let room = guardian.create_room(json!({ "is_direct": true, "invite": [walk.id("tutor")] })).await;
    let nowhere = "!nowhere-at-all:school.example";
    for name in ["head", "other_teacher", "office"] {
        let client = walk.small.client(name);
        for room_id in [&room, &walk.own_rooms["guardian"]] {
            let path = |room: &str| format!("/_matrix/client/v1/room_summary/{}", escape(room));
            let (answer, other) = (client.get(&path(room_id)).await, client.get(&path(nowhere)).await);
            assert_eq!(shape(&answer, room_id), shape(&other, nowhere), "{name}");
            let (answer, other) = (client.join(room_id).await, client.join(nowhere).await);
            assert_eq!(shape(&answer, room_id), shape(&other, nowhere), "{name}");
        }
    }
}
