//! Aliases, published rooms and spaces of other servers.

use serde_json::json;

use super::Pair;
use crate::harness::escape;

#[tokio::test]
async fn an_alias_of_another_server_leads_to_its_room() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat", "room_alias_name": "staff" })).await;
    let path = |name: &str| format!("/_matrix/client/v3/directory/room/{}", escape(&format!("#{name}:{}", a.name())));
    let found = bert.get(&path("staff")).await.ok();
    assert_eq!(found["room_id"], room.as_str());
    assert_eq!(found["servers"], json!([a.name()]));
    bert.get(&path("nothing")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn published_rooms_of_another_server_are_listed() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat", "visibility": "public", "name": "Chess" })).await;
    let alone = json!({
        "preset": "public_chat", "visibility": "public", "name": "Only here",
        "creation_content": { "m.federate": false },
    });
    ada.create_room(alone).await;
    let path = format!("/_matrix/client/v3/publicRooms?server={}", escape(a.name().as_str()));
    let listed = bert.get(&path).await.ok();
    let rooms: Vec<_> = listed["chunk"].as_array().unwrap().iter().map(|it| it["room_id"].as_str().unwrap()).collect();
    assert_eq!(rooms, [room.as_str()], "{listed}");
    let search = json!({ "filter": { "generic_search_term": "nobody calls a room so" } });
    assert_eq!(bert.post(&path, search).await.ok()["chunk"], json!([]));
}

#[tokio::test]
async fn a_space_shows_rooms_of_another_server() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let open = bert.create_room(json!({ "preset": "public_chat", "name": "Open" })).await;
    let closed = bert.create_room(json!({ "preset": "private_chat", "name": "Closed" })).await;
    let space = ada.create_room(json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } })).await;
    for child in [&open, &closed] {
        ada.set_state(&space, "m.space.child", child, json!({ "via": [b.name()] })).await.ok();
    }
    let path = format!("/_matrix/client/v1/rooms/{}/hierarchy", escape(&space));
    let shown = ada.get(&path).await.ok();
    let rooms: Vec<_> = shown["rooms"].as_array().unwrap().iter().map(|it| it["room_id"].as_str().unwrap()).collect();
    assert_eq!(rooms, [space.as_str(), open.as_str()], "{shown}");
    assert_eq!(shown["rooms"][1]["name"], "Open");
    let via = escape(b.name().as_str());
    let summary = |room: &str| format!("/_matrix/client/v1/room_summary/{}?via={via}", escape(room));
    assert_eq!(ada.get(&summary(&open)).await.ok()["name"], "Open");
    ada.get(&summary(&closed)).await.refused(404, "M_NOT_FOUND");
}
