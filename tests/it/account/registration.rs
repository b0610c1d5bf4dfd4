//! Making accounts.

use homeroom::config::RegistrationMode;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server};

const REGISTER: &str = "/_matrix/client/v3/register";

async fn register(client: &Client, body: Value) -> Answer {
    client.post(REGISTER, body).await
}

#[tokio::test]
async fn a_request_without_proof_learns_the_flows() {
    let server = Server::start().await;
    let client = server.anonymous();
    let asked = register(&client, json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert!(asked.body["params"].is_object() && asked.body.get("errcode").is_none());
    let session = asked.body["session"].as_str().unwrap();
    let auth = json!({ "type": "m.login.dummy", "session": session });
    let made = register(&client, json!({ "username": "anna", "password": PASSWORD, "auth": auth })).await.ok();
    assert_eq!(made["user_id"], "@anna:school.example");
    assert!(made["access_token"].is_string() && made["device_id"].is_string());
    assert!(made.get("refresh_token").is_none());
}

#[tokio::test]
async fn names_follow_the_grammar_and_are_given_once() {
    let server = Server::start().await;
    let client = server.anonymous();
    let body = |name: &str| json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    assert_eq!(register(&client, body("Ben-UPPER")).await.ok()["user_id"], "@ben-upper:school.example");
    register(&client, body("ben-upper")).await.refused(400, "M_USER_IN_USE");
    // The name is refused before any stage is asked for.
    register(&client, json!({ "username": "ben-upper" })).await.refused(400, "M_USER_IN_USE");
    for name in ["a!", "a b", "ä", "", &"a".repeat(250)] {
        register(&client, body(name)).await.refused(400, "M_INVALID_USERNAME");
    }
    let available = |name: &str| format!("{REGISTER}/available?username={name}");
    assert_eq!(client.get(&available("carla")).await.ok()["available"], true);
    client.get(&available("ben-upper")).await.refused(400, "M_USER_IN_USE");
    client.get(&available("a!")).await.refused(400, "M_INVALID_USERNAME");
}

#[tokio::test]
async fn what_is_left_out_is_chosen_or_refused() {
    let server = Server::start().await;
    let client = server.anonymous();
    let dummy = json!({ "type": "m.login.dummy" });
    let named = register(&client, json!({ "password": PASSWORD, "auth": dummy })).await.ok();
    assert!(named["user_id"].as_str().unwrap().ends_with(":school.example"));
    register(&client, json!({ "username": "anna", "auth": dummy })).await.refused(400, "M_MISSING_PARAM");
    let weak = json!({ "username": "anna", "password": "short", "auth": dummy });
    register(&client, weak).await.refused(400, "M_WEAK_PASSWORD");
    let quiet = json!({ "username": "anna", "password": PASSWORD, "auth": dummy, "inhibit_login": true });
    let quiet = register(&client, quiet).await.ok();
    assert!(quiet.get("access_token").is_none() && quiet.get("device_id").is_none_or(Value::is_null));
    let device = json!({
        "username": "ben", "password": PASSWORD, "auth": dummy, "device_id": "PHONE", "refresh_token": true,
        "initial_device_display_name": "Ben's phone",
    });
    let device = register(&client, device).await.ok();
    assert_eq!(device["device_id"], "PHONE");
    assert!(device["refresh_token"].is_string() && device["expires_in_ms"].is_u64());
}

#[tokio::test]
async fn a_token_opens_registration() {
    let server = Server::with(|config| {
        config.registration.mode = RegistrationMode::Token;
        config.registration.tokens = vec!["class-7b".into()];
    })
    .await;
    let client = server.anonymous();
    let body = |auth: Value| json!({ "username": "anna", "password": PASSWORD, "auth": auth });
    let dummy = register(&client, body(json!({ "type": "m.login.dummy" }))).await;
    assert_eq!(dummy.status, 401);
    assert_eq!(dummy.body["errcode"], "M_UNRECOGNIZED");
    let session = dummy.body["session"].as_str().unwrap();
    let auth = |token: &str| json!({ "type": "m.login.registration_token", "token": token, "session": session });
    let wrong = register(&client, body(auth("class-7c"))).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errcode"]), (401, &json!("M_FORBIDDEN")));
    assert_eq!(wrong.body["session"], session);
    register(&client, body(auth("class-7b"))).await.ok();
    let validity =
        |token: &str| format!("/_matrix/client/v1/register/m.login.registration_token/validity?token={token}");
    assert_eq!(client.get(&validity("class-7b")).await.ok()["valid"], true);
    assert_eq!(client.get(&validity("class-7c")).await.ok()["valid"], false);
}

#[tokio::test]
async fn closed_means_closed() {
    let server = Server::with(|config| config.registration.mode = RegistrationMode::Closed).await;
    let client = server.anonymous();
    let dummy = json!({ "username": "anna", "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    register(&client, dummy).await.refused(403, "M_FORBIDDEN");
    register(&client, json!({})).await.refused(403, "M_FORBIDDEN");
    client.post(&format!("{REGISTER}?kind=guest"), json!({})).await.refused(403, "M_FORBIDDEN");
    client.get(&format!("{REGISTER}/available?username=anna")).await.refused(403, "M_FORBIDDEN");
    client.get("/_synapse/admin/v1/register").await.refused(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn guests_come_in_where_they_may() {
    let server = Server::with(|config| config.registration.guests = true).await;
    let made = server.anonymous().post(&format!("{REGISTER}?kind=guest"), json!({})).await.ok();
    let mut guest = server.anonymous();
    guest.token = made["access_token"].as_str().unwrap().to_owned();
    let who = guest.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!((&who["is_guest"], &who["user_id"]), (&json!(true), &made["user_id"]));
    guest.post("/_matrix/client/v3/createRoom", json!({})).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let other = server.anonymous().post(&format!("{REGISTER}?kind=bot"), json!({})).await;
    other.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_fallback_page_completes_its_stage() {
    let server = Server::start().await;
    let client = server.anonymous();
    let body = |auth: Value| json!({ "username": "anna", "password": PASSWORD, "auth": auth });
    let asked = register(&client, json!({ "username": "anna", "password": PASSWORD })).await;
    let session = asked.body["session"].as_str().unwrap();
    let page = server.url(&format!("/_matrix/client/v3/auth/m.login.dummy/fallback/web?session={session}"));
    let http = reqwest::Client::new();
    let form = http.get(&page).send().await.unwrap();
    assert!(form.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(form.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let early = register(&client, body(json!({ "session": session }))).await;
    assert_eq!(early.status, 401);
    let sent = http.post(&page).header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert!(sent.text().await.unwrap().contains("onAuthDone"));
    register(&client, body(json!({ "session": session }))).await.ok();
    assert_eq!(http.get(&page).send().await.unwrap().status(), 404);
}
