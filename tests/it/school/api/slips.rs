//! From a slip of paper to the first sign-in.

use serde_json::{Value, json};

use super::{schema::Schemas, v1};
use crate::{
    harness::{Client, PASSWORD, Server},
    school::small::Small,
};

async fn activate(server: &Server, code: &str, password: &str) -> crate::harness::Answer {
    server.anonymous().post(&v1("/activate"), json!({ "code": code, "password": password })).await
}

fn code(slips: &Value) -> String {
    slips["slips"][0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_slip_gives_the_first_password_once() {
    let small = Small::start().await;
    let schemas = Schemas(small.client("admin").get(&v1("/openapi.json")).await.ok());
    let pupil = small.id("pupil");
    let body = json!({ "users": [pupil, "@nobody:school.example"], "reset": true });
    let made = small.client("admin").post(&v1("/slips"), body).await;
    assert_eq!(made.headers["cache-control"], "no-store");
    let made = made.ok();
    schemas.check_reply("post", &v1("/slips"), 200, &made).unwrap();
    assert_eq!(made["skipped"], json!([{ "user_id": "@nobody:school.example", "reason": "unknown" }]));
    assert_eq!((&made["slips"][0]["name"], &made["slips"][0]["class"]), (&json!("Pia Apfel"), &json!("8a")));
    let code = code(&made);
    assert_eq!(made["slips"][0]["url"], format!("https://school.example/_homeroom/activate#{code}"));

    let mistyped = code.replacen(&code[..1], if code.starts_with('A') { "B" } else { "A" }, 1);
    activate(&small.server, &mistyped, PASSWORD).await.refused(400, "M_INVALID_PARAM");
    activate(&small.server, &code, "short").await.refused(400, "M_WEAK_PASSWORD");
    let listed = small.client("admin").get(&v1("/slips")).await.ok();
    schemas.check_reply("get", &v1("/slips"), 200, &listed).unwrap();
    assert!(listed["slips"][0].get("used_ms").is_none());
    let done = activate(&small.server, &code.to_lowercase().replace('-', " "), "a new password").await.ok();
    schemas.check_reply("post", &v1("/activate"), 200, &done).unwrap();
    assert_eq!(done["user_id"], pupil);
    activate(&small.server, &code, "a newer password").await.refused(403, "M_FORBIDDEN");
    small.client("pupil").get("/_matrix/client/v3/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    let records = small.client("admin").get(&v1("/audit?limit=2")).await.ok();
    assert_eq!(records["records"][0]["action"], "slip.use");
    assert!(!records.to_string().contains(&code[..5]));
}

#[tokio::test]
async fn the_slips_of_a_class_are_printed() {
    let small = Small::start().await;
    let admin: &Client = small.client("admin");
    let body = json!({ "class": "8a", "reset": true }).to_string();
    let http = reqwest::Client::new().post(small.server.url(&v1("/slips/print"))).bearer_auth(&admin.token);
    let page = http.body(body).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let html = page.text().await.unwrap();
    assert_eq!((html.matches("<section>").count(), html.matches("<svg").count()), (2, 2), "{html}");
    assert!(html.contains("Pia Apfel") && html.contains("Karl Doppel"));
    for outside in ["src=\"http", "href=", "url(", "@import", "<link", "style=\""] {
        assert!(!html.contains(outside), "{outside}");
    }
    let guardians = admin.post(&v1("/slips"), json!({ "class": "8a", "role": "guardian", "reset": true })).await.ok();
    // Neither the relative without contact nor who is kept apart.
    assert_eq!(guardians["slips"].as_array().unwrap().len(), 4);
    admin.post(&v1("/slips"), json!({ "class": "nowhere" })).await.refused(404, "M_NOT_FOUND");
    admin.post(&v1("/slips"), json!({ "class": "8a", "role": "wizard" })).await.refused(400, "M_INVALID_PARAM");
    admin.post(&v1("/slips"), json!({ "users": ["nonsense"] })).await.refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_slip_is_revoked() {
    let small = Small::start().await;
    let (admin, pupil) = (small.client("admin"), small.id("pupil"));
    let made = admin.post(&v1("/slips"), json!({ "users": [pupil], "reset": true })).await.ok();
    let path = v1(&format!("/slips/{}", crate::harness::escape(pupil)));
    admin.delete(&path).await.ok();
    admin.delete(&path).await.refused(404, "M_NOT_FOUND");
    activate(&small.server, &code(&made), PASSWORD).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn codes_cannot_be_tried_without_end() {
    let server = Server::with(|config| {
        config.limits.enabled = true;
        config.limits.login_per_address = homeroom::config::Rate::new(3, 600);
    })
    .await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = activate(&server, "22222-22222-22222", PASSWORD).await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused > 5, "{refused}");
}

#[tokio::test]
async fn the_page_loads_nothing_and_runs_only_its_own() {
    let server = Server::start().await;
    let page = reqwest::get(server.url("/_homeroom/activate")).await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("v1/activate") && !html.contains("src=") && !html.contains(" onclick"));
}
