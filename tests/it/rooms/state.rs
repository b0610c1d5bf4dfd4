//! `PUT /rooms/{roomId}/state/…`.

use serde_json::{Value, json};

use super::{membership, state, timeline};
use crate::harness::{Server, escape};

#[tokio::test]
async fn the_same_content_again_is_the_same_event() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let set = async |name: &str| {
        anna.set_state(&room, "m.room.name", "", json!({ "name": name })).await.ok()["event_id"].clone()
    };
    let first = set("Maths").await;
    assert_eq!(set("Maths").await, first);
    assert_ne!(set("Physics").await, first);
    assert_ne!(set("Maths").await, first);
    let (a, b) = tokio::join!(set("Both"), set("Both"));
    assert_eq!(a, b);
}

#[tokio::test]
async fn the_state_key_may_be_left_out_with_its_slash() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    for (number, rest) in ["state/m.room.name", "state/m.room.name/"].into_iter().enumerate() {
        let path = format!("/_matrix/client/v3/rooms/{}/{rest}", escape(&room));
        anna.put(&path, json!({ "name": format!("N{number}") })).await.ok();
        assert_eq!(state(&anna, &room, "m.room.name", "").await["name"], format!("N{number}"));
    }
    anna.set_state(&room, "org.example.x", "key / with % all", json!({ "a": 1 })).await.ok();
    assert_eq!(state(&anna, &room, "org.example.x", "key / with % all").await, json!({ "a": 1 }));
}

#[tokio::test]
async fn power_decides_who_sets_what() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    ben.set_state(&room, "m.room.name", "", json!({ "name": "x" })).await.refused(403, "M_FORBIDDEN");
    ben.join(&room).await.ok();
    ben.set_state(&room, "m.room.name", "", json!({ "name": "x" })).await.refused(403, "M_FORBIDDEN");
    anna.set_state(&room, "m.room.create", "", json!({})).await.refused(400, "M_INVALID_PARAM");
    anna.set_state(&room, "m.x", &ben.user_id, json!({})).await.refused(403, "M_FORBIDDEN");
    anna.set_state(&room, "m.x", &"k".repeat(256), json!({})).await.refused(413, "M_TOO_LARGE");
    let creator_listed = json!({ "users": { &anna.user_id: 100 } });
    anna.set_state(&room, "m.room.power_levels", "", creator_listed).await.refused(400, "M_INVALID_PARAM");
    let too_much = json!({ "users": { &ben.user_id: 9_007_199_254_740_992_i64 } });
    anna.set_state(&room, "m.room.power_levels", "", too_much).await.refused(400, "M_BAD_JSON");
    let shut_out = json!({ "allow": ["elsewhere.example"], "deny": [], "allow_ip_literals": false });
    anna.set_state(&room, "m.room.server_acl", "", shut_out).await.refused(400, "M_INVALID_PARAM");
    anna.set_state(&room, "m.room.encryption", "", json!({ "algorithm": "m.megolm.v1.aes-sha2" })).await.ok();
}

#[tokio::test]
async fn memberships_can_be_set_as_state_within_the_rules() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "private_chat" })).await;
    let member = async |who: &crate::harness::Client, target: &str, content: Value| {
        who.set_state(&room, "m.room.member", target, content).await
    };
    member(&ben, &ben.user_id, json!({ "membership": "join" })).await.refused(403, "M_FORBIDDEN");
    member(&anna, "not a user", json!({ "membership": "invite" })).await.refused(400, "M_INVALID_PARAM");
    member(&anna, "@nobody:school.example", json!({ "membership": "invite" })).await.refused(404, "M_NOT_FOUND");
    member(&anna, &ben.user_id, json!({ "membership": "join" })).await.refused(403, "M_FORBIDDEN");
    member(&anna, &ben.user_id, json!({ "membership": "invite" })).await.ok();
    member(&ben, &ben.user_id, json!({ "membership": "join" })).await.ok();
    member(&ben, &ben.user_id, json!({ "membership": "join", "displayname": "Benny" })).await.ok();
    assert_eq!(state(&anna, &room, "m.room.member", &ben.user_id).await["displayname"], "Benny");
    member(&ben, &anna.user_id, json!({ "membership": "ban" })).await.refused(403, "M_FORBIDDEN");
    member(&anna, &ben.user_id, json!({ "membership": "ban" })).await.ok();
    assert_eq!(membership(&anna, &room, &ben.user_id).await, "ban");
    assert!(timeline(&anna, &room).await.iter().all(|event| event["content"]["membership"] != "knock"));
}
