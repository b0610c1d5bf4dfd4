//! State, members, summaries and spaces.

use serde_json::{Value, json};

use super::v1;
use crate::harness::{Client, Server, escape};

fn keys(events: &Value) -> Vec<String> {
    let mut keys: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["state_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn one_piece_of_state_is_content_or_event() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "name": "Class 5" })).await;
    for path in ["state/m.room.name", "state/m.room.name/"] {
        assert_eq!(alice.room(&room, path).await.ok(), json!({ "name": "Class 5" }));
    }
    let event = alice.room(&room, "state/m.room.name?format=event").await.ok();
    assert_eq!(event["content"]["name"], "Class 5");
    assert_eq!(event["room_id"], room.as_str());
    let path = format!("state/m.room.member/{}", escape(&alice.user_id));
    assert_eq!(alice.room(&room, &path).await.ok()["membership"], "join");
    alice.set_state(&room, "org.example.pair", "a/b c", json!({ "x": 1 })).await.ok();
    assert_eq!(alice.room(&room, "state/org.example.pair/a%2Fb%20c").await.ok()["x"], 1);
    alice.room(&room, "state/m.room.topic").await.refused(404, "M_NOT_FOUND");
    alice.room(&room, "state/never.used.by.anyone/x").await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn members_are_chosen_by_membership_and_time() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    alice.send(&room, "hello").await;
    let sync = alice.sync(None).await;
    let now = sync["next_batch"].as_str().unwrap();
    let beginning = sync["rooms"]["join"][&room]["timeline"]["prev_batch"].as_str().unwrap();
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    let list = async |query: &str| keys(&alice.room(&room, &format!("members{query}")).await.ok()["chunk"]);
    let both = [alice.user_id.clone(), bob.user_id.clone()];
    assert_eq!(list("").await, both);
    assert_eq!(list("?membership=leave").await, both[1..]);
    assert_eq!(list("?not_membership=leave").await, both[..1]);
    assert_eq!(list("?membership=join").await, both[..1]);
    assert_eq!(list(&format!("?at={now}")).await, both[..1]);
    assert_eq!(list(&format!("?at={}", escape(beginning))).await, both[..1]);
    alice.room(&room, "members?at=nonsense").await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_large_room_lists_everybody_once() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    // More than fit in one step of the answer.
    let mut expected = vec![alice.user_id.clone()];
    for number in 0..300 {
        let name = format!("@invited{number}:school.example");
        expected.push(name);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300 {
        let (server_client, room) = (server.register(&format!("invited{number}")).await, room.clone());
        tasks.spawn(async move { server_client.join(&room).await.ok() });
    }
    tasks.join_all().await;
    expected.sort();
    assert_eq!(keys(&alice.room(&room, "members").await.ok()["chunk"]), expected);
    let joined = alice.room(&room, "joined_members").await.ok();
    assert_eq!(joined["joined"].as_object().unwrap().len(), 301);
}

#[tokio::test]
async fn joined_members_and_rooms_are_those_of_now() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&bob.user_id));
    bob.put(&path, json!({ "displayname": "Bob" })).await.ok();
    bob.join(&room).await.ok();
    let joined = alice.room(&room, "joined_members").await.ok();
    assert_eq!(joined["joined"][&bob.user_id], json!({ "display_name": "Bob", "avatar_url": null }));
    let rooms = bob.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(rooms["joined_rooms"], json!([room]));
    bob.leave(&room).await.ok();
    bob.room(&room, "joined_members").await.refused(403, "M_FORBIDDEN");
    assert_eq!(bob.get("/_matrix/client/v3/joined_rooms").await.ok()["joined_rooms"], json!([]));
}

async fn summary(client: &Client, room: &str) -> crate::harness::Answer {
    client.get(&format!("/_matrix/client/v1/room_summary/{}", escape(room))).await
}

#[tokio::test]
async fn a_summary_is_for_those_who_could_come() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let open = alice.create_room(json!({ "preset": "public_chat", "name": "Open", "room_alias_name": "open" })).await;
    let closed = alice.create_room(json!({ "preset": "private_chat" })).await;
    for name in [open.as_str(), "#open:school.example"] {
        let told = summary(&bob, name).await.ok();
        assert_eq!(told["room_id"], open.as_str());
        assert_eq!((&told["name"], &told["join_rule"]), (&json!("Open"), &json!("public")));
        assert_eq!((&told["num_joined_members"], &told["membership"]), (&json!(1), &json!("leave")));
    }
    summary(&bob, &closed).await.refused(404, "M_NOT_FOUND");
    summary(&server.anonymous(), &closed).await.refused(404, "M_NOT_FOUND");
    summary(&server.anonymous(), &open).await.ok();
    assert_eq!(summary(&alice, &closed).await.ok()["membership"], "join");
    alice.invite(&closed, &bob.user_id).await.ok();
    assert_eq!(summary(&bob, &closed).await.ok()["membership"], "invite");
}

#[tokio::test]
async fn a_space_shows_the_rooms_below_it() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let space = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let top = alice.create_room(space.clone()).await;
    let sub = alice.create_room(space).await;
    let leaf = alice.create_room(json!({ "preset": "public_chat" })).await;
    let secret = alice.create_room(json!({ "preset": "private_chat" })).await;
    let third = alice.create_room(json!({ "preset": "public_chat" })).await;
    for (parent, child, order) in
        [(&top, &third, "c"), (&top, &sub, "a"), (&top, &secret, "b"), (&sub, &leaf, "a"), (&sub, &top, "b")]
    {
        let link = json!({ "via": ["school.example"], "order": order, "suggested": child != &sub });
        alice.set_state(parent, "m.space.child", child, link).await.ok();
    }
    let list = async |query: &str| {
        let page = v1(&bob, &top, &format!("hierarchy{query}")).await.ok();
        let rooms = page["rooms"].as_array().unwrap();
        let ids: Vec<_> = rooms.iter().map(|room| room["room_id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next_batch"].as_str().map(str::to_owned), page)
    };
    let (ids, next, page) = list("").await;
    assert_eq!((ids, next), (vec![top.clone(), sub.clone(), leaf.clone(), third.clone()], None));
    assert_eq!(page["rooms"][0]["children_state"].as_array().unwrap().len(), 3);
    assert_eq!(list("?max_depth=1").await.0, [top.clone(), sub.clone(), third.clone()]);
    assert_eq!(list("?suggested_only=true").await.0, [top.clone(), third.clone()]);
    let (ids, next, _) = list("?limit=3").await;
    assert_eq!(ids, [top.clone(), sub, leaf]);
    let next = next.unwrap();
    assert_eq!(list(&format!("?limit=3&from={next}")).await.0, [third]);
    v1(&bob, &top, &format!("hierarchy?suggested_only=true&from={next}")).await.refused(400, "M_INVALID_PARAM");
    v1(&bob, &secret, "hierarchy").await.refused(403, "M_FORBIDDEN");
}
