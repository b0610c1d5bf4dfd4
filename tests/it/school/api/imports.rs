//! Rosters in and out over HTTP.

use std::io::{Cursor, Write as _};

use homeroom::school::{export, roster::Roster};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{schema::Schemas, v1};
use crate::{
    harness::{Answer, Client, Server},
    school::small::{remove, roster},
};

const SOURCE: &str = "sis";

fn zipped(roster: &Roster) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    export::zip(roster, &mut bytes).unwrap();
    bytes.into_inner()
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

struct Desk {
    server: Server,
    admin: Client,
    schemas: Schemas,
}

impl Desk {
    async fn open() -> Self {
        let server = Server::start().await;
        let admin = server.register("root").await;
        let users = &server.app().services().users;
        let (user, _) =
            users.accounts.get(<&ruma::UserId>::try_from(admin.user_id.as_str()).unwrap()).await.unwrap().unwrap();
        users.accounts.set_admin(user, true).await.unwrap();
        let schemas = Schemas(admin.get(&v1("/openapi.json")).await.ok());
        Self { server, admin, schemas }
    }

    async fn upload(&self, bytes: Vec<u8>, query: &str) -> Answer {
        let path = v1(&format!("/imports?source={SOURCE}{query}"));
        let answer = self.admin.call_raw(reqwest::Method::POST, &path, bytes).await;
        let status = answer.status.as_u16();
        self.schemas.check_reply("post", &v1("/imports"), status, &answer.body).unwrap();
        answer
    }

    async fn settled(&self, import: &Value) -> Value {
        let id = import["id"].as_u64().unwrap();
        self.server.app().services().school.imports.settled(id).await.unwrap();
        let answer = self.admin.get(&v1(&format!("/imports/{id}"))).await.ok();
        self.schemas.check_reply("get", &v1("/imports/{id}"), 200, &answer).unwrap();
        answer
    }

    async fn step(&self, import: &Value, what: &str, body: Value) -> Answer {
        self.admin.post(&v1(&format!("/imports/{}/{what}", import["id"])), body).await
    }

