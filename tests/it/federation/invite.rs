//! Inviting over the border between servers.

use http::Method;
use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::{Fake, Pair, Reply, join::membership, server};
use crate::harness::{Client, Server, escape};

/// Waits until somebody is invited, from the beginning; what they are shown, and the token to go on with.
pub(super) async fn invited(client: &Client, room: &str) -> (Vec<Value>, String) {
    let shown = |sync: &Value| sync["rooms"]["invite"][room]["invite_state"]["events"].as_array().cloned();
    let first = client.sync(None).await;
    let since = first["next_batch"].as_str().unwrap().to_owned();
    match shown(&first) {
        Some(shown) => (shown, since),
        None => client.sync_until(&since, shown).await,
    }
}

#[tokio::test]
async fn who_is_invited_sees_the_room_and_joins_without_being_told_where() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let body = json!({ "preset": "private_chat", "name": "Invites room", "invite": [bert.user_id], "is_direct": true });
    let room = ada.create_room(body).await;
    let (shown, _) = invited(&bert, &room).await;
    let content = |kind: &str| &shown.iter().find(|event| event["type"] == kind).unwrap()["content"];
    assert_eq!(content("m.room.name")["name"], "Invites room");
    assert_eq!(content("m.room.join_rules")["join_rule"], "invite");
    let own = shown.last().unwrap();
    assert_eq!((&own["state_key"], &own["content"]["is_direct"]), (&json!(bert.user_id), &json!(true)));
    bert.join(&room).await.ok();
    let sync = bert.sync(None).await;
    assert!(sync["rooms"]["invite"].get(&room).is_none(), "the invitation is over");
    let timeline = sync["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap();
    let joined = timeline.iter().find(|event| event["state_key"] == bert.user_id).unwrap();
    assert_eq!(joined["unsigned"]["prev_content"]["is_direct"], true);
    assert_eq!(joined["unsigned"]["prev_sender"], ada.user_id);
}

#[tokio::test]
async fn the_second_of_a_server_is_invited_and_joins_too() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert, bella) = (a.register("ada").await, b.register("bert").await, b.register("bella").await);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    ada.invite(&room, &bert.user_id).await.ok();
    invited(&bert, &room).await;
    bert.join_via(&room, a.name()).await.ok();
    ada.invite(&room, &bella.user_id).await.ok();
    invited(&bella, &room).await;
    bella.join_via(&room, a.name()).await.ok();
    let since = ada.sync(None).await;
    if membership(&since, &room, &bella.user_id).as_deref() != Some("join") {
        let since = since["next_batch"].as_str().unwrap();
        ada.sync_until(since, |sync| membership(sync, &room, &bella.user_id).filter(|is| is == "join")).await;
    }
}

#[tokio::test]
async fn an_invitation_that_the_other_server_refuses_is_not_made() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    let no = json!({ "errcode": "M_FORBIDDEN", "error": "not with us" });
    fake.answer(Method::PUT, "/_matrix/federation/v2/invite/", move |_| Reply::Json(403, no.clone()));
    let answer = ada.invite(&room, &fake.user("eve")).await.refused(403, "M_FORBIDDEN");
    assert_eq!(answer["error"], "not with us");
    let state = ada.room(&room, &format!("state/m.room.member/{}", escape(&fake.user("eve")))).await;
    assert_eq!(state.status, 404, "nobody is invited");

    // Another event than the one that was sent, or one that is not signed, is as good as none.
    fake.answer(Method::PUT, "/_matrix/federation/v2/invite/", |received| {
        Reply::ok(json!({ "event": received.body["event"] }))
    });
    assert_eq!(ada.invite(&room, &fake.user("eve")).await.status, 502);
    let sent = &fake.received("/_matrix/federation/v2/invite/")[0].body;
    let create = sent["invite_room_state"].as_array().unwrap().iter().find(|event| event["type"] == "m.room.create");
    assert!(create.unwrap()["signatures"].is_object(), "the create event is shown in full");
}

/// An invitation of a room on the fake server.
fn invite(fake: &Fake, target: &str, change: impl FnOnce(&mut Value)) -> (String, Value) {
    let mut event = json!({
        "type": "m.room.member", "room_id": format!("!r:{}", fake.name()), "sender": fake.user("eve"),
        "state_key": target, "content": { "membership": "invite" }, "prev_events": ["$a"], "auth_events": ["$b"],
        "depth": 3, "origin_server_ts": 1,
    });
    change(&mut event);
    let rules = RoomVersionId::V11.rules().unwrap();
    let event = fake.sign_event(event, &rules);
    let object = serde_json::from_value(event.clone()).unwrap();
    (format!("${}", ruma::signatures::reference_hash(&object, &rules).unwrap()), event)
}

