//! The user directory of a server without a roster: who shares a room with the searcher, or is in a public one.

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

async fn search(client: &Client, term: &str) -> Vec<(String, String)> {
    let path = "/_matrix/client/v3/user_directory/search";
    let answer = client.post(path, json!({ "search_term": term })).await.ok();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let found = answer["results"].as_array().unwrap();
    found.iter().map(|one| (text(one, "user_id"), text(one, "display_name"))).collect()
}

async fn set_name(client: &Client, name: &str) {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&client.user_id));
    client.put(&path, json!({ "displayname": name })).await.ok();
}

#[tokio::test]
async fn who_is_in_a_public_room_or_shares_one_is_found() {
    let server = Server::start().await;
    let [alice, bob, eve] = [
        server.register("user-1-alice").await,
        server.register("user-2-bob").await,
        server.register("user-3-eve").await,
    ];
    set_name(&alice, "Alice Cooper").await;
    assert_eq!(search(&eve, "Alice Cooper").await, [], "nobody knows of her yet");
    alice.create_room(json!({ "visibility": "public" })).await;
    let expected = [(alice.user_id.clone(), "Alice Cooper".to_owned())];
    for term in ["Alice Cooper", "cooper ali", "@user", &alice.user_id.clone()] {
        assert_eq!(search(&eve, term).await, expected, "{term}");
    }
    assert_eq!(search(&alice, "alice").await, [], "nobody finds themselves");
    assert_eq!(search(&eve, "bob").await, []);
    let room = bob.create_room(json!({ "visibility": "private", "invite": [eve.user_id] })).await;
    assert_eq!(search(&eve, "user-2").await, [], "an invitation is no shared room");
    eve.join(&room).await.ok();
    assert_eq!(search(&eve, "user-2").await.len(), 1);
    eve.leave(&room).await.ok();
    assert_eq!(search(&eve, "user-2").await, []);
    assert_eq!(search(&eve, "").await, []);
}

#[tokio::test]
async fn a_name_borne_in_one_room_only_is_not_found() {
    let server = Server::start().await;
    let [alice, bob, eve] = [server.register("a1").await, server.register("b1").await, server.register("e1").await];
    set_name(&alice, "Alice Cooper").await;
    alice.create_room(json!({ "visibility": "public" })).await;
    let room = bob.create_room(json!({ "visibility": "private", "invite": [alice.user_id] })).await;
    alice.join(&room).await.ok();
    let member = json!({ "membership": "join", "displayname": "Freddy" });
    alice.set_state(&room, "m.room.member", &alice.user_id, member).await.ok();
    for client in [&bob, &eve] {
        assert_eq!(search(client, "Freddy").await, []);
        let expected = [(alice.user_id.clone(), "Alice Cooper".to_owned())];
        assert_eq!(search(client, "alice cooper").await, expected);
    }
}

#[tokio::test]
async fn answers_are_cut_and_say_so() {
    let server = Server::start().await;
    let host = server.register("host").await;
    let room = host.create_room(json!({ "preset": "public_chat" })).await;
    for number in 0..12 {
        let guest = server.register(&format!("guest{number:02}")).await;
        guest.join(&room).await.ok();
    }
    let path = "/_matrix/client/v3/user_directory/search";
    let answer = host.post(path, json!({ "search_term": "guest" })).await.ok();
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["limited"]), (10, &json!(true)));
    let answer = host.post(path, json!({ "search_term": "guest", "limit": 12 })).await.ok();
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["limited"]), (12, &json!(false)));
}

#[tokio::test]
async fn a_server_without_a_school_has_no_contacts() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let me = alice.get("/_homeroom/v1/me").await.ok();
    assert_eq!((&me["school"], &me["roles"]), (&json!(false), &json!([])));
    let page = alice.get("/_homeroom/v1/contacts").await.ok();
    assert_eq!(page["contacts"], json!([]));
    assert_eq!(alice.get("/_homeroom/v1/children").await.ok()["children"], json!([]));
    let bob = server.register("bob").await;
    let path = format!("/_homeroom/v1/contacts/{}", escape(&bob.user_id));
    alice.get(&path).await.refused(404, "M_NOT_FOUND");
}
