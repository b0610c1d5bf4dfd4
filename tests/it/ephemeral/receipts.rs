use serde_json::{Value, json};

use super::{Pair, ephemeral, next, pair, receipt, send_in_thread};
use crate::harness::escape;

#[tokio::test]
async fn a_private_receipt_stays_with_its_owner() {
    let Pair { server, anna, ben, room } = pair().await;
    let message = anna.send(&room, "hello").await;
    let (anna_since, ben_since) = (next(&anna.sync(None).await), next(&ben.sync(None).await));
    receipt(&ben, &room, "m.read.private", &message, json!({})).await.ok();
    let told = ephemeral(&ben.wait(&ben_since).await, &room, "m.receipt");
    assert!(told[0][&message]["m.read.private"][&ben.user_id]["ts"].is_u64(), "{told:?}");
    for answer in [anna.sync(Some(&anna_since)).await, anna.sync(None).await] {
        assert_eq!(ephemeral(&answer, &room, "m.receipt"), Vec::<Value>::new());
    }
    // Another device of Ben's learns of it, also after a restart.
    let server = server.restart().await;
    let phone = crate::harness::Client::login(&server, "ben").await;
    let told = ephemeral(&phone.sync(None).await, &room, "m.receipt");
    assert!(told[0][&message]["m.read.private"][&ben.user_id]["ts"].is_u64(), "{told:?}");
}

#[tokio::test]
async fn a_receipt_that_goes_backwards_changes_nothing() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    let (first, second) = (anna.send(&room, "one").await, anna.send(&room, "two").await);
    ben.read(&room, &second).await.ok();
    let since = next(&anna.sync(None).await);
    ben.read(&room, &first).await.ok();
    ben.read(&room, &second).await.ok();
    assert_eq!(ephemeral(&anna.sync(Some(&since)).await, &room, "m.receipt"), Vec::<Value>::new());
    let all = ephemeral(&anna.sync(None).await, &room, "m.receipt");
    assert!(all[0][&second]["m.read"][&ben.user_id].is_object() && all[0][&first].is_null(), "{all:?}");
}

#[tokio::test]
async fn a_newer_receipt_replaces_the_older_one_of_its_thread() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    let root = anna.send(&room, "root").await;
    let reply = send_in_thread(&anna, &room, &root, "reply").await;
    let last = anna.send(&room, "last").await;
    receipt(&ben, &room, "m.read", &root, json!({})).await.ok();
    receipt(&ben, &room, "m.read", &root, json!({ "thread_id": "main" })).await.ok();
    receipt(&ben, &room, "m.read", &reply, json!({ "thread_id": root })).await.ok();
    // One content cannot hold two receipts of a user at one event.
    let told = ephemeral(&anna.sync(None).await, &room, "m.receipt");
    let threads = |event: &str| -> Vec<Value> {
        let said = told.iter().map(|content| content[event]["m.read"][&ben.user_id].clone());
        let mut threads: Vec<_> = said.filter(Value::is_object).map(|said| said["thread_id"].clone()).collect();
        threads.sort_by_key(ToString::to_string);
        threads
    };
    assert_eq!(threads(&root), [json!("main"), Value::Null], "{told:?}");
    assert_eq!(threads(&reply), [json!(root)], "{told:?}");

    let since = next(&anna.sync(None).await);
    receipt(&ben, &room, "m.read", &last, json!({ "thread_id": "main" })).await.ok();
    let changed = ephemeral(&anna.wait(&since).await, &room, "m.receipt");
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].as_object().unwrap().keys().collect::<Vec<_>>(), [&last]);
    let all = ephemeral(&anna.sync(None).await, &room, "m.receipt");
    assert_eq!(
        all.iter().map(|content| content[&root]["m.read"].as_object().map_or(0, serde_json::Map::len)).sum::<usize>(),
        1
    );
}

#[tokio::test]
async fn a_receipt_needs_a_thread_that_fits() {
    let Pair { server, anna, ben, room } = pair().await;
    let root = anna.send(&room, "root").await;
    let reply = send_in_thread(&anna, &room, &root, "reply").await;
    let edit = json!({ "body": "* reply", "m.new_content": { "body": "r" }, "m.relates_to": { "rel_type": "m.replace", "event_id": reply } });
    let edit = anna.send_event(&room, "m.room.message", edit).await;
    let other = anna.send(&room, "other").await;
    for (kind, event, thread) in [
        ("m.read", &other, json!("")),
        ("m.read", &other, json!(5)),
        ("m.read", &other, json!(null)),
        ("m.read", &other, json!("other")),
        ("m.read", &other, json!(root)),
        ("m.read", &reply, json!("main")),
        ("m.read.private", &edit, json!("main")),
        ("m.fully_read", &other, json!("main")),
    ] {
        receipt(&ben, &room, kind, event, json!({ "thread_id": thread })).await.refused(400, "M_INVALID_PARAM");
    }
    receipt(&ben, &room, "m.seen", &other, json!({})).await.refused(400, "M_INVALID_PARAM");
    receipt(&ben, &room, "m.read", "$nothing", json!({})).await.refused(404, "M_NOT_FOUND");
    for (event, thread) in [(&edit, json!(root)), (&root, json!(root)), (&root, json!("main")), (&other, json!("main"))]
    {
        receipt(&ben, &room, "m.read", event, json!({ "thread_id": thread })).await.ok();
    }
    let cleo = server.register("cleo").await;
    receipt(&cleo, &room, "m.read", &other, json!({})).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn the_fully_read_marker_is_account_data_of_the_room() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    let (first, second) = (anna.send(&room, "one").await, anna.send(&room, "two").await);
    let since = next(&ben.sync(None).await);
    let path = format!("/_matrix/client/v3/rooms/{}/read_markers", escape(&room));
    ben.post(&path, json!({ "m.fully_read": second, "m.read": second, "m.read.private": first })).await.ok();
    let marker = |answer: &Value| {
        let events = answer["rooms"]["join"][&room]["account_data"]["events"].as_array()?;
        Some(events.iter().find(|event| event["type"] == "m.fully_read")?["content"]["event_id"].clone())
    };
    let answer = ben.wait(&since).await;
    assert_eq!(marker(&answer), Some(json!(second)), "{answer}");
    assert!(ephemeral(&answer, &room, "m.receipt")[0][&second]["m.read"][&ben.user_id].is_object(), "{answer}");
    // Backwards it does not go, and without a body nothing moves.
    receipt(&ben, &room, "m.fully_read", &first, json!({})).await.ok();
    ben.post(&path, json!({})).await.ok();
    assert_eq!(marker(&ben.sync(None).await), Some(json!(second)));
    ben.post(&path, json!({ "m.fully_read": "$nothing" })).await.refused(404, "M_NOT_FOUND");
}
