//! History from before a server joined.

use serde_json::{Value, json};

use super::Pair;
use crate::harness::{Client, escape};

/// All pages back from the newest event; the bodies of messages, newest first, and the type of the oldest event.
async fn all_back(client: &Client, room: &str, limit: usize) -> (Vec<String>, String) {
    let (mut from, mut events) = (String::new(), Vec::<Value>::new());
    for _ in 0..100 {
        let page = client.room(room, &format!("messages?dir=b&limit={limit}{from}")).await.ok();
        events.extend(page["chunk"].as_array().unwrap().iter().cloned());
        let Some(end) = page["end"].as_str() else { break };
        from = format!("&from={end}");
    }
    let bodies = events.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect();
    (bodies, events.last().unwrap()["type"].as_str().unwrap().to_owned())
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).rev().map(|n| format!("message {n}")).collect()
}

#[tokio::test]
async fn what_was_said_before_joining_is_paged_back_to() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    for n in 0..130 {
        ada.send(&room, &format!("message {n}")).await;
    }
    bert.join_via(&room, a.name()).await.ok();
    let (bodies, oldest) = all_back(&bert, &room, 20).await;
    assert_eq!(bodies, numbered(130));
    assert_eq!(oldest, "m.room.create");
    // Now it is here.
    let (again, _) = all_back(&bert, &room, 50).await;
    assert_eq!(again, numbered(130));
}

#[tokio::test]
async fn what_was_said_between_leaving_and_joining_again_is_paged_back_to() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    ada.send(&room, "message 0").await;
    bert.join_via(&room, a.name()).await.ok();
    bert.leave(&room).await.ok();
    for n in 1..20 {
        ada.send(&room, &format!("message {n}")).await;
    }
    let since = bert.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    bert.join_via(&room, a.name()).await.ok();
    let sync = bert.sync(Some(&since)).await;
    assert_eq!(sync["rooms"]["join"][&room]["timeline"]["limited"], true, "{sync}");
    let (bodies, oldest) = all_back(&bert, &room, 7).await;
    assert_eq!(bodies, numbered(20));
    assert_eq!(oldest, "m.room.create");
}

#[tokio::test]
async fn while_nobody_gives_it_history_can_be_asked_for_again() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    ada.send(&room, "message 0").await;
    bert.join_via(&room, a.name()).await.ok();
    let a = a.stop().await;
    let page = bert.room(&room, "messages?dir=b&limit=50").await.ok();
    let end = page["end"].as_str().expect("the history goes on").to_owned();
    let page = bert.room(&room, &format!("messages?dir=b&limit=50&from={end}")).await.ok();
    assert_eq!(page["chunk"], json!([]));
    let end = page["end"].as_str().expect("the history still goes on").to_owned();
    let _a = a.start().await;
    let page = bert.room(&room, &format!("messages?dir=b&limit=50&from={end}")).await.ok();
    let bodies: Vec<_> =
        page["chunk"].as_array().unwrap().iter().filter_map(|it| it["content"]["body"].as_str()).collect();
    assert_eq!(bodies, ["message 0"], "{page}");
}

#[tokio::test]
async fn old_events_keep_their_relations_and_redactions() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let root = ada.send(&room, "root").await;
    let relates = json!({ "rel_type": "m.thread", "event_id": root });
    let reply = json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": relates });
    ada.send_event(&room, "m.room.message", reply).await;
    let gone = ada.send(&room, "gone").await;
    ada.redact(&room, &gone).await.ok();
    bert.join_via(&room, a.name()).await.ok();
    let (bodies, _) = all_back(&bert, &room, 50).await;
    assert_eq!(bodies, ["reply", "root"]);
    let path = format!("/_matrix/client/v1/rooms/{}/relations/{}/m.thread", escape(&room), escape(&root));
    let children = bert.get(&path).await.ok();
    assert_eq!(children["chunk"][0]["content"]["body"], "reply", "{children}");
    let threads = bert.get(&format!("/_matrix/client/v1/rooms/{}/threads", escape(&room))).await.ok();
    assert_eq!(threads["chunk"][0]["event_id"], root.as_str(), "{threads}");
}

#[tokio::test]
async fn the_event_nearest_to_a_time_is_found_in_history_elsewhere() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let first = ada.room(&room, "messages?dir=f&limit=1").await.ok()["chunk"][0]["event_id"].clone();
    ada.send(&room, "hello").await;
    bert.join_via(&room, a.name()).await.ok();
    let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event?ts=1&dir=f", escape(&room));
    assert_eq!(bert.get(&path).await.ok()["event_id"], first);
    let context = format!("context/{}?limit=4", escape(first.as_str().unwrap()));
    assert_eq!(bert.room(&room, &context).await.ok()["event"]["type"], "m.room.create");
}

#[tokio::test]
async fn history_that_one_may_not_see_stays_hidden_here_too() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let hidden = json!({
        "preset": "public_chat",
        "initial_state": [
            { "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } },
        ],
    });
    let room = ada.create_room(hidden).await;
    ada.send(&room, "before").await;
    bert.join_via(&room, a.name()).await.ok();
    let page = bert.room(&room, "messages?dir=b&limit=50").await.ok();
    assert!(!page["chunk"].to_string().contains("before"), "{page}");
}
