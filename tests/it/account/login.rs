//! Signing in and out, tokens, passwords, closing the account.

use std::time::Duration;

use homeroom::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, PASSWORD, Server};

const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn password_login(name: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": password })
}

fn with_token(server: &Server, answer: &Value) -> Client {
    let mut client = server.anonymous();
    client.token = answer["access_token"].as_str().unwrap().to_owned();
    client
}

fn proof(client: &Client, password: &str) -> Value {
    json!({
        "type": "m.login.password", "password": password, "identifier": { "type": "m.id.user", "user": client.user_id },
    })
}

#[tokio::test]
async fn people_sign_in_by_name_or_id() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let client = server.anonymous();
    let flows = client.get(LOGIN).await.ok();
    assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }] }));
    for name in ["anna", "@anna:school.example", "Anna", "@ANNA:school.example"] {
        let answer = client.post(LOGIN, password_login(name, PASSWORD)).await.ok();
        assert_eq!(answer["user_id"], anna.user_id.as_str());
    }
    let old = json!({ "type": "m.login.password", "user": "anna", "password": PASSWORD });
    client.post(LOGIN, old).await.ok();
    for (name, password) in [("anna", "wrong"), ("nobody", PASSWORD), ("@anna:other.example", PASSWORD)] {
        client.post(LOGIN, password_login(name, password)).await.refused(403, "M_FORBIDDEN");
    }
    client.post(LOGIN, json!({ "type": "m.login.password" })).await.refused(400, "M_BAD_JSON");
    client.post(LOGIN, json!({})).await.refused(400, "M_BAD_JSON");
    client.post(LOGIN, json!({ "type": "m.login.token", "token": "x" })).await.refused(400, "M_UNKNOWN");
    client.post(LOGIN, json!({ "type": "org.example" })).await.refused(400, "M_UNKNOWN");
}

#[tokio::test]
async fn a_session_ends_when_it_logs_out() {
    let server = Server::start().await;
    let phone = server.register("anna").await;
    let laptop = Client::login(&server, "anna").await;
    let who = phone.get(WHOAMI).await.ok();
    assert_eq!(who, json!({ "user_id": phone.user_id, "device_id": phone.device_id }));
    phone.post("/_matrix/client/v3/logout", json!({})).await.ok();
    let ended = phone.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(ended["soft_logout"], false);
    laptop.get(WHOAMI).await.ok();
    laptop.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    laptop.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    server.anonymous().get(WHOAMI).await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn tokens_expire_softly_and_are_refreshed() {
    let clock = Clock::test(1_800_000_000_000);
    let server = Server::at(clock.clone(), |_| {}).await;
    server.register("anna").await;
    let mut body = password_login("anna", PASSWORD);
    body["refresh_token"] = json!(true);
    let first = server.anonymous().post(LOGIN, body).await.ok();
    assert_eq!(first["expires_in_ms"], 3_600_000);
    let old = with_token(&server, &first);
    old.get(WHOAMI).await.ok();
    clock.advance(Duration::from_hours(1));
    let expired = old.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(expired["soft_logout"], true);
    let refresh = |token: &Value| {
        let (client, body) = (server.anonymous(), json!({ "refresh_token": token }));
        async move { client.post("/_matrix/client/v3/refresh", body).await }
    };
    let second = refresh(&first["refresh_token"]).await.ok();
    with_token(&server, &second).get(WHOAMI).await.ok();
    refresh(&first["refresh_token"]).await.refused(401, "M_UNKNOWN_TOKEN");
    refresh(&second["access_token"]).await.refused(401, "M_UNKNOWN_TOKEN");
    with_token(&server, &json!({ "access_token": second["refresh_token"] }))
        .get(WHOAMI)
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    refresh(&second["refresh_token"]).await.ok();
}

#[tokio::test]
async fn a_session_outlives_the_server_and_its_token_is_not_in_the_database() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let server = server.restart().await;
    let anna = anna.at(&server);
    anna.get(WHOAMI).await.ok();
    let secret = anna.token.strip_prefix("hr_").unwrap().as_bytes().to_vec();
    let folder = server.folder();
    drop(server);
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for entry in std::fs::read_dir(folder.join("db")).into_iter().flatten() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!holds(&bytes, &secret) && !holds(&bytes, PASSWORD.as_bytes()));
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let other = Client::login(&server, "anna").await;
    let ben = server.register("ben").await;
    let change = |auth: Value| {
        let anna = anna.clone();
        let mut body = json!({ "new_password": "a new horse battery" });
        if !auth.is_null() {
            body["auth"] = auth;
        }
        async move { anna.post("/_matrix/client/v3/account/password", body).await }
    };
    let asked = change(Value::Null).await;
    assert_eq!(asked.body["flows"], json!([{ "stages": ["m.login.password"] }]));
    let wrong = change(proof(&anna, "wrong horse battery")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["errcode"]), (401, &json!("M_FORBIDDEN")));
    change(proof(&ben, PASSWORD)).await.refused(403, "M_FORBIDDEN");
    let mut bound = proof(&anna, PASSWORD);
    bound["session"] = asked.body["session"].clone();
    change(bound).await.ok();
    anna.get(WHOAMI).await.ok();
    other.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    let login = |password: &str| {
        let (client, body) = (server.anonymous(), password_login("anna", password));
        async move { client.post(LOGIN, body).await }
    };
    login(PASSWORD).await.refused(403, "M_FORBIDDEN");
    login("a new horse battery").await.ok();
    let weak = json!({ "new_password": "short", "auth": proof(&anna, "a new horse battery") });
    anna.post("/_matrix/client/v3/account/password", weak).await.refused(400, "M_WEAK_PASSWORD");
    server.anonymous().post("/_matrix/client/v3/account/password", json!({})).await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_session_of_one_action_does_not_serve_another() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let begun =
        anna.post("/_matrix/client/v3/account/password", json!({ "new_password": "a new horse battery" })).await;
    let mut auth = proof(&anna, PASSWORD);
    auth["session"] = begun.body["session"].clone();
    let other: Answer = anna.post("/_matrix/client/v3/account/deactivate", json!({ "auth": auth })).await;
    other.refused(403, "M_FORBIDDEN");
    anna.get(WHOAMI).await.ok();
}

