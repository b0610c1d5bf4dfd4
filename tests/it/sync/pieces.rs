//! Answers that are sent in pieces.

use serde_json::json;

use crate::harness::Server;

/// Longer than several pieces together, with rooms that end in the middle of one.
#[tokio::test]
async fn a_large_initial_sync_is_whole() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let mut rooms = Vec::new();
    for n in 0..40 {
        let room = anna.create_room(json!({ "name": format!("room {n}"), "topic": "x".repeat(5000) })).await;
        anna.send(&room, &"y".repeat(3000)).await;
        rooms.push(room);
    }
    rooms.sort();
    let answer = anna.sync(None).await;
    assert!(answer.to_string().len() > 300_000);
    let joined = answer["rooms"]["join"].as_object().unwrap();
    let mut told: Vec<_> = joined.keys().cloned().collect();
    told.sort();
    assert_eq!(told, rooms);
    for entry in joined.values() {
        let events = entry["timeline"]["events"].as_array().unwrap();
        assert_eq!(events.last().unwrap()["content"]["body"].as_str().unwrap().len(), 3000);
    }
    assert!(answer["account_data"]["events"].is_array() && answer["next_batch"].is_string());
}

/// What is wrong is said with its status, before the first piece.
#[tokio::test]
async fn a_refused_initial_sync_is_an_error_and_no_piece() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    anna.get("/_matrix/client/v3/sync?filter=nonsense").await.refused(400, "M_INVALID_PARAM");
    anna.get("/_matrix/client/v3/sync?since=nonsense").await.refused(400, "M_INVALID_PARAM");
}
