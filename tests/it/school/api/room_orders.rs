//! What teachers, those who watch over a chat, and administrators do with the school's rooms, over HTTP.

use homeroom::store::schema::school::RoomKind;
use serde_json::{Value, json};

use super::v1;
use crate::{harness::escape, school::small::Small};

async fn start() -> Small {
    let small = Small::start().await;
    small.school().rooms.settled().await;
    small
}

/// The room of an object of the small school.
async fn room(small: &Small, kind: RoomKind, object: &str) -> String {
    let lines = small.school().rooms.list(None, 1000, |link| link.kind == kind).await.unwrap();
    let line = lines.iter().find(|line| line.link.object == format!("small/{object}"));
    line.unwrap_or_else(|| panic!("{object}: {lines:?}")).room_id.to_string()
}

fn at(room: &str, order: &str) -> String {
    v1(&format!("/rooms/{}/{order}", escape(room)))
}

fn message(room: &str, transaction: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{transaction}", escape(room))
}

#[tokio::test]
async fn teachers_say_who_writes_in_their_class() {
    let small = start().await;
    let class = room(&small, RoomKind::Class, "8a").await;
    let hello = json!({ "msgtype": "m.text", "body": "hello" });
    let one_way = json!({ "mode": "one_way" });
    small.client("pupil").put(&at(&class, "mode"), one_way.clone()).await.refused(403, "M_FORBIDDEN");
    small.client("other_teacher").put(&at(&class, "mode"), one_way.clone()).await.refused(404, "M_NOT_FOUND");
    assert_eq!(small.client("tutor").put(&at(&class, "mode"), json!({ "mode": "wild" })).await.status, 400);
    small.client("tutor").put(&at(&class, "mode"), one_way).await.ok();
    small.client("pupil").put(&message(&class, "1"), hello.clone()).await.refused(403, "M_FORBIDDEN");
    small.client("tutor").put(&at(&class, "mode"), json!({ "mode": "open" })).await.ok();
    small.client("pupil").put(&message(&class, "2"), hello).await.ok();
}

#[tokio::test]
async fn announcements_of_one_moment_are_all_repeated() {
    let small = start().await;
    let families = room(&small, RoomKind::ClassFamily, "8a").await;
    let tutor = small.client("tutor");
    for text in ["one", "two"] {
        tutor.post(&at(&families, "announce"), json!({ "text": text })).await.ok();
    }
    assert_eq!(tutor.post(&at(&families, "announce"), json!({ "text": " " })).await.status, 400);
    let outsider = small.client("pupil").post(&at(&families, "announce"), json!({ "text": "no" })).await;
    assert!(outsider.status == 403 || outsider.status == 404, "{}", outsider.status);
    small.school().rooms.announced().await;
    let sync = small.client("coguardian").sync(None).await;
    let rooms = sync["rooms"]["join"].as_object().unwrap();
    let events = rooms.values().flat_map(|room| room["timeline"]["events"].as_array().unwrap());
    let bodies: Vec<&str> = events.filter_map(|event| event["content"]["body"].as_str()).collect();
    assert_eq!(bodies, ["Tilda Tafel:\none", "Tilda Tafel:\ntwo"]);
}

#[tokio::test]
async fn adults_take_turns_let_pupils_go_and_open_the_room_of_a_family() {
    let small = start().await;
    let tutor = small.client("tutor");
    let started = tutor.post(&v1("/chats"), json!({ "with": small.id("pupil") })).await.ok();
    let chat = started["room_id"].as_str().unwrap();
    let members = tutor.room(chat, "joined_members").await.ok();
    let known = [small.id("tutor"), small.id("pupil"), "@school:school.example"];
    let second = members["joined"].as_object().unwrap().keys().find(|id| !known.contains(&id.as_str())).unwrap();
    let turn = |old: &str, new: &str| json!({ "old": old, "new": new });
    let replace = at(chat, "replace_supervisor");
    let other = turn(second, small.id("counsellor"));
    tutor.post(&replace, other.clone()).await.refused(403, "M_FORBIDDEN");
    let wish = small.client("pupil").post(&replace, turn(small.id("pupil"), small.id("lead"))).await;
    assert!(wish.status.is_client_error(), "{}", wish.status);
    small.client("admin").post(&replace, other).await.ok();
    let unfit = turn(small.id("counsellor"), small.id("stranger_guardian"));
    assert!(small.client("admin").post(&replace, unfit).await.status.is_client_error());

    let consent = at(chat, "consent_to_leave");
    let student = json!({ "student": small.id("pupil") });
    assert!(small.client("pupil").post(&consent, student.clone()).await.status.is_client_error());
    tutor.post(&consent, student.clone()).await.ok();
    assert!(tutor.room(chat, "joined_members").await.ok()["joined"][small.id("pupil")].is_null());

    let opened = small.client("guardian").post(&v1("/families"), student.clone()).await.ok();
    assert_eq!(tutor.post(&v1("/families"), student.clone()).await.ok(), opened);
    let hidden = small.client("stranger_guardian").post(&v1("/families"), student).await;
    let nobody = json!({ "student": "@nobody:school.example" });
    let nobody = small.client("stranger_guardian").post(&v1("/families"), nobody).await;
    assert_eq!((hidden.status, &hidden.body), (nobody.status, &nobody.body));
    assert!(hidden.status.is_client_error());
}

#[tokio::test]
async fn administrators_see_how_far_the_rooms_are() {
    let small = start().await;
    let admin = small.client("admin");
    let now = admin.get(&v1("/rooms/progress")).await.ok();
    assert_eq!((&now["working"], &now["total"]), (&json!(false), &now["looked_at"]));
    assert!(now["last"]["made"].as_u64().is_some());
    let done: Value = admin.post(&v1("/rooms/reconcile"), json!({})).await.ok();
    assert_eq!(done, json!({ "made": 0, "changed": 0, "archived": 0, "departed": 0, "failed": 0 }));
}
