//! Names and pictures in member events.

use serde_json::json;

use super::{membership, state, timeline};
use crate::harness::{PASSWORD, Server, escape};

#[tokio::test]
async fn a_new_name_reaches_every_joined_room_and_no_other() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let (joined, left) = (
        anna.create_room(json!({ "preset": "public_chat" })).await,
        anna.create_room(json!({ "preset": "public_chat" })).await,
    );
    for room in [&joined, &left] {
        ben.join(room).await.ok();
    }
    ben.leave(&left).await.ok();
    let since = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&ben.user_id));
    for name in ["B1", "B2", "B3"] {
        ben.put(&path, json!({ "displayname": name })).await.ok();
    }
    let renamed = |answer: &serde_json::Value| {
        let events = answer["rooms"]["join"][&joined]["timeline"]["events"].as_array()?.clone();
        events.into_iter().find(|event| event["content"]["displayname"] == "B3")
    };
    let (event, _) = anna.sync_until(&since, renamed).await;
    assert_eq!(event["content"]["membership"], "join");
    assert_eq!(membership(&anna, &left, &ben.user_id).await, "leave");
    // The names came in their order, however many of them were passed over.
    let names: Vec<_> = timeline(&anna, &joined)
        .await
        .iter()
        .filter(|event| event["state_key"] == ben.user_id.as_str())
        .filter_map(|event| event["content"]["displayname"].as_str().map(str::to_owned))
        .collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == "ben"), "{names:?}");
    let third = anna.create_room(json!({ "invite": [ben.user_id] })).await;
    assert_eq!(state(&anna, &third, "m.room.member", &ben.user_id).await["displayname"], "B3");
}

#[tokio::test]
async fn a_closed_account_leaves_its_rooms() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    let invited = anna.create_room(json!({ "invite": [ben.user_id] })).await;
    ben.join(&room).await.ok();
    let since = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let auth = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": "ben" },
        "password": PASSWORD,
    });
    let refused = ben.post("/_matrix/client/v3/account/deactivate", json!({})).await;
    let mut auth = auth;
    auth["session"] = refused.body["session"].clone();
    ben.post("/_matrix/client/v3/account/deactivate", json!({ "auth": auth })).await.ok();
    let mut gone = std::collections::BTreeSet::new();
    let left = |answer: &serde_json::Value| {
        for room in [&room, &invited] {
            let events = answer["rooms"]["join"][room]["timeline"]["events"].as_array();
            let left = |event: &&serde_json::Value| {
                event["state_key"] == ben.user_id.as_str() && event["content"]["membership"] == "leave"
            };
            if events.is_some_and(|events| events.iter().any(|event| left(&event))) {
                gone.insert(room.clone());
            }
        }
        (gone.len() == 2).then_some(())
    };
    anna.sync_until(&since, left).await;
}
