//! Knocking over the border between servers.

use serde_json::{Value, json};

use super::{Pair, invite::invited, join::membership};
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
