//! Asking for contact, and what becomes of it.

use homeroom::school::roster::{EnrollmentRole, SchoolRole};
use serde_json::{Value, json};

use super::{schema::Schemas, v1};
use crate::{
    harness::{Answer, escape},
    school::small::{Small, enroll, give_role, person},
};

async fn start() -> Small {
    let small = Small::start().await;
    small.school().rooms.settled().await;
    small
}

async fn ask(small: &Small, from: &str, to: &str) -> Answer {
    small.client(from).post(&v1("/knocks"), json!({ "to": small.id(to), "text": "May I ask you something?" })).await
}

async fn answer(small: &Small, who: &str, id: &Value, action: &str) -> Answer {
    small.client(who).post(&v1(&format!("/knocks/{id}")), json!({ "action": action })).await
}

async fn list(small: &Small, who: &str) -> Value {
    small.client(who).get(&v1("/knocks")).await.ok()["knocks"].clone()
}

#[tokio::test]
async fn an_accepted_knock_opens_a_room_that_others_watch_over() {
    let small = start().await;
    let schemas = Schemas(small.client("admin").get(&v1("/openapi.json")).await.ok());
    let refused = small.client("pupil").post(&v1("/chats"), json!({ "with": small.id("tutor") })).await;
    let refused = refused.refused(403, "M_FORBIDDEN");
    assert!(refused["org.homeroom.reason"].as_str().unwrap().starts_with("knock"), "{refused}");
    let id = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    assert_eq!(ask(&small, "pupil", "tutor").await.ok()["id"], id, "asked twice is asked once");
    let page = small.client("tutor").get(&v1("/knocks")).await.ok();
    schemas.check_reply("get", &v1("/knocks"), 200, &page).unwrap();
    assert_eq!((&page["knocks"][0]["direction"], &page["knocks"][0]["name"]), (&json!("in"), &json!("Pia Apfel")));
    answer(&small, "pupil", &id, "accept").await.refused(404, "M_NOT_FOUND");
    answer(&small, "head", &id, "accept").await.refused(404, "M_NOT_FOUND");
    let accepted = answer(&small, "tutor", &id, "accept").await.ok();
    schemas.check_reply("post", &v1("/knocks/{id}"), 200, &accepted).unwrap();
    let room = accepted["room_id"].as_str().unwrap();
    let members = small.client("pupil").room(room, "joined_members").await.ok()["joined"].clone();
    assert!(members.as_object().unwrap().len() >= 4, "the two, another adult, the school: {members}");
    small.client("pupil").send(room, "Thank you").await;
    let again = small.client("pupil").post(&v1("/chats"), json!({ "with": small.id("tutor") })).await.ok();
    assert_eq!(again["room_id"], room);
    ask(&small, "pupil", "tutor").await.refused(409, "ORG.HOMEROOM_CONFLICT");
    answer(&small, "tutor", &id, "decline").await.refused(409, "ORG.HOMEROOM_CONFLICT");
}

#[tokio::test]
async fn who_is_declined_is_not_told() {
    let small = start().await;
    let id = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    assert_eq!(answer(&small, "tutor", &id, "decline").await.ok()["state"], "declined");
    assert_eq!(list(&small, "pupil").await[0]["state"], "open");
    assert_eq!(ask(&small, "pupil", "tutor").await.ok()["id"], id);
    assert_eq!(list(&small, "tutor").await.as_array().unwrap().len(), 1, "and does not ring again");
}

#[tokio::test]
async fn a_declined_knock_is_taken_back_and_made_again_like_an_open_one() {
    let small = start().await;
    let id = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    answer(&small, "tutor", &id, "decline").await.ok();
    let withdrawn = answer(&small, "pupil", &id, "withdraw").await.ok();
    assert_eq!(withdrawn["state"], "withdrawn");
    answer(&small, "pupil", &id, "withdraw").await.refused(409, "ORG.HOMEROOM_CONFLICT");
    assert_eq!(list(&small, "tutor").await[0]["state"], "declined");
    let again = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    assert_ne!(again, id);
    let mine = list(&small, "pupil").await;
    assert_eq!((&mine[0]["id"], &mine[0]["state"], &mine[1]["state"]), (&again, &json!("open"), &json!("withdrawn")));
    assert!(mine[0]["answered_ms"].is_null());
    assert_eq!(list(&small, "tutor").await.as_array().unwrap().len(), 1, "the no stands, and it does not ring again");
    answer(&small, "tutor", &again, "accept").await.refused(409, "ORG.HOMEROOM_CONFLICT");
}

#[tokio::test]
async fn what_shows_as_open_counts_as_open() {
    let mut small = start().await;
    small
        .reimport(|roster| {
            for n in 0..10 {
                let id = format!("extra{n}");
                roster.people.insert(id.clone(), person("Erik", &format!("Extra{n}"), None));
                give_role(roster, &id, SchoolRole::Teacher, None);
                enroll(roster, "8a", &id, EnrollmentRole::Teacher, false);
            }
        })
        .await;
    small.school().rooms.settled().await;
    let id = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    answer(&small, "tutor", &id, "decline").await.ok();
    let mut last = None;
    for n in 0..10 {
        let to = format!("@{}:school.example", small.account(&format!("extra{n}")).await.1);
        last = Some(small.client("pupil").post(&v1("/knocks"), json!({ "to": to, "text": "May I?" })).await);
        assert!(n == 9 || last.as_ref().unwrap().status == 200, "{n}: {}", last.unwrap().body);
    }
    last.unwrap().refused(409, "ORG.HOMEROOM_CONFLICT");
}

#[tokio::test]
async fn a_knock_is_taken_back_and_nonsense_refused() {
    let small = start().await;
    let id = ask(&small, "pupil", "tutor").await.ok()["id"].clone();
    assert_eq!(answer(&small, "pupil", &id, "withdraw").await.ok()["state"], "withdrawn");
    answer(&small, "tutor", &id, "accept").await.refused(409, "ORG.HOMEROOM_CONFLICT");
    answer(&small, "tutor", &id, "explode").await.refused(400, "M_INVALID_PARAM");
    answer(&small, "tutor", &json!(99), "accept").await.refused(404, "M_NOT_FOUND");
    for text in [String::new(), "x".repeat(501)] {
        let body = json!({ "to": small.id("tutor"), "text": text });
        small.client("pupil").post(&v1("/knocks"), body).await.refused(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn hidden_people_are_no_people() {
    let small = start().await;
    let nobody = json!({ "to": "@nobody:school.example", "text": "hello" });
    let nobody = small.client("pupil").post(&v1("/knocks"), nobody).await.refused(404, "M_NOT_FOUND");
    for name in ["stranger", "other_teacher", "isolated"] {
        assert_eq!(ask(&small, "pupil", name).await.refused(404, "M_NOT_FOUND"), nobody, "{name}");
        let chat = small.client("pupil").post(&v1("/chats"), json!({ "with": small.id(name) })).await;
        let unknown = small.client("pupil").post(&v1("/chats"), json!({ "with": "@nobody:school.example" })).await;
        assert_eq!((chat.status, chat.body), (unknown.status, unknown.body), "{name}");
    }
}

#[tokio::test]
async fn whom_one_ignores_does_not_ring() {
    let small = start().await;
    ask(&small, "pupil", "tutor").await.ok();
    let tutor = small.client("tutor");
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", escape(small.id("tutor")));
    tutor.put(&path, json!({ "ignored_users": { small.id("pupil"): {} } })).await.ok();
    assert_eq!(list(&small, "tutor").await, json!([]));
    assert_eq!(list(&small, "pupil").await[0]["state"], "open");
}
