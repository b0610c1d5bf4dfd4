//! Rate limits of signing in.

use homeroom::config::Rate;
use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server};

async fn try_login(client: &Client, name: &str) -> (u16, Value) {
    let body = json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": "wrong horse",
    });
    let answer = client.post("/_matrix/client/v3/login", body).await;
    (answer.status.as_u16(), answer.body)
}

#[tokio::test]
async fn guessing_one_password_is_slowed_and_nobody_else_suffers() {
    let server = Server::with(|config| {
        config.limits.enabled = true;
        config.limits.login_per_account = Rate::new(3, 600);
    })
    .await;
    for name in ["anna", "ben"] {
        server.register(name).await;
    }
    let client = server.anonymous();
    // However the account is named.
    for name in ["anna", "@anna:school.example", "ANNA"] {
        assert_eq!(try_login(&client, name).await.0, 403);
    }
    let (status, refused) = try_login(&client, "anna").await;
    assert_eq!((status, &refused["errcode"]), (429, &json!("M_LIMIT_EXCEEDED")));
    assert!(refused["retry_after_ms"].as_u64().unwrap() > 0);
    // The right password waits as well, or guessing would tell.
    let body = json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "anna" }, "password": PASSWORD,
    });
    let right = client.post("/_matrix/client/v3/login", body).await;
    assert!(right.headers.contains_key("retry-after"));
    right.refused(429, "M_LIMIT_EXCEEDED");
    Client::login(&server, "ben").await;
}

#[tokio::test]
async fn a_stolen_token_is_no_better_place_to_guess() {
    let server = Server::with(|config| {
        config.limits.enabled = true;
        config.limits.login_per_account = Rate::new(3, 600);
    })
    .await;
    let anna = server.register("anna").await;
    let ben = server.register("ben").await;
    let wrong = json!({ "devices": ["X"], "auth": { "type": "m.login.password", "password": "wrong horse" } });
    let right = json!({ "devices": ["X"], "auth": { "type": "m.login.password", "password": PASSWORD } });
    let path = "/_matrix/client/v3/delete_devices";
    for _ in 0..3 {
        assert_eq!(anna.post(path, wrong.clone()).await.status, 401);
    }
    anna.post(path, right.clone()).await.refused(429, "M_LIMIT_EXCEEDED");
    ben.post(path, right).await.ok();
}
