//! Invite, join, knock, leave, kick, ban, unban, forget.

use serde_json::json;

use super::{membership, post, state, timeline};
use crate::harness::{Server, escape};

#[tokio::test]
async fn who_is_invited_may_join_and_nobody_else() {
    let server = Server::start().await;
    let (anna, ben, cleo) =
        (server.register("anna").await, server.register("ben").await, server.register("cleo").await);
    let room = anna.create_room(json!({ "preset": "private_chat" })).await;
    ben.join(&room).await.refused(403, "M_FORBIDDEN");
    let body = json!({ "user_id": ben.user_id, "reason": "homework" });
    post(&anna, &room, "invite", body).await.ok();
    assert_eq!(state(&anna, &room, "m.room.member", &ben.user_id).await["reason"], "homework");
    // Being invited twice is one event.
    let before = timeline(&anna, &room).await.len();
    anna.invite(&room, &ben.user_id).await.ok();
    assert_eq!(timeline(&anna, &room).await.len(), before);
    cleo.invite(&room, &cleo.user_id).await.refused(403, "M_FORBIDDEN");
    ben.join(&room).await.ok();
    anna.invite(&room, &ben.user_id).await.refused(403, "M_FORBIDDEN");
    anna.invite(&room, &anna.user_id).await.refused(403, "M_FORBIDDEN");
    anna.invite(&room, "@nobody:school.example").await.refused(404, "M_NOT_FOUND");
    anna.invite(&room, "@x:elsewhere.example").await.refused(403, "M_FORBIDDEN");
    let by_mail = json!({ "id_server": "id.example", "id_access_token": "t", "medium": "email", "address": "a@b.c" });
    post(&anna, &room, "invite", by_mail).await.refused(403, "M_THREEPID_DENIED");
}

#[tokio::test]
async fn joining_again_changes_nothing_unless_something_is_said() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat", "room_alias_name": "open" })).await;
    let by_alias = "/_matrix/client/v3/join/%23open%3Aschool.example";
    let joined = ben.post(by_alias, json!({ "foo": "bar", "membership": "ban", "reason": "hello" })).await.ok();
    assert_eq!(joined["room_id"], room.as_str());
    let member = state(&anna, &room, "m.room.member", &ben.user_id).await;
    assert_eq!(member, json!({ "membership": "join", "foo": "bar", "reason": "hello" }));
    let before = timeline(&anna, &room).await.len();
    ben.post(by_alias, json!({})).await.ok();
    ben.call_raw(reqwest::Method::POST, by_alias, "").await.ok();
    assert_eq!(timeline(&anna, &room).await.len(), before);
    ben.post(by_alias, json!({ "reason": "again" })).await.ok();
    assert_eq!(timeline(&anna, &room).await.len(), before + 1);
}

#[tokio::test]
async fn unknown_rooms_and_aliases_are_not_found() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    anna.join("!nowhere:school.example").await.refused(404, "M_NOT_FOUND");
    anna.post("/_matrix/client/v3/join/!nowhere:elsewhere.example?via=elsewhere.example", json!({}))
        .await
        .refused(404, "M_NOT_FOUND");
    anna.post("/_matrix/client/v3/join/%23none%3Aschool.example", json!({})).await.refused(404, "M_NOT_FOUND");
    anna.post("/_matrix/client/v3/knock/%23none%3Aschool.example", json!({})).await.refused(404, "M_NOT_FOUND");
    anna.leave("!nowhere:school.example").await.refused(404, "M_NOT_FOUND");
    anna.post("/_matrix/client/v3/join/nonsense", json!({})).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn leaving_is_possible_once_invited_and_harmless_twice() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "private_chat" })).await;
    ben.leave(&room).await.refused(403, "M_FORBIDDEN");
    anna.invite(&room, &ben.user_id).await.ok();
    anna.leave(&room).await.ok();
    post(&ben, &room, "leave", json!({ "reason": "no" })).await.ok();
    let before = timeline(&anna, &room).await.len();
    ben.leave(&room).await.ok();
    assert_eq!(timeline(&anna, &room).await.len(), before);
}