#[tokio::test]
async fn a_closed_account_stays_closed() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let ben = server.register("ben").await;
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    ben.join(&room).await.ok();
    let token = ben.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let path = "/_matrix/client/v3/account/deactivate";
    assert_eq!(anna.post(path, json!({})).await.status, 401);
    let closed = anna.post(path, json!({ "auth": proof(&anna, PASSWORD), "erase": true })).await.ok();
    assert_eq!(closed["id_server_unbind_result"], "success");
    anna.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    let client = server.anonymous();
    client.post(LOGIN, password_login("anna", PASSWORD)).await.refused(403, "M_USER_DEACTIVATED");
    let again = json!({ "username": "anna", "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
    client.post("/_matrix/client/v3/register", again).await.refused(400, "M_USER_IN_USE");
    // The rooms are left soon after.
    let left = |answer: &Value| {
        let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array()?.clone();
        events
            .into_iter()
            .find(|event| event["state_key"] == anna.user_id.as_str() && event["content"]["membership"] == "leave")
    };
    ben.sync_until(&token, left).await;
}

#[tokio::test]
async fn locked_accounts_can_only_log_out() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let users = &server.app().services().users;
    let (_, number, _) = users.accounts.meant("anna").await.unwrap().unwrap();
    users.accounts.set_locked(number, true).await.unwrap();
    let locked = anna.get(WHOAMI).await.refused(401, "M_USER_LOCKED");
    assert_eq!(locked["soft_logout"], true);
    server.anonymous().post(LOGIN, password_login("anna", PASSWORD)).await.refused(401, "M_USER_LOCKED");
    users.accounts.set_locked(number, false).await.unwrap();
    anna.get(WHOAMI).await.ok();
    users.accounts.set_suspended(number, true).await.unwrap();
    anna.get(WHOAMI).await.ok();
    anna.post("/_matrix/client/v3/createRoom", json!({})).await.refused(403, "M_USER_SUSPENDED");
    users.accounts.set_locked(number, true).await.unwrap();
    anna.post("/_matrix/client/v3/logout", json!({})).await.ok();
    anna.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn mail_and_telephone_are_not_used() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let threepids = anna.get("/_matrix/client/v3/account/3pid").await.ok();
    assert_eq!(threepids, json!({ "threepids": [] }));
    let wanted = json!({ "client_secret": "abc", "email": "a@b.example", "send_attempt": 1 });
    for path in ["register", "account/password", "account/3pid"] {
        let path = format!("/_matrix/client/v3/{path}/email/requestToken");
        server.anonymous().post(&path, wanted.clone()).await.refused(403, "M_THREEPID_DENIED");
    }
    anna.post("/_matrix/client/v3/account/3pid/add", json!({})).await.refused(403, "M_THREEPID_DENIED");
}

#[tokio::test]
async fn an_openid_token_is_for_oneself() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let path = |user: &str| format!("/_matrix/client/v3/user/{user}/openid/request_token");
    let token = anna.post(&path(&anna.user_id), json!({})).await.ok();
    assert_eq!((&token["token_type"], &token["matrix_server_name"]), (&json!("Bearer"), &json!("school.example")));
    let users = &server.app().services().users;
    assert_eq!(users.openid.user(token["access_token"].as_str().unwrap()).unwrap(), anna.user_id);
    anna.post(&path("@ben:school.example"), json!({})).await.refused(403, "M_FORBIDDEN");
    // It signs no requests.
    with_token(&server, &token).get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
}
