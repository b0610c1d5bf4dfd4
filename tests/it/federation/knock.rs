//! Knocking over the border between servers.

use serde_json::{Value, json};

use super::{
    Fake, Pair,
    identity::{self, by_address, identify, proof, tell},
    invite::invited,
    join::membership,
    server,
};
use crate::harness::{Answer, Client, Server, escape};

async fn knock(client: &Client, room: &str, via: &Server, reason: &str) -> Answer {
    let path = format!("/_matrix/client/v3/knock/{}?via={}", escape(room), escape(via.name().as_str()));
    client.post(&path, json!({ "reason": reason })).await
}

#[tokio::test]
async fn a_knock_is_heard_refused_repeated_and_answered() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "private_chat", "name": "Door", "room_version": "7" })).await;
    knock(&bert, &room, &a, "now").await.refused(403, "M_FORBIDDEN");
    ada.set_state(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
    bert.join_via(&room, a.name()).await.refused(403, "M_FORBIDDEN");
    let ada_since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    knock(&bert, &room, &a, "let me in").await.ok();
    let shown = bert.sync(None).await["rooms"]["knock"][&room]["knock_state"]["events"].as_array().unwrap().clone();
    let own = shown.last().unwrap();
    assert_eq!((&own["content"]["membership"], &own["content"]["reason"]), (&json!("knock"), &json!("let me in")));
    assert!(shown.iter().any(|event| event["type"] == "m.room.name"));
    let heard = |sync: &Value| membership(sync, &room, &bert.user_id).filter(|is| is == "knock");
    ada.sync_until(&ada_since, heard).await;

    let body = json!({ "user_id": bert.user_id, "reason": "no" });
    ada.post(&format!("/_matrix/client/v3/rooms/{}/kick", escape(&room)), body).await.ok();
    knock(&bert, &room, &a, "please").await.ok();
    ada.invite(&room, &bert.user_id).await.ok();
    invited(&bert, &room).await;
    knock(&bert, &room, &a, "again").await.refused(403, "M_FORBIDDEN");
    bert.join_via(&room, a.name()).await.ok();
    knock(&bert, &room, &a, "again").await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_knock_is_taken_back() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    ada.set_state(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
    knock(&bert, &room, &a, "let me in").await.ok();
    bert.leave(&room).await.ok();
    assert!(bert.sync(None).await["rooms"].get("knock").is_none());
    let state = ada.room(&room, &format!("state/m.room.member/{}", escape(&bert.user_id))).await.ok();
    assert_eq!(state["membership"], "leave");
}

/// By the same invitation by e-mail address as before.
#[tokio::test]
async fn who_was_removed_does_not_come_back_by_knocking_before() {
    let fake = Fake::start().await;
    let name = fake.name().to_owned();
    let home = server(|config| config.federation.identity_servers = vec![name]).await;
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    identify(&fake, &[]);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    ada.set_state(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
    identity::invite(&ada, &room, by_address(&fake, "bert@school.example")).await.ok();
    let answer = [(&*room, &*ada.user_id, proof(&fake, &bert.user_id, "token0"))];
    let own = format!("state/m.room.member/{}", escape(&bert.user_id));
    let is = async || ada.room(&room, &own).await.ok()["membership"].clone();
    // Who leaves may come again.
    for _ in 0..2 {
        tell(&fake, &home, &bert.user_id, &answer).await.ok();
        bert.join(&room).await.ok();
        bert.leave(&room).await.ok();
    }
    tell(&fake, &home, &bert.user_id, &answer).await.ok();
    bert.join(&room).await.ok();
    let kick = format!("/_matrix/client/v3/rooms/{}/kick", escape(&room));
    ada.post(&kick, json!({ "user_id": bert.user_id })).await.ok();
    bert.post(&format!("/_matrix/client/v3/knock/{}", escape(&room)), json!({})).await.ok();
    tell(&fake, &home, &bert.user_id, &answer).await.ok();
    assert_eq!(is().await, "knock");
    bert.leave(&room).await.ok();
    tell(&fake, &home, &bert.user_id, &answer).await.ok();
    assert_eq!(is().await, "leave");
    ada.invite(&room, &bert.user_id).await.ok();
    bert.leave(&room).await.ok();
    tell(&fake, &home, &bert.user_id, &answer).await.ok();
    assert_eq!(is().await, "leave", "an invitation that was declined does not bring the other one back");
}
