//! Every refusal is JSON with the specification's code.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Server;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    anna.get("/_matrix/client/v3/nothing").await.refused(404, "M_UNRECOGNIZED");
    anna.get("/nothing").await.refused(404, "M_UNRECOGNIZED");
    anna.get("/").await.refused(404, "M_UNRECOGNIZED");
    anna.delete(WHOAMI).await.refused(405, "M_UNRECOGNIZED");
    anna.put("/_matrix/client/v3/createRoom", json!({})).await.refused(405, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let server = Server::start().await;
    let mut nobody = server.anonymous();
    nobody.get(WHOAMI).await.refused(401, "M_MISSING_TOKEN");
    nobody.token = "hr_wrong".to_owned();
    let body = nobody.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(body["soft_logout"], false);
    let anna = server.register("anna").await;
    anna.post("/_matrix/client/v3/logout", json!({})).await.ok();
    anna.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn bodies_that_are_no_json_objects_are_refused() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let create = "/_matrix/client/v3/createRoom";
    for body in ["{", "not json", "{\"name\": \"\\ud800\"}", "{\"name\": \"a\\u0000b\"}"] {
        let answer = anna.call_raw(Method::POST, create, body).await;
        assert_eq!(answer.status, 400, "{body}");
        let code = answer.body["errcode"].as_str().unwrap();
        assert!(["M_NOT_JSON", "M_BAD_JSON"].contains(&code), "{body}: {code}");
    }
    for body in ["[]", "3", "{\"name\": 5}"] {
        let answer = anna.call_raw(Method::POST, create, body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    anna.call_raw(Method::POST, create, b"{\"name\":\"\xff\"}".to_vec()).await.refused(400, "M_NOT_JSON");
    let deep = format!("{{\"topic\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(anna.call_raw(Method::POST, create, deep).await.status, 400);
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let body = json!({ "name": "x".repeat(5 << 20) });
    anna.post("/_matrix/client/v3/createRoom", body).await.refused(413, "M_TOO_LARGE");
    let room = anna.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let body = json!({ "msgtype": "m.text", "body": "x".repeat(70_000) });
    anna.put(&path, body).await.refused(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn ids_that_are_none_are_refused() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let long = format!("!{}:school.example", "x".repeat(300));
    for room in ["nonsense", "%00", &long] {
        let answer = anna.room(room, "messages?dir=b").await;
        assert!([400, 403, 404].contains(&answer.status.as_u16()), "{room}: {} {}", answer.status, answer.body);
        assert!(answer.body["errcode"].is_string(), "{room}: {}", answer.body);
    }
    anna.join("!unknown:elsewhere.example").await;
    let answer = anna.get("/_matrix/client/v3/sync?since=nonsense").await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_ne!(answer.body["errcode"], Value::Null);
}

#[tokio::test]
async fn web_clients_of_any_origin_may_read_every_answer() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    for path in ["/_matrix/client/versions", "/nothing", WHOAMI] {
        let answer = http.get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path}");
        let preflight = http.request(Method::OPTIONS, server.url(path)).send().await.unwrap();
        assert!(preflight.status().is_success(), "{path}");
        let headers = preflight.headers()["access-control-allow-headers"].to_str().unwrap().to_lowercase();
        assert!(headers.contains("authorization"), "{headers}");
    }
}

#[tokio::test]
async fn what_costs_memory_for_each_of_its_parts_is_bounded() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let creators: Vec<_> = (0..1001).map(|n| format!("@u{n}:{}", anna.user_id.split_once(':').unwrap().1)).collect();
    let room = json!({ "room_version": "12", "creation_content": { "additional_creators": creators } });
    anna.post("/_matrix/client/v3/createRoom", room).await.refused(400, "M_INVALID_PARAM");

    let types = vec!["m.room.message".to_owned(); 5000];
    let search =
        json!({ "search_categories": { "room_events": { "search_term": "a", "filter": { "types": types } } } });
    anna.post("/_matrix/client/v3/search", search).await.refused(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn a_page_of_large_events_ends_early_and_says_where_to_go_on() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let room = anna.create_room(json!({})).await;
    let large = "x".repeat(60_000);
    for _ in 0..80 {
        anna.send(&room, &large).await;
    }
    let (mut seen, mut pages, mut from) = (0, 0, String::new());
    loop {
        let page = anna.room(&room, &format!("messages?dir=b&limit=1000{from}")).await.ok();
        let chunk = page["chunk"].as_array().unwrap();
        seen += chunk.iter().filter(|event| event["type"] == "m.room.message").count();
        pages += 1;
        let Some(end) = page["end"].as_str() else { break };
        from = format!("&from={end}");
    }
    assert_eq!(seen, 80);
    assert!(pages > 1, "all of it in one answer");
}