async fn send(fake: &Fake, a: &Server, id: &str, event: Value, state: Value) -> crate::harness::Answer {
    let room = format!("!r:{}", fake.name());
    let path = format!("/_matrix/federation/v2/invite/{}/{}", escape(&room), escape(id));
    fake.call(a, Method::PUT, &path, json!({ "room_version": "11", "event": event, "invite_room_state": state })).await
}

#[tokio::test]
async fn only_invitations_are_signed_and_only_for_users_who_are_there() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    type Change = fn(&mut Value);
    let changes: [(Change, u16); 6] = [
        (|event| event["content"]["membership"] = json!("join"), 400),
        (|event| event["content"]["membership"] = json!("leave"), 400),
        (|event| event["type"] = json!("m.room.power_levels"), 400),
        (|event| event["state_key"] = json!("@somebody:other.example"), 400),
        (|event| event["room_id"] = json!("!other:other.example"), 400),
        (|event| event["sender"] = json!("@somebody:other.example"), 403),
    ];
    for (change, status) in changes {
        let (id, event) = invite(&fake, &ada.user_id, change);
        let answer = send(&fake, &a, &id, event, json!([])).await;
        assert_eq!(answer.status, status);
    }
    let (id, event) = invite(&fake, &format!("@nobody:{}", a.name()), |_| {});
    send(&fake, &a, &id, event, json!([])).await.refused(403, "M_FORBIDDEN");
    let (_, event) = invite(&fake, &ada.user_id, |_| {});
    assert_eq!(send(&fake, &a, "$other", event.clone(), json!([])).await.status, 400);
    let (id, mut forged) = invite(&fake, &ada.user_id, |_| {});
    forged["content"]["displayname"] = json!("changed after signing");
    assert_eq!(send(&fake, &a, &id, forged, json!([])).await.status, 400, "a wrong hash");
    assert!(ada.sync(None).await["rooms"].get("invite").is_none());

    let (id, event) = invite(&fake, &ada.user_id, |_| {});
    let signed = send(&fake, &a, &id, event.clone(), json!([])).await.ok();
    assert!(signed["event"]["signatures"][a.name().as_str()].is_object());
    assert_eq!(signed["event"]["signatures"][fake.name().as_str()], event["signatures"][fake.name().as_str()]);
    assert_eq!(signed["event"]["content"], event["content"]);
}

#[tokio::test]
async fn hostile_state_of_an_invitation_does_not_break_sync() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let (id, event) = invite(&fake, &ada.user_id, |_| {});
    let state = json!([
        { "type": "m.room.name", "state_key": "", "sender": fake.user("eve"), "content": { "name": "Fine" } },
        { "type": 7, "state_key": "", "sender": "nobody", "content": "x" },
        "text", null, [], { "type": "m.room.topic" },
        { "type": "x".repeat(5000), "state_key": "", "sender": fake.user("eve"), "content": {} },
    ]);
    send(&fake, &a, &id, event, state).await.ok();
    let (shown, since) = invited(&ada, &format!("!r:{}", fake.name())).await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[0]["content"]["name"], "Fine");

    // The room's server is gone: whoever declines is rid of it all the same.
    fake.stop().await;
    ada.leave(&shown_room(&ada).await).await.ok();
    let sync = ada.sync(Some(&since)).await;
    assert_eq!(sync["rooms"]["leave"].as_object().unwrap().len(), 1, "{sync}");
    assert!(ada.sync(None).await["rooms"].get("invite").is_none());
}

async fn shown_room(client: &Client) -> String {
    client.sync(None).await["rooms"]["invite"].as_object().unwrap().keys().next().unwrap().clone()
}

#[tokio::test]
async fn who_blocks_invitations_gets_none() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.invite_permission_config", escape(&ada.user_id));
    ada.put(&path, json!({ "default_action": "block" })).await.ok();
    let (id, event) = invite(&fake, &ada.user_id, |_| {});
    send(&fake, &a, &id, event, json!([])).await.refused(403, "M_INVITE_BLOCKED");
}

#[tokio::test]
async fn nobody_is_invited_where_the_server_is_not_talked_to() {
    let Pair { a, b } = Pair::with(|config| config.federation.allow.clear(), |_| {}).await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    ada.invite(&room, &bert.user_id).await.refused(403, "M_FORBIDDEN");
    let theirs = bert.create_room(json!({ "preset": "private_chat" })).await;
    assert!(bert.invite(&theirs, &ada.user_id).await.status.as_u16() >= 400);
}