    /// Nothing that was uploaded stays.
    fn check_folder(&self) {
        let left: Vec<_> = std::fs::read_dir(self.server.folder().join("exchange")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_bundle_is_planned_applied_and_undone() {
    let desk = Desk::open().await;
    let planned = desk.upload(zipped(&roster()), "").await.ok();
    assert_eq!((&planned["state"], &planned["counts"]["errors"]), (&json!("planned"), &json!(0)), "{planned}");
    assert!(planned["summary"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("join")));
    let path = v1(&format!("/imports/{}/changes?limit=3", planned["id"]));
    let changes = desk.admin.get(&path).await.ok();
    desk.schemas.check_reply("get", &v1("/imports/{id}/changes"), 200, &changes).unwrap();
    assert_eq!((changes["changes"].as_array().unwrap().len(), &changes["next_batch"]), (3, &json!("3")));
    assert_eq!(changes["changes"][0]["kind"], "org");
    let applying = desk.step(&planned, "apply", json!({})).await.ok();
    assert_eq!(desk.settled(&applying).await["state"], "applied");
    let people = desk.admin.get(&v1("/people?limit=200")).await.ok();
    assert_eq!(people["people"].as_array().unwrap().len(), 20);
    desk.step(&planned, "apply", json!({})).await.refused(409, "ORG.HOMEROOM_CONFLICT");
    let again = desk.upload(zipped(&roster()), "&dry_run=false").await.ok();
    let counts = desk.settled(&again).await["counts"].clone();
    assert_eq!((&counts["created"], &counts["updated"], &counts["removed"]), (&json!(0), &json!(0), &json!(0)));
    // What changed nothing cannot be undone; the one before it can.
    desk.step(&again, "rollback", json!({})).await.refused(409, "ORG.HOMEROOM_CONFLICT");
    let undone = desk.step(&planned, "rollback", json!({})).await.ok();
    assert_eq!(desk.settled(&undone).await["state"], "rolled_back");
    let list = desk.admin.get(&v1("/imports?limit=1")).await.ok();
    desk.schemas.check_reply("get", &v1("/imports"), 200, &list).unwrap();
    assert_eq!((&list["imports"][0]["id"], list["next_batch"].is_string()), (&again["id"], true));
    desk.check_folder();
}

#[tokio::test]
async fn an_import_that_removes_much_is_held_until_it_is_confirmed() {
    let desk = Desk::open().await;
    let first = desk.upload(zipped(&roster()), "&dry_run=false").await.ok();
    assert_eq!(desk.settled(&first).await["state"], "applied");
    let mut fewer = roster();
    for name in ["classmate", "stranger"] {
        remove(&mut fewer, name);
    }
    let held = desk.upload(zipped(&fewer), "&dry_run=false").await.ok();
    assert_eq!(held["state"], "held");
    assert!(!held["holds"].as_array().unwrap().is_empty());
    desk.step(&held, "apply", json!({})).await.refused(409, "ORG.HOMEROOM_CONFLICT");
    let discarded = desk.step(&held, "discard", json!({})).await.ok();
    assert_eq!(discarded["state"], "discarded");
    let held = desk.upload(zipped(&fewer), "").await.ok();
    let applied = desk.step(&held, "apply", json!({ "confirm": true })).await.ok();
    assert_eq!(desk.settled(&applied).await["state"], "applied");
}

#[tokio::test]
async fn broken_files_are_refused_with_what_is_wrong() {
    let desk = Desk::open().await;
    let mut broken = roster();
    broken.enrollments.values_mut().next().unwrap().class = "=nowhere".into();
    let refused = desk.upload(zipped(&broken), "&dry_run=false").await.ok();
    assert_eq!(refused["state"], "refused");
    let path = v1(&format!("/imports/{}/errors", refused["id"]));
    let told = desk.admin.get(&path).await.ok();
    desk.schemas.check_reply("get", &v1("/imports/{id}/errors"), 200, &told).unwrap();
    let problem = &told["problems"][0];
    assert_eq!((&problem["severity"], &problem["file"]), (&json!("error"), &json!("enrollments.csv")), "{problem}");
    assert!(problem["line"].is_u64() && !problem["hint"].as_str().unwrap().is_empty());
    let csv = desk.admin.get(&format!("{path}?format=csv")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert!(csv.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    desk.step(&refused, "apply", json!({ "confirm": true })).await.refused(409, "ORG.HOMEROOM_CONFLICT");

    for bytes in [
        b"not a zip at all".to_vec(),
        Vec::new(),
        archive(&[("readme.txt", b"hello")]),
        archive(&[("../orgs.csv", b"sourcedId"), ("manifest.csv", b"propertyName,value\r\n")]),
        // Ten megabytes of nothing in ten kilobytes.
        archive(&[("users.csv", &vec![b'a'; 10 << 20]), ("orgs.csv", b"sourcedId\r\n")]),
    ] {
        let refused = desk.upload(bytes, "").await.ok();
        assert_eq!(refused["state"], "refused", "{refused}");
        assert!(refused["counts"]["errors"].as_u64() > Some(0));
    }
    desk.check_folder();
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let desk = Desk::open().await;
    let huge = reqwest::Client::new().post(desk.server.url(&v1("/imports"))).bearer_auth(&desk.admin.token);
    // Announced only: nothing of it is sent, and nothing is waited for.
    let refused = huge.header("content-length", (1_u64 << 40).to_string()).body("x").send().await;
    assert!(refused.is_err() || refused.unwrap().status() == 413);
    let path = v1("/imports?source=No%20Such%20Name");
    let bytes = zipped(&roster());
    desk.admin.call_raw(reqwest::Method::POST, &path, bytes).await.refused(400, "M_INVALID_PARAM");
    desk.admin.get(&v1("/imports/77")).await.refused(404, "M_NOT_FOUND");
    desk.admin.get(&v1("/imports/seven")).await.refused(404, "M_NOT_FOUND");
    desk.admin.get(&v1("/imports/77/changes")).await.refused(404, "M_NOT_FOUND");
    desk.admin.get(&v1("/imports?limit=0")).await.refused(400, "M_INVALID_PARAM");
    desk.admin.get(&v1("/imports?from=x")).await.refused(400, "M_INVALID_PARAM");
    desk.admin.get(&v1("/export")).await.refused(404, "M_NOT_FOUND");
    desk.check_folder();
}

#[tokio::test]
async fn an_export_imports_to_the_same_state() {
    let desk = Desk::open().await;
    let first = desk.upload(zipped(&roster()), "&dry_run=false").await.ok();
    desk.settled(&first).await;
    let request = reqwest::Client::new().get(desk.server.url(&v1("/export"))).bearer_auth(&desk.admin.token);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let bytes = answer.bytes().await.unwrap().to_vec();
    let same = desk.upload(bytes, "").await.ok();
    let counts = &same["counts"];
    assert_eq!((&counts["created"], &counts["updated"], &counts["removed"]), (&json!(0), &json!(0), &json!(0)));
    desk.admin.get(&v1("/export?source=other")).await.refused(404, "M_NOT_FOUND");
}