#[tokio::test]
async fn kick_ban_and_unban_follow_the_membership() {
    let server = Server::start().await;
    let (anna, ben, cleo) =
        (server.register("anna").await, server.register("ben").await, server.register("cleo").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    let act = async |action: &str, reason: Option<&str>| {
        post(&anna, &room, action, json!({ "user_id": ben.user_id, "reason": reason })).await
    };
    act("kick", None).await.refused(403, "M_FORBIDDEN");
    act("unban", None).await.refused(403, "M_BAD_STATE");
    ben.join(&room).await.ok();
    post(&ben, &room, "kick", json!({ "user_id": anna.user_id })).await.refused(403, "M_FORBIDDEN");
    post(&cleo, &room, "ban", json!({ "user_id": ben.user_id })).await.refused(403, "M_FORBIDDEN");
    act("kick", Some("noise")).await.ok();
    assert_eq!(
        state(&anna, &room, "m.room.member", &ben.user_id).await,
        json!({ "membership": "leave", "reason": "noise" })
    );
    act("kick", None).await.refused(403, "M_FORBIDDEN");
    ben.join(&room).await.ok();
    act("ban", Some("again")).await.ok();
    assert_eq!(membership(&anna, &room, &ben.user_id).await, "ban");
    ben.join(&room).await.refused(403, "M_FORBIDDEN");
    ben.leave(&room).await.refused(403, "M_FORBIDDEN");
    anna.invite(&room, &ben.user_id).await.refused(403, "M_FORBIDDEN");
    act("kick", None).await.refused(403, "M_FORBIDDEN");
    act("unban", None).await.ok();
    ben.join(&room).await.ok();
}

#[tokio::test]
async fn knocking_asks_to_be_let_in() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "private_chat" })).await;
    let knock = format!("/_matrix/client/v3/knock/{}", escape(&room));
    ben.post(&knock, json!({})).await.refused(403, "M_FORBIDDEN");
    anna.set_state(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
    ben.join(&room).await.refused(403, "M_FORBIDDEN");
    assert_eq!(ben.post(&knock, json!({ "reason": "please" })).await.ok()["room_id"], room.as_str());
    assert_eq!(state(&anna, &room, "m.room.member", &ben.user_id).await["reason"], "please");
    ben.post(&knock, json!({})).await.ok();
    ben.leave(&room).await.ok();
    ben.post(&knock, json!({})).await.ok();
    anna.invite(&room, &ben.user_id).await.ok();
    ben.post(&knock, json!({})).await.refused(403, "M_FORBIDDEN");
    ben.join(&room).await.ok();
    ben.post(&knock, json!({})).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn only_a_room_one_has_left_can_be_forgotten() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    post(&anna, &room, "forget", json!({})).await.refused(400, "M_UNKNOWN");
    ben.join(&room).await.ok();
    ben.leave(&room).await.ok();
    assert_eq!(ben.room(&room, "messages?dir=b").await.status, 200);
    post(&ben, &room, "forget", json!({})).await.ok();
    ben.room(&room, "messages?dir=b").await.refused(403, "M_FORBIDDEN");
    post(&ben, "!nowhere:school.example", "forget", json!({})).await.refused(400, "M_INVALID_PARAM");
    // Coming back ends it.
    ben.join(&room).await.ok();
    assert_eq!(ben.room(&room, "messages?dir=b").await.status, 200);
}

#[tokio::test]
async fn guests_join_where_the_room_lets_them() {
    let server = Server::with(|config| config.registration.guests = true).await;
    let anna = server.register("anna").await;
    let answer = server.anonymous().post("/_matrix/client/v3/register?kind=guest", json!({})).await.ok();
    let mut guest = server.anonymous();
    guest.token = answer["access_token"].as_str().unwrap().to_owned();
    let open = json!([{ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } }]);
    let open = anna.create_room(json!({ "preset": "public_chat", "initial_state": open })).await;
    let shut = anna.create_room(json!({ "preset": "public_chat" })).await;
    guest.join(&shut).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest.join(&open).await.ok();
    guest.send(&open, "hello").await;
}
