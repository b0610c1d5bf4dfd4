//! Rooms that members of other rooms may join, over the border between servers.

use serde_json::{Value, json};

use super::{Pair, join::membership, server};
use crate::harness::{Client, Server, escape};

/// A room that the members of another may join: that one, and this one.
async fn rooms(client: &Client, home: &Server, version: &str) -> (String, String) {
    let allowed = client.create_room(json!({ "preset": "public_chat", "name": "Space" })).await;
    let rule = json!({ "join_rule": "restricted", "allow": [
        { "type": "m.room_membership", "room_id": allowed, "via": [home.name()] },
    ] });
    let body = json!({
        "preset": "public_chat", "name": "Room", "room_version": version,
        "initial_state": [{ "type": "m.room.join_rules", "state_key": "", "content": rule }],
    });
    (allowed, client.create_room(body).await)
}

async fn joins(client: &Client, room: &str, via: &[&Server]) -> u16 {
    let servers: Vec<_> = via.iter().map(|server| format!("via={}", escape(server.name().as_str()))).collect();
    let path = format!("/_matrix/client/v3/join/{}?{}", escape(room), servers.join("&"));
    client.post(&path, json!({})).await.status.as_u16()
}

/// Waits until somebody sees that another has joined.
async fn until_joined(client: &Client, room: &str, user: &str) {
    let joined = |sync: &Value| membership(sync, room, user).filter(|is| is == "join");
    let first = client.sync(None).await;
    if joined(&first).is_none() {
        client.sync_until(first["next_batch"].as_str().unwrap(), joined).await;
    }
}

/// Who vouched, once somebody has joined.
async fn voucher(client: &Client, room: &str, user: &str) -> Value {
    let state = client.room(room, &format!("state/m.room.member/{}", escape(user))).await.ok();
    state["join_authorised_via_users_server"].clone()
}

#[tokio::test]
async fn a_member_of_the_allowed_room_is_let_in_and_vouched_for() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    for version in ["8", "12"] {
        let (allowed, room) = rooms(&ada, &a, version).await;
        assert_eq!(joins(&bert, &room, &[&a]).await, 403);
        assert_eq!(joins(&bert, &allowed, &[&a]).await, 200);
        assert_eq!(joins(&bert, &room, &[&a]).await, 200);
        assert_eq!(voucher(&ada, &room, &bert.user_id).await, json!(ada.user_id));
        assert_eq!(voucher(&bert, &room, &bert.user_id).await, json!(ada.user_id));
    }
}

#[tokio::test]
async fn who_cannot_vouch_sends_on_to_who_can() {
    let Pair { a, b } = Pair::start().await;
    let c = server(|_| {}).await;
    let (ada, bert, cleo) = (a.register("ada").await, b.register("bert").await, c.register("cleo").await);
    let (allowed, room) = rooms(&ada, &a, "8").await;
    let levels = json!({ "invite": 100, "users": { ada.user_id.as_str(): 100 } });
    ada.set_state(&room, "m.room.power_levels", "", levels).await.ok();
    for one in [&allowed, &room] {
        assert_eq!(joins(&bert, one, &[&a]).await, 200);
    }
    assert_eq!(joins(&cleo, &allowed, &[&a]).await, 200);
    assert!(joins(&cleo, &room, &[&b]).await >= 400, "nobody there may invite");
    assert_eq!(joins(&cleo, &room, &[&b, &a]).await, 200);
    assert_eq!(voucher(&cleo, &room, &cleo.user_id).await, json!(ada.user_id));
}

#[tokio::test]
async fn a_server_in_the_room_asks_another_to_vouch_for_its_own_user() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert, bella) = (a.register("ada").await, b.register("bert").await, b.register("bella").await);
    let (allowed, room) = rooms(&ada, &a, "8").await;
    let levels = json!({ "invite": 100, "users": { ada.user_id.as_str(): 100 } });
    ada.set_state(&room, "m.room.power_levels", "", levels).await.ok();
    for one in [&allowed, &room] {
        assert_eq!(joins(&bert, one, &[&a]).await, 200);
    }
    assert_eq!(joins(&bella, &room, &[&b]).await, 403, "she is not in the allowed room");
    assert_eq!(joins(&bella, &allowed, &[&a]).await, 200);
    // Who is to vouch for her has to have heard of that.
    until_joined(&ada, &allowed, &bella.user_id).await;
    assert_eq!(joins(&bella, &room, &[&b]).await, 200);
    assert_eq!(voucher(&bella, &room, &bella.user_id).await, json!(ada.user_id));
    until_joined(&ada, &room, &bella.user_id).await;
}
