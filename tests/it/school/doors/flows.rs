//! What stock clients do, with people who may.

use serde_json::json;

use super::{NOBODY, V3, Walk, like_nobody};
use crate::harness::{Client, escape};

/// Element's "start chat": it looks the person up, asks for their keys, and makes an encrypted room with them.
#[tokio::test]
async fn a_guardian_starts_a_chat_with_a_teacher() {
    let walk = Walk::start().await;
    let (guardian, tutor) = (walk.small.client("guardian"), walk.small.client("tutor"));
    let found = guardian.get(&format!("{V3}/profile/{}", escape(&tutor.user_id))).await.ok();
    assert_eq!(found["displayname"], "Tilda Tafel");
    let keys = json!({ "device_keys": { &tutor.user_id: [] } });
    let keys = guardian.post(&format!("{V3}/keys/query"), keys).await.ok();
    assert!(keys["device_keys"][&tutor.user_id][&tutor.device_id].is_object(), "{keys}");
    let before = tutor.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let room = guardian
        .create_room(json!({
            "preset": "trusted_private_chat",
            "visibility": "private",
            "is_direct": true,
            "invite": [&tutor.user_id],
            "initial_state": [
                { "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "can_join" } },
                { "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
            ],
        }))
        .await;
    guardian.room(&room, "state/m.room.encryption/").await.refused(404, "M_NOT_FOUND");
    let news = tutor.sync(Some(&before)).await;
    let invite = news["rooms"]["invite"][&room]["invite_state"]["events"].as_array().unwrap().clone();
    let direct = invite.iter().find(|event| event["state_key"] == tutor.user_id.as_str()).unwrap();
    assert_eq!(direct["content"]["is_direct"], true);
    assert!(invite.iter().any(|event| event["content"]["displayname"] == "Gerda Apfel"), "{invite:?}");
    tutor.join(&room).await.ok();
    guardian.send(&room, "When is the trip?").await;
    let answer =
        json!({ "msgtype": "m.text", "body": "Friday, Gerda", "m.mentions": { "user_ids": [&guardian.user_id] } });
    tutor.send_event(&room, "m.room.message", answer).await;
    let news = guardian.sync(None).await;
    assert_eq!(news["rooms"]["join"][&room]["unread_notifications"]["highlight_count"], 1);
    guardian.typing(&room, true).await.ok();
    guardian.leave(&room).await.ok();
}

/// Members of a room that share nothing else: their profiles and keys are open to each other, and nothing more.
#[tokio::test]
async fn members_of_one_room_see_each_other_there() {
    let walk = Walk::start().await;
    let (guardian, coguardian) = (walk.small.client("guardian"), walk.small.client("coguardian"));
    let rooms = &walk.small.school().rooms;
    rooms.settled().await;
    let lines = rooms.list(None, 1000, |link| link.object.ends_with("/8a")).await.unwrap();
    let families = lines.iter().find(|line| line.link.kind == homeroom::store::schema::school::RoomKind::ClassFamily);
    walk.small.client("tutor").send(families.unwrap().room_id.as_str(), "Welcome.").await;
    rooms.announced().await;
    assert!(walk.company("guardian", "coguardian").await, "both are told what the class is told");
    assert!(!walk.ruling("guardian", "coguardian", homeroom::rooms::policy::Verb::See).is_allowed());
    let profile = guardian.get(&format!("{V3}/profile/{}", escape(&coguardian.user_id))).await.ok();
    assert_eq!(profile["displayname"], "Gustav Apfel");
    let keys = json!({ "device_keys": { &coguardian.user_id: [] } });
    let keys = guardian.post(&format!("{V3}/keys/query"), keys).await.ok();
    assert!(keys["device_keys"][&coguardian.user_id][&coguardian.device_id].is_object(), "{keys}");
    let create = async |id: &str| guardian.post(&format!("{V3}/createRoom"), json!({ "invite": [id] })).await;
    like_nobody("createRoom", &create(&coguardian.user_id).await, &coguardian.user_id, &create(NOBODY).await);
    // Once they are in no room together, neither knows of the other.
    let stranger = walk.small.client("stranger_guardian");
    assert!(!walk.company("guardian", "stranger_guardian").await);
    guardian.get(&format!("{V3}/profile/{}", escape(&stranger.user_id))).await.refused(404, "M_NOT_FOUND");
}

/// Presence is told in sync to those who share a room, if the policy lets them see it.
#[tokio::test]
async fn presence_is_for_those_who_may_see_it() {
    let walk = Walk::start().await;
    let online = async |client: &Client| {
        let path = format!("{V3}/presence/{}/status", escape(&client.user_id));
        client.put(&path, json!({ "presence": "online" })).await.ok();
    };
    for (_, client) in walk.small.clients() {
        online(client).await;
    }
    for (actor, target) in walk.pairs() {
        let path = format!("{V3}/presence/{}/status", escape(walk.id(&target)));
        let answer = walk.small.client(&actor).get(&path).await;
        let ruling = walk.ruling(&actor, &target, homeroom::rooms::policy::Verb::Presence);
        let told = walk.company(&actor, &target).await && ruling.is_allowed();
        assert_eq!(answer.status == 200, told, "{actor} → {target}: {}", answer.body);
        let seen = walk.small.client(&actor).sync(None).await;
        let events = seen["presence"]["events"].as_array().cloned().unwrap_or_default();
        let among = events.iter().any(|event| event["sender"] == walk.id(&target));
        assert!(told || !among, "{actor} is told of {target}'s presence");
    }
}
