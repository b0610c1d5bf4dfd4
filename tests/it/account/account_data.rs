//! Account data, tags and filters.

use serde_json::{Value, json};

use crate::harness::{Client, Server, escape};

fn global(client: &Client, kind: &str) -> String {
    format!("/_matrix/client/v3/user/{}/account_data/{kind}", client.user_id)
}

fn of_room(client: &Client, room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/user/{}/rooms/{}/{rest}", client.user_id, escape(room))
}

#[tokio::test]
async fn account_data_is_kept_as_it_came_and_told_to_the_other_devices() {
    let server = Server::start().await;
    let phone = server.register("anna").await;
    let laptop = Client::login(&server, "anna").await;
    let room = phone.create_room(json!({})).await;
    let since = laptop.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let content = json!({ "nested": { "list": [1, "zwei", null] } });
    phone.put(&global(&phone, "org.example.a"), content.clone()).await.ok();
    let room_path = of_room(&phone, &room, "account_data/org.example.b");
    phone.put(&room_path, content.clone()).await.ok();
    assert_eq!(phone.get(&global(&phone, "org.example.a")).await.ok(), content);
    assert_eq!(phone.get(&room_path).await.ok(), content);
    phone.get(&of_room(&phone, &room, "account_data/org.example.a")).await.refused(404, "M_NOT_FOUND");
    let has = |events: &Value, kind: &str| {
        events
            .as_array()
            .is_some_and(|events| events.iter().any(|event| event["type"] == kind && event["content"] == content))
    };
    let mut seen = (false, false);
    laptop
        .sync_until(&since, |answer| {
            seen.0 |= has(&answer["account_data"]["events"], "org.example.a");
            seen.1 |= has(&answer["rooms"]["join"][&room]["account_data"]["events"], "org.example.b");
            (seen == (true, true)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn account_data_is_its_users_alone() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let ben = server.register("ben").await;
    anna.put(&global(&anna, "a"), json!({})).await.ok();
    ben.get(&global(&anna, "a")).await.refused(403, "M_FORBIDDEN");
    ben.put(&global(&anna, "a"), json!({})).await.refused(403, "M_FORBIDDEN");
    for kind in ["m.push_rules", "m.fully_read"] {
        let refused = anna.put(&global(&anna, kind), json!({})).await;
        assert_eq!(refused.status, 405, "{kind}");
    }
    assert!(anna.get(&global(&anna, "m.push_rules")).await.ok()["global"]["override"].is_array());
    anna.call_raw(reqwest::Method::PUT, &global(&anna, "a"), "[]").await.refused(400, "M_BAD_JSON");
    anna.call_raw(reqwest::Method::PUT, &global(&anna, "a"), "{").await.refused(400, "M_NOT_JSON");
}

#[tokio::test]
async fn rooms_are_tagged() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let tag = |tag: &str| of_room(&anna, &room, &format!("tags/{tag}"));
    let tags = of_room(&anna, &room, "tags");
    assert_eq!(anna.get(&tags).await.ok(), json!({ "tags": {} }));
    anna.put(&tag("m.favourite"), json!({ "order": 0.25 })).await.ok();
    anna.put(&tag("u.work"), json!({})).await.ok();
    anna.delete(&tag("u.work")).await.ok();
    assert_eq!(anna.get(&tags).await.ok(), json!({ "tags": { "m.favourite": { "order": 0.25 } } }));
    let data = &anna.sync(None).await["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(*data, json!([{ "type": "m.tag", "content": { "tags": { "m.favourite": { "order": 0.25 } } } }]));
    anna.put(&tag(&"t".repeat(256)), json!({})).await.refused(400, "M_INVALID_PARAM");
    anna.put(&tag("u.x"), json!({ "order": {} })).await.refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn filters_are_stored_once() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let path = format!("/_matrix/client/v3/user/{}/filter", anna.user_id);
    let filter = json!({ "room": { "timeline": { "limit": 1 } }, "org.example.other": true });
    let id = anna.post(&path, filter.clone()).await.ok()["filter_id"].as_str().unwrap().to_owned();
    assert_eq!(anna.post(&path, filter.clone()).await.ok()["filter_id"], id.as_str());
    assert_eq!(anna.get(&format!("{path}/{id}")).await.ok(), filter);
    anna.get(&format!("{path}/made-up")).await.refused(404, "M_NOT_FOUND");
    anna.post(&path, json!({ "room": { "timeline": { "limit": "many" } } })).await.refused(400, "M_INVALID_PARAM");
    let ben = server.register("ben").await;
    ben.get(&format!("{path}/{id}")).await.refused(403, "M_FORBIDDEN");
}
