//! Profiles.

use serde_json::{Value, json};

use crate::harness::Server;

fn path(user: &str, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{user}{field}")
}

#[tokio::test]
async fn a_profile_is_read_by_everybody_and_written_by_its_owner() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let ben = server.register("ben").await;
    let name = path(&anna.user_id, "/displayname");
    anna.put(&name, json!({ "displayname": "Anna A." })).await.ok();
    ben.put(&name, json!({ "displayname": "Fool" })).await.refused(403, "M_FORBIDDEN");
    anna.put(&path(&anna.user_id, "/avatar_url"), json!({ "avatar_url": "mxc://school.example/a" })).await.ok();
    let stranger = server.anonymous();
    let whole = stranger.get(&path(&anna.user_id, "")).await.ok();
    assert_eq!(whole, json!({ "displayname": "Anna A.", "avatar_url": "mxc://school.example/a" }));
    assert_eq!(stranger.get(&name).await.ok(), json!({ "displayname": "Anna A." }));
    assert_eq!(stranger.get(&path(&ben.user_id, "")).await.ok(), json!({}));
    stranger.get(&path("@nobody:school.example", "")).await.refused(404, "M_NOT_FOUND");
    stranger.get(&path(&ben.user_id, "/displayname")).await.refused(404, "M_NOT_FOUND");
    anna.put(&name, json!({ "displayname": "" })).await.ok();
    stranger.get(&name).await.refused(404, "M_NOT_FOUND");
    anna.put(&name, json!({ "other": "x" })).await.refused(400, "M_MISSING_PARAM");
    anna.put(&name, json!({ "displayname": 7 })).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn any_field_can_be_kept_within_the_limits() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let field = |key: &str| path(&anna.user_id, &format!("/{key}"));
    let set = |key: &str, value: Value| {
        let (anna, path) = (anna.clone(), field(key));
        let body = json!({ key: value });
        async move { anna.put(&path, body).await }
    };
    for (key, value) in [("m.tz", json!("Europe/Berlin")), ("org.example.class", json!({ "a": [1, null] }))] {
        set(key, value.clone()).await.ok();
        assert_eq!(anna.get(&field(key)).await.ok(), json!({ key: value }));
    }
    anna.delete(&field("m.tz")).await.ok();
    anna.get(&field("m.tz")).await.refused(404, "M_NOT_FOUND");
    anna.delete(&field("m.tz")).await.ok();
    set(&"k".repeat(256), json!(1)).await.refused(400, "M_KEY_TOO_LARGE");
    set("Not.A.Key", json!(1)).await.refused(400, "M_INVALID_PARAM");
    set("a", json!("x".repeat(60_000))).await.ok();
    set("b", json!("x".repeat(6_000))).await.refused(400, "M_PROFILE_TOO_LARGE");
}

#[tokio::test]
async fn rooms_learn_of_a_new_name() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let token = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    anna.put(&path(&anna.user_id, "/displayname"), json!({ "displayname": "Anna" })).await.ok();
    let named = |answer: &Value| {
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array()?.clone();
        events.into_iter().find(|event| event["content"]["displayname"] == "Anna")
    };
    anna.sync_until(&token, named).await;
}
