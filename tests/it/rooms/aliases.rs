//! Aliases and `m.room.canonical_alias`.

use serde_json::{Value, json};

use super::state;
use crate::harness::{Answer, Client, Server, escape};

fn path(alias: &str) -> String {
    format!("/_matrix/client/v3/directory/room/{}", escape(alias))
}

async fn name(client: &Client, alias: &str, room: &str) -> Answer {
    client.put(&path(alias), json!({ "room_id": room })).await
}

async fn announce(client: &Client, room: &str, content: Value) -> Answer {
    client.set_state(room, "m.room.canonical_alias", "", content).await
}

#[tokio::test]
async fn an_alias_names_one_room_until_it_is_removed() {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    let alias = "#größe 7b:school.example".replace(' ', "_");
    name(&ben, &alias, &room).await.refused(403, "M_FORBIDDEN");
    name(&anna, "#x:elsewhere.example", &room).await.refused(400, "M_INVALID_PARAM");
    name(&anna, "#with space:school.example", &room).await.refused(400, "M_INVALID_PARAM");
    name(&anna, &alias, &room).await.ok();
    name(&anna, &alias, &room).await.refused(409, "M_UNKNOWN");
    let found = server.anonymous().get(&path(&alias)).await.ok();
    assert_eq!(found, json!({ "room_id": room, "servers": ["school.example"] }));
    assert_eq!(anna.room(&room, "aliases").await.ok(), json!({ "aliases": [alias] }));
    ben.room(&room, "aliases").await.refused(403, "M_FORBIDDEN");
    ben.join(&room).await.ok();
    ben.delete(&path(&alias)).await.refused(403, "M_FORBIDDEN");
    // Its maker may remove it without any power in the room; so may who names the room.
    name(&ben, "#ben1:school.example", &room).await.ok();
    name(&ben, "#ben2:school.example", &room).await.ok();
    ben.delete(&path("#ben1:school.example")).await.ok();
    anna.delete(&path("#ben2:school.example")).await.ok();
    anna.delete(&path("#ben2:school.example")).await.refused(404, "M_NOT_FOUND");
    anna.get(&path("#ben2:school.example")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn only_aliases_of_the_room_can_be_announced() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let (room, other) = (anna.create_room(json!({})).await, anna.create_room(json!({})).await);
    let (mine, second, foreign) = ("#mine:school.example", "#second:school.example", "#foreign:school.example");
    for (alias, room) in [(mine, &room), (second, &room), (foreign, &other)] {
        name(&anna, alias, room).await.ok();
    }
    announce(&anna, &room, json!({ "alias": "#none:school.example" })).await.refused(400, "M_BAD_ALIAS");
    announce(&anna, &room, json!({ "alias": "none" })).await.refused(400, "M_INVALID_PARAM");
    announce(&anna, &room, json!({ "alias": 5 })).await.refused(400, "M_INVALID_PARAM");
    announce(&anna, &room, json!({ "alias": foreign })).await.refused(400, "M_BAD_ALIAS");
    announce(&anna, &room, json!({ "alias": mine, "alt_aliases": [foreign] })).await.refused(400, "M_BAD_ALIAS");
    announce(&anna, &room, json!({ "alias": mine, "alt_aliases": ["x"] })).await.refused(400, "M_INVALID_PARAM");
    announce(&anna, &room, json!({ "alias": mine, "alt_aliases": [second] })).await.ok();
    // Removing an alias takes it out of the announcement, and leaves the other there.
    anna.delete(&path(mine)).await.ok();
    assert_eq!(state(&anna, &room, "m.room.canonical_alias", "").await, json!({ "alt_aliases": [second] }));
    anna.delete(&path(second)).await.ok();
    assert_eq!(state(&anna, &room, "m.room.canonical_alias", "").await, json!({}));
}
