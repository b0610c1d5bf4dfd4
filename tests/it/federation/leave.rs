//! Leaving and declining over the border between servers, and invitations that are taken back.

use serde_json::{Value, json};

use super::{Pair, invite::invited};
use crate::harness::{Client, escape};

/// Waits until somebody has left a room, beginning with everything there is.
async fn gone(client: &Client, room: &str, user: &str, since: &str) {
    let left = |sync: &Value| {
        let join = &sync["rooms"]["join"][room];
        let leave = &sync["rooms"]["leave"][room];
        let lists =
            [join, leave].into_iter().flat_map(|entry| [&entry["state"]["events"], &entry["timeline"]["events"]]);
        let events = lists.filter_map(Value::as_array).flatten();
        let mut found = events.filter(|event| event["type"] == "m.room.member" && event["state_key"] == user);
        found.any(|event| event["content"]["membership"] == "leave").then_some(())
    };
    client.sync_until(since, left).await;
}

fn since(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_invitation_is_declined_several_times() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    for _ in 0..3 {
        ada.invite(&room, &bert.user_id).await.ok();
        let (_, bert_since) = invited(&bert, &room).await;
        let ada_since = since(&ada.sync(None).await);
        bert.leave(&room).await.ok();
        gone(&ada, &room, &bert.user_id, &ada_since).await;
        gone(&bert, &room, &bert.user_id, &bert_since).await;
        assert!(bert.sync(None).await["rooms"].get("invite").is_none());
    }
    let forget = format!("/_matrix/client/v3/rooms/{}/forget", escape(&room));
    bert.post(&forget, json!({})).await.ok();
}

#[tokio::test]
async fn an_invitation_into_an_empty_room_is_declined() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "private_chat", "invite": [bert.user_id] })).await;
    let (_, bert_since) = invited(&bert, &room).await;
    ada.leave(&room).await.ok();
    bert.leave(&room).await.ok();
    gone(&bert, &room, &bert.user_id, &bert_since).await;
}

#[tokio::test]
async fn an_invitation_is_taken_back_by_who_made_it_only() {
    let Pair { a, b } = Pair::start().await;
    let (ada, anna, bert) = (a.register("ada").await, a.register("anna").await, b.register("bert").await);
    let kick = async |by: &Client, room: &str| {
        let body = json!({ "user_id": bert.user_id, "reason": "testing" });
        by.post(&format!("/_matrix/client/v3/rooms/{}/kick", escape(room)), body).await.ok();
    };
    // Made by one and taken back by another: the invited user's server cannot tell whether she may.
    let shared = ada.create_room(json!({ "preset": "private_chat", "invite": [anna.user_id] })).await;
    anna.join(&shared).await.ok();
    anna.invite(&shared, &bert.user_id).await.ok();
    invited(&bert, &shared).await;
    kick(&ada, &shared).await;
    // Made and taken back by the same: what came before it has arrived too.
    let own = ada.create_room(json!({ "preset": "private_chat", "invite": [bert.user_id] })).await;
    let (_, bert_since) = invited(&bert, &own).await;
    kick(&ada, &own).await;
    gone(&bert, &own, &bert.user_id, &bert_since).await;
    let rooms = bert.sync(None).await["rooms"]["invite"].clone();
    assert!(rooms.get(&shared).is_some() && rooms.get(&own).is_none(), "{rooms}");
}
