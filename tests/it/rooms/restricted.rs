//! Rooms that the members of another room may join.

use serde_json::{Value, json};

use super::state;
use crate::harness::Server;

fn rule(kind: &str, allowed: &str) -> Value {
    json!({ "join_rule": kind, "allow": [{ "type": "m.room_membership", "room_id": allowed }] })
}

#[tokio::test]
async fn members_of_an_allowed_room_come_in_and_somebody_vouches() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let class = anna.create_room(json!({ "preset": "public_chat" })).await;
    for (kind, version) in [("restricted", "8"), ("restricted", "9"), ("knock_restricted", "10"), ("restricted", "12")]
    {
        let initial = json!([{ "type": "m.room.join_rules", "content": rule(kind, &class) }]);
        let room = anna.create_room(json!({ "room_version": version, "initial_state": initial })).await;
        ben.join(&room).await.refused(403, "M_FORBIDDEN");
        ben.join(&class).await.ok();
        ben.join(&room).await.ok();
        let member = state(&anna, &room, "m.room.member", &ben.user_id).await;
        assert_eq!(member["join_authorised_via_users_server"], anna.user_id.as_str(), "{version}");
        ben.leave(&room).await.ok();
        ben.leave(&class).await.ok();
        ben.join(&room).await.refused(403, "M_FORBIDDEN");
        // An invitation needs nobody to vouch.
        anna.invite(&room, &ben.user_id).await.ok();
        ben.join(&room).await.ok();
        let member = state(&anna, &room, "m.room.member", &ben.user_id).await;
        assert!(member["join_authorised_via_users_server"].is_null(), "{member}");
        ben.leave(&room).await.ok();
    }
}

#[tokio::test]
async fn nobody_vouches_without_the_power_to_invite() {
    let server = Server::start().await;
    let (anna, ben, cleo) =
        (server.register("anna").await, server.register("ben").await, server.register("cleo").await);
    let class = anna.create_room(json!({ "preset": "public_chat" })).await;
    let initial = json!([{ "type": "m.room.join_rules", "content": rule("restricted", &class) }]);
    let levels = json!({ "invite": 50 });
    let room = anna.create_room(json!({ "initial_state": initial, "power_level_content_override": levels })).await;
    for pupil in [&ben, &cleo] {
        pupil.join(&class).await.ok();
    }
    ben.join(&room).await.ok();
    anna.leave(&room).await.ok();
    cleo.join(&room).await.refused(403, "M_FORBIDDEN");
}

/// The state endpoint must not let a client name who vouches for it: the server would sign that.
#[tokio::test]
async fn a_member_event_cannot_be_forged_through_the_state_endpoint() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let class = anna.create_room(json!({ "preset": "public_chat" })).await;
    let initial = json!([{ "type": "m.room.join_rules", "content": rule("restricted", &class) }]);
    let room = anna.create_room(json!({ "initial_state": initial })).await;
    let forged = json!({ "membership": "join", "join_authorised_via_users_server": anna.user_id });
    ben.set_state(&room, "m.room.member", &ben.user_id, forged.clone()).await.refused(403, "M_FORBIDDEN");
    let knock = json!({ "membership": "knock", "join_authorised_via_users_server": anna.user_id });
    ben.set_state(&room, "m.room.member", &ben.user_id, knock).await.refused(403, "M_FORBIDDEN");
    ben.join(&class).await.ok();
    ben.set_state(&room, "m.room.member", &ben.user_id, json!({ "membership": "join" })).await.ok();
    let member = state(&anna, &room, "m.room.member", &ben.user_id).await;
    assert_eq!(member["join_authorised_via_users_server"], anna.user_id.as_str());
    // Once inside, nobody has to vouch, and what is said of it is dropped.
    for voucher in ["nobody", ben.user_id.as_str()] {
        let renamed = json!({
            "membership": "join", "displayname": voucher, "join_authorised_via_users_server": voucher,
        });
        ben.set_state(&room, "m.room.member", &ben.user_id, renamed).await.ok();
        let member = state(&anna, &room, "m.room.member", &ben.user_id).await;
        assert_eq!(member, json!({ "membership": "join", "displayname": voucher }));
    }
}
