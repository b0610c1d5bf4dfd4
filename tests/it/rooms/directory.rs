//! The published directory.

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

fn listing(room: &str) -> String {
    format!("/_matrix/client/v3/directory/list/room/{}", escape(room))
}

async fn search(client: &Client, body: Value) -> Value {
    client.post("/_matrix/client/v3/publicRooms", body).await.ok()
}

fn ids(answer: &Value) -> Vec<String> {
    answer["chunk"].as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_published_room_is_shown_with_what_it_says_of_itself() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    anna.create_room(json!({ "name": "Hidden" })).await;
    let room = anna
        .create_room(json!({
            "visibility": "public", "name": "Chess", "topic": "un topic à la française", "room_alias_name": "chess",
        }))
        .await;
    let answer = server.anonymous().get("/_matrix/client/v3/publicRooms").await.ok();
    let entry = json!({
        "room_id": room, "name": "Chess", "topic": "un topic à la française",
        "canonical_alias": "#chess:school.example", "num_joined_members": 1,
        "world_readable": false, "guest_can_join": false, "join_rule": "public",
    });
    assert_eq!(answer["chunk"], json!([entry]));
    assert_eq!(answer["total_room_count_estimate"], 1);
    let hit = search(&anna, json!({ "filter": { "generic_search_term": "FRANÇAISE" } })).await;
    assert_eq!(ids(&hit), [room.as_str()]);
    let miss = search(&anna, json!({ "filter": { "generic_search_term": "hidden" } })).await;
    assert!(ids(&miss).is_empty());
}

#[tokio::test]
async fn who_may_name_the_room_may_publish_it() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    ben.join(&room).await.ok();
    assert_eq!(server.anonymous().get(&listing(&room)).await.ok()["visibility"], "private");
    ben.put(&listing(&room), json!({ "visibility": "public" })).await.refused(403, "M_FORBIDDEN");
    anna.put(&listing(&room), json!({ "visibility": "sideways" })).await.refused(400, "M_INVALID_PARAM");
    anna.put(&listing(&room), json!({ "visibility": "public" })).await.ok();
    assert_eq!(server.anonymous().get(&listing(&room)).await.ok()["visibility"], "public");
    anna.put(&listing(&room), json!({ "visibility": "private" })).await.ok();
    assert!(ids(&search(&anna, json!({})).await).is_empty());
    anna.get(&listing("!nowhere:school.example")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn pages_follow_each_other_by_members() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let mut rooms = Vec::new();
    for number in 0..5 {
        rooms.push(anna.create_room(json!({ "visibility": "public", "name": format!("R{number}") })).await);
    }
    let space = anna.create_room(json!({ "visibility": "public", "creation_content": { "type": "m.space" } })).await;
    ben.join(&rooms[3]).await.ok();
    let first = search(&anna, json!({ "limit": 4 })).await;
    assert_eq!(ids(&first), [&*rooms[3], &*rooms[0], &*rooms[1], &*rooms[2]]);
    assert!(first["prev_batch"].is_null());
    let second = search(&anna, json!({ "limit": 4, "since": first["next_batch"] })).await;
    assert_eq!(ids(&second), [&*rooms[4], &*space]);
    assert!(second["next_batch"].is_null(), "{second}");
    let back = search(&anna, json!({ "limit": 4, "since": second["prev_batch"] })).await;
    assert_eq!(ids(&back), ids(&first));
    let spaces = search(&anna, json!({ "filter": { "room_types": ["m.space"] } })).await;
    assert_eq!(ids(&spaces), [&*space]);
    let plain = search(&anna, json!({ "filter": { "room_types": [null] } })).await;
    assert_eq!(ids(&plain).len(), 5);
    let bad = anna.post("/_matrix/client/v3/publicRooms", json!({ "since": "nonsense" })).await;
    bad.refused(400, "M_INVALID_PARAM");
}
