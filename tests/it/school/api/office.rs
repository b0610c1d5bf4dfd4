//! What administrators do through the interface; every reply is compared with the document.

use reqwest::Method;
use serde_json::{Value, json};

use super::{schema::Schemas, v1};
use crate::{harness::escape, school::small::Small};

/// An administrator whose every answer is checked.
struct Office {
    small: Small,
    schemas: Schemas,
}

impl Office {
    async fn open() -> Self {
        let small = Small::start().await;
        let document = small.server.anonymous().get(&v1("/openapi.json")).await.ok();
        Self { small, schemas: Schemas(document) }
    }

    /// Asks by the template of a path, its arguments in their order, and a query; the answer has to be documented.
    #[track_caller]
    fn ask<'a>(
        &'a self,
        method: Method,
        template: &'a str,
        arguments: &'a [&'a str],
        query: &'a str,
        body: Value,
    ) -> impl Future<Output = (u16, Value)> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut arguments = arguments.iter();
            let path: Vec<String> = template
                .split('/')
                .map(|part| if part.starts_with('{') { escape(arguments.next().unwrap()) } else { part.to_owned() })
                .collect();
            let path = format!("{}{query}", v1(&path.join("/")));
            let answer = self.small.client("admin").call(method.clone(), &path, body).await;
            let status = answer.status.as_u16();
            let checked =
                self.schemas.check_reply(&method.as_str().to_lowercase(), &v1(template), status, &answer.body);
            checked.unwrap_or_else(|error| panic!("{caller}: {error}"));
            (status, answer.body)
        }
    }

    async fn get(&self, template: &str, query: &str) -> Value {
        let (status, body) = self.ask(Method::GET, template, &[], query, Value::Null).await;
        assert_eq!(status, 200, "{template}{query}: {body}");
        body
    }

    async fn last_audit(&self) -> (String, String) {
        let record = self.get("/audit", "?limit=1").await["records"][0].clone();
        assert_eq!(record["by"], self.small.id("admin"));
        (record["action"].as_str().unwrap().to_owned(), record["object"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn people_are_listed_page_by_page() {
    let office = Office::open().await;
    let all = office.get("/people", "?limit=200").await;
    assert_eq!(all["people"].as_array().unwrap().len(), 20);
    assert!(all.get("next_batch").is_none());
    let mut names = Vec::new();
    let mut from = String::new();
    loop {
        let page = office.get("/people", &format!("?limit=7{from}")).await;
        names.extend(page["people"].as_array().unwrap().iter().map(|who| who["user_id"].clone()));
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    names.dedup();
    assert_eq!(names.len(), 20);
    let pupil = office.get("/people", "?q=pia%20apf").await["people"].clone();
    assert_eq!(pupil[0]["user_id"], office.small.id("pupil"));
    assert_eq!((&pupil[0]["source_id"], &pupil[0]["roles"]), (&json!("pupil"), &json!(["student"])));
    assert_eq!(pupil[0]["classes"][0]["title"], "8a");
    assert_eq!(office.get("/people", "?role=leadership").await["people"].as_array().unwrap().len(), 1);
    let (status, _) = office.ask(Method::GET, "/people", &[], "?role=wizard", Value::Null).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn roles_links_and_overrides_are_decided_and_written_down() {
    let office = Office::open().await;
    let [office_worker, pupil, guardian, relative] =
        ["office", "pupil", "guardian", "relative"].map(|name| office.small.id(name));
    let role = "/roles/{user_id}/{role}";
    let given = office.ask(Method::PUT, role, &[office_worker, "safeguarding_lead"], "", json!({})).await;
    assert_eq!(given.0, 200);
    assert_eq!(office.last_audit().await, ("role.grant".into(), office_worker.into()));
    let roles = office.get("/roles", "").await["roles"].clone();
    assert!(roles.as_array().unwrap().iter().any(|role| role["user_id"] == office_worker && role["in_force"] == true));
    assert_eq!(office.ask(Method::DELETE, role, &[office_worker, "safeguarding_lead"], "", Value::Null).await.0, 200);
    assert_eq!(office.ask(Method::DELETE, role, &[office_worker, "safeguarding_lead"], "", Value::Null).await.0, 404);
    assert_eq!(office.ask(Method::PUT, role, &[office_worker, "wizard"], "", json!({})).await.0, 400);

    let link = "/links/{student}/{adult}";
    let confirmed = json!({ "contact": true, "reason": "confirmed by telephone" });
    assert_eq!(office.ask(Method::PUT, link, &[pupil, relative], "", confirmed).await.0, 200);
    assert_eq!(office.get("/links", "").await["links"][0]["contact"], true);
    assert_eq!(office.last_audit().await.0, "link.decide");
    assert_eq!(office.ask(Method::DELETE, link, &[pupil, relative], "", Value::Null).await.0, 200);
    let unsaid = json!({ "contact": true, "reason": " " });
    assert_eq!(office.ask(Method::PUT, link, &[pupil, relative], "", unsaid).await.0, 400);

    let wanted = json!({ "actor": guardian, "target": pupil, "verb": "dm", "effect": "deny", "reason": "asked for" });
    let (status, made) = office.ask(Method::POST, "/overrides", &[], "", wanted).await;
    assert_eq!(status, 200);
    let id = made["id"].to_string();
    let why = office.get("/why", &format!("?actor={}&target={}&verb=dm", escape(guardian), escape(pupil))).await;
    assert_eq!((&why["outcome"], &why["rule"]), (&json!("deny"), &json!("override")));
    assert_eq!(office.get("/overrides", &format!("?user={}", escape(pupil))).await["overrides"][0]["effect"], "deny");
    assert_eq!(office.ask(Method::DELETE, "/overrides/{id}", &[&id], "", Value::Null).await.0, 200);
    assert_eq!(office.ask(Method::DELETE, "/overrides/{id}", &[&id], "", Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_policy_is_read_tried_out_and_changed_with_its_version() {
    let office = Office::open().await;
    let policy = office.get("/policy", "").await;
    assert_eq!((&policy["version"], &policy["settings"]["preset"]), (&json!(0), &json!("safe")));
    let open = json!({ "preset": "classmates" });
    let (pupil, classmate) = (office.small.id("pupil"), office.small.id("classmate"));
    let pair = json!({ "settings": open, "actor": pupil, "target": classmate });
    let (status, told) = office.ask(Method::POST, "/policy/simulate", &[], "", pair).await;
    let dm = |told: &Value| {
        told["rulings"].as_array().unwrap().iter().find(|ruling| ruling["verb"] == "dm").unwrap()["outcome"].clone()
    };
    assert_eq!((status, dm(&told)), (200, json!("allow")));
    let (_, now) =
        office.ask(Method::POST, "/policy/simulate", &[], "", json!({ "actor": pupil, "target": classmate })).await;
    assert_eq!(dm(&now), "deny");
    let (status, preview) = office.ask(Method::POST, "/policy/preview", &[], "", json!({ "settings": open })).await;
    assert_eq!(status, 200);
    assert!(preview["counts"].as_array().unwrap().iter().any(|count| count["loosened"].as_u64() > Some(0)));

    let put = |version: u64, settings: Value| json!({ "version": version, "settings": settings });
    assert_eq!(office.ask(Method::PUT, "/policy", &[], "", put(7, open.clone())).await.0, 409);
    assert_eq!(office.ask(Method::PUT, "/policy", &[], "", put(0, json!({ "preset": "wild" }))).await.0, 400);
    let (status, made) = office.ask(Method::PUT, "/policy", &[], "", put(0, open)).await;
    assert_eq!((status, &made["version"]), (200, &json!(1)));
    assert_eq!(office.last_audit().await.0, "policy.set");
    assert_eq!(office.get("/policy/versions", "").await["versions"][0]["settings"]["preset"], "classmates");
}

#[tokio::test]
async fn rooms_are_listed_and_frozen_and_two_accounts_made_one() {
    let office = Office::open().await;
    office.small.school().rooms.settled().await;
    let rooms = office.get("/rooms", "?state=active&limit=200").await["rooms"].clone();
    let class = rooms.as_array().unwrap().iter().find(|room| room["kind"] == "class").unwrap();
    let room = class["room_id"].as_str().unwrap().to_owned();
    assert_eq!(office.ask(Method::POST, "/rooms/{room_id}/freeze", &[&room], "", Value::Null).await.0, 200);
    assert_eq!(office.get("/rooms", "?state=frozen").await["rooms"][0]["room_id"], room.as_str());
    assert_eq!(office.ask(Method::POST, "/rooms/{room_id}/unfreeze", &[&room], "", Value::Null).await.0, 200);
    assert_eq!(office.get("/rooms", "?state=frozen").await["rooms"], json!([]));
    assert_eq!(office.ask(Method::POST, "/rooms/{room_id}/freeze", &["!nowhere"], "", Value::Null).await.0, 404);
    office.get("/tasks", "").await;
    assert_eq!(office.ask(Method::POST, "/tasks/{id}/done", &["99"], "", Value::Null).await.0, 404);
    office.get("/rollover", "").await;
    assert_eq!(office.ask(Method::POST, "/rollover", &[], "", json!({})).await.0, 400);
    assert_eq!(office.ask(Method::POST, "/rollover", &[], "", json!({ "confirm": true })).await.0, 200);

    let merge = json!({ "from": office.small.id("coguardian"), "into": office.small.id("guardian") });
    assert_eq!(office.ask(Method::POST, "/people/merge", &[], "", merge.clone()).await.0, 200);
    let people = office.get("/people", "?limit=200").await["people"].clone();
    let merged = people.as_array().unwrap().iter().find(|who| who["user_id"] == office.small.id("guardian")).unwrap();
    assert_eq!(merged["records"].as_array().map(Vec::len), Some(2), "{merged}");
    let nobody = json!({ "from": "@nobody:school.example", "into": office.small.id("guardian") });
    assert_eq!(office.ask(Method::POST, "/people/merge", &[], "", nobody).await.0, 404);
}
