//! Rooms from the roster, over HTTP.

use homeroom::{
    school::{
        audit::Author,
        rooms::{Mode, PreviewLine},
        roster::EnrollmentRole,
    },
    store::schema::school::RoomKind,
};
use serde_json::{Value, json};

use super::{
    announcements::{announce, said},
    small::{self, Small},
};
use crate::harness::Client;

/// Somebody's joined rooms: name to id.
pub(super) async fn joined(client: &Client) -> Vec<(String, String)> {
    let answer = client.sync(None).await;
    let mut rooms = Vec::new();
    let empty = serde_json::Map::new();
    for (id, room) in answer["rooms"]["join"].as_object().unwrap_or(&empty) {
        let events = room["state"]["events"].as_array().into_iter().chain(room["timeline"]["events"].as_array());
        let name = events.flatten().rfind(|event| event["type"] == "m.room.name");
        let name = name.and_then(|event| event["content"]["name"].as_str()).unwrap_or_default();
        rooms.push((name.to_owned(), id.clone()));
    }
    rooms.sort();
    rooms
}

/// The id of somebody's room of a name that is no space.
pub(super) async fn room_of(client: &Client, name: &str) -> Option<String> {
    for (found, id) in joined(client).await {
        if found == name && client.room(&id, "state/m.room.create/").await.ok()["type"].is_null() {
            return Some(id);
        }
    }
    None
}

async fn names(client: &Client) -> Vec<String> {
    joined(client).await.into_iter().map(|(name, _)| name).collect()
}

pub(super) async fn members(client: &Client, room: &str) -> Vec<String> {
    let answer = client.room(room, "joined_members").await.ok();
    answer["joined"].as_object().unwrap().keys().cloned().collect()
}

pub(super) async fn settled(small: &Small) {
    small.school().rooms.settled().await;
}

pub(super) async fn start() -> Small {
    let small = Small::start().await;
    settled(&small).await;
    small
}

#[tokio::test]
async fn everybody_finds_their_rooms() {
    let small = start().await;
    let pupil = names(small.client("pupil")).await;
    // The space and the room of the class, and what the school announces to it.
    assert_eq!(pupil, ["8a", "8a", "Announcements · Small School"]);
    // Families have rooms when there is something to tell them.
    assert!(names(small.client("guardian")).await.is_empty());
    assert!(names(small.client("relative")).await.is_empty());
    assert!(names(small.client("isolated")).await.is_empty());
    let tutor = names(small.client("tutor")).await;
    for name in ["8a", "5b", "8a · families", "Staff · Small School", "Small School", "Year 8"] {
        assert!(tutor.iter().any(|found| found == name), "{name} is not in {tutor:?}");
    }
    let room = room_of(small.client("pupil"), "8a").await.unwrap();
    let found = members(small.client("pupil"), &room).await;
    let school = "@school:school.example".to_owned();
    for id in [small.id("pupil"), small.id("classmate"), small.id("tutor"), &school] {
        assert!(found.iter().any(|member| member == id), "{id} is not in {found:?}");
    }
    assert_eq!(found.len(), 4);
}

#[tokio::test]
async fn rooms_of_families_stay_here_and_staff_rooms_need_not() {
    let small = start().await;
    let pupil = small.client("pupil");
    let room = room_of(pupil, "8a").await.unwrap();
    assert_eq!(pupil.room(&room, "state/m.room.create/").await.ok()["m.federate"], false);
    let visibility = pupil.room(&room, "state/m.room.history_visibility/").await.ok();
    assert_eq!(visibility["history_visibility"], "joined");
    assert_eq!(pupil.room(&room, "state/m.room.join_rules/").await.ok()["join_rule"], "invite");
    assert_eq!(pupil.room(&room, "state/m.room.guest_access/").await.ok()["guest_access"], "forbidden");
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    small.client("tutor").set_state(&room, "m.room.encryption", "", encryption).await.refused(403, "M_FORBIDDEN");
    let staff = room_of(small.client("tutor"), "Staff · Small School").await.unwrap();
    let create = small.client("tutor").room(&staff, "state/m.room.create/").await.ok();
    assert!(create["m.federate"].is_null(), "{create}");
    assert!(small.client("tutor").room(&staff, "state/m.room.server_acl/").await.ok()["allow"].is_array());
}

#[tokio::test]
async fn a_move_changes_rooms_without_anybody_accepting() {
    let mut small = start().await;
    let before = room_of(small.client("pupil"), "8a").await.unwrap();
    announce(&small, ("tutor", "8a · families"), "Welcome.").await;
    let told = room_of(small.client("coguardian"), "8a · Pia Apfel").await.unwrap();
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/pupil");
            small::enroll(roster, "9c", "pupil", EnrollmentRole::Student, false);
        })
        .await;
    settled(&small).await;
    let pupil = small.client("pupil");
    assert_eq!(room_of(pupil, "8a").await, None);
    let now = room_of(pupil, "9c").await.unwrap();
    assert!(members(pupil, &now).await.contains(&small.id("stranger").to_owned()));
    pupil.room(&before, "joined_members").await.refused(403, "M_FORBIDDEN");
    // The family is told by the new class, and no longer by the old one.
    announce(&small, ("other_teacher", "9c · families"), "Welcome.").await;
    let now = room_of(small.client("coguardian"), "9c · Pia Apfel").await.unwrap();
    assert_eq!(said(small.client("coguardian"), &now).await, ["Olga Zirkel:\nWelcome."]);
    let state = small.client("coguardian").room(&told, "state/org.homeroom.room/").await.ok();
    assert_eq!(state["archived"], true);
}

#[tokio::test]
async fn a_link_that_ends_takes_the_guardian_out_at_once() {
    let mut small = start().await;
    announce(&small, ("tutor", "8a · families"), "Welcome.").await;
    let room = room_of(small.client("coguardian"), "8a · Pia Apfel").await.unwrap();
    small
        .reimport(|roster| {
            roster.links.remove("pupil/coguardian");
        })
        .await;
    settled(&small).await;
    assert!(names(small.client("coguardian")).await.is_empty());
    let left = members(small.client("guardian"), &room).await;
    assert!(!left.contains(&small.id("coguardian").to_owned()), "{left:?}");
}

#[tokio::test]
async fn leavers_leave_every_room_also_those_the_school_did_not_make() {
    let mut small = start().await;
    let tutor = small.client("tutor");
    let own = tutor.create_room(json!({ "name": "Planning", "invite": [small.id("aide"), small.id("office")] })).await;
    small.client("aide").join(&own).await.ok();
    assert!(members(tutor, &own).await.contains(&small.id("aide").to_owned()));
    let staff = room_of(tutor, "Staff · Small School").await.unwrap();
    small.reimport(|roster| roster.people.get_mut("aide").unwrap().enabled = false).await;
    settled(&small).await;
    for room in [own, staff] {
        let left = members(small.client("tutor"), &room).await;
        assert!(!left.contains(&small.id("aide").to_owned()), "{left:?}");
    }
}

#[tokio::test]
async fn a_pass_without_changes_writes_nothing() {
    let small = start().await;
    let store = &small.server.app().services().store;
    let before = store.position();
    small.school().refresh().await.unwrap();
    settled(&small).await;
    let closely = small.school().rooms.reconcile().await.unwrap();
    assert_eq!((closely.made, closely.changed, closely.archived, closely.failed), (0, 0, 0, 0));
    assert_eq!(store.position(), before);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let small = start().await;
    let before = names(small.client("office")).await;
    let mut small = small.restart().await;
    small.reimport(|roster| small::enroll(roster, "8a", "stranger", EnrollmentRole::Student, false)).await;
    settled(&small).await;
    assert_eq!(names(small.client("office")).await, before);
    assert!(room_of(small.client("stranger"), "8a").await.is_some());
}

#[tokio::test]
async fn a_class_without_an_adult_is_read_only_until_it_has_one() {
    let mut small = start().await;
    let room = room_of(small.client("pupil"), "8a").await.unwrap();
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/tutor");
        })
        .await;
    settled(&small).await;
    let pupil = small.client("pupil");
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/1", crate::harness::escape(&room));
    let hello = json!({ "msgtype": "m.text", "body": "hello" });
    pupil.put(&path, hello.clone()).await.refused(403, "M_FORBIDDEN");
    let tasks = small.school().tasks.open(None, None, 10);
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!(tasks[0].1.kind, "room.without_adult");
    small.reimport(|roster| small::enroll(roster, "8a", "parent_teacher", EnrollmentRole::Teacher, true)).await;
    settled(&small).await;
    small.client("pupil").put(&path, hello).await.ok();
    assert!(small.school().tasks.open(None, None, 10).is_empty());
}

#[tokio::test]
async fn a_class_that_is_gone_can_still_be_read() {
    let mut small = start().await;
    let room = room_of(small.client("stranger"), "9c").await.unwrap();
    small.client("stranger").send(&room, "the last word").await;
    small
        .reimport(|roster| {
            roster.classes.remove("9c");
            roster.enrollments.retain(|_, row| row.class != "9c");
        })
        .await;
    settled(&small).await;
    let stranger = small.client("stranger");
    let messages = stranger.room(&room, "messages?dir=b&limit=30").await.ok();
    assert!(messages["chunk"].as_array().unwrap().iter().any(|event| event["content"]["body"] == "the last word"));
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/1", crate::harness::escape(&room));
    let hello = json!({ "msgtype": "m.text", "body": "hello" });
    stranger.put(&path, hello).await.refused(403, "M_FORBIDDEN");
    let state: Value = stranger.room(&room, "state/org.homeroom.room/").await.ok();
    assert_eq!(state["archived"], true);
}

#[tokio::test]
async fn a_new_title_reaches_the_room() {
    let mut small = start().await;
    small.reimport(|roster| roster.classes.get_mut("8a").unwrap().title = "8a (new)".into()).await;
    settled(&small).await;
    assert!(room_of(small.client("pupil"), "8a (new)").await.is_some());
}

#[tokio::test]
async fn the_name_of_the_school_is_nobody_elses() {
    let small = start().await;
    let body =
        json!({ "username": "school", "password": "long enough to be one", "auth": { "type": "m.login.dummy" } });
    let anonymous = small.server.anonymous();
    anonymous.post("/_matrix/client/v3/register", body).await.refused(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn a_teacher_closes_a_class_and_an_administrator_freezes_it() {
    let mut small = start().await;
    let room = room_of(small.client("pupil"), "8a").await.unwrap();
    let id = ruma::RoomId::parse(&room).unwrap();
    let path = |n: u8| format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{n}", crate::harness::escape(&room));
    let hello = json!({ "msgtype": "m.text", "body": "hello" });
    let user = |name: &str| ruma::UserId::parse(small.id(name)).unwrap();
    let rooms = small.school().rooms.clone();
    assert!(rooms.set_mode(&id, Mode::OneWay, &user("pupil")).await.is_err());
    assert!(rooms.set_mode(&id, Mode::OneWay, &user("head")).await.is_err());
    rooms.set_mode(&id, Mode::OneWay, &user("tutor")).await.unwrap();
    let written = small.school().audit.list(None, 1).await.unwrap();
    assert_eq!((written[0].1.action.as_str(), written[0].1.by.as_str()), ("room.mode", small.id("tutor")));
    small.client("pupil").put(&path(1), hello.clone()).await.refused(403, "M_FORBIDDEN");
    small.client("tutor").put(&path(2), hello.clone()).await.ok();
    rooms.freeze(&id, true, &Author::console()).await.unwrap();
    small.client("tutor").put(&path(3), hello.clone()).await.refused(403, "M_FORBIDDEN");
    // A pass leaves it so, and the mode chosen before comes back.
    small.reimport(|roster| roster.classes.get_mut("8a").unwrap().title = "8a!".into()).await;
    settled(&small).await;
    small.client("tutor").put(&path(4), hello.clone()).await.refused(403, "M_FORBIDDEN");
    rooms.freeze(&id, false, &Author::console()).await.unwrap();
    small.client("tutor").put(&path(5), hello.clone()).await.ok();
    small.client("pupil").put(&path(6), hello).await.refused(403, "M_FORBIDDEN");
    let lines = rooms.list(None, 100, |link| link.kind == RoomKind::Class).await.unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| !line.link.frozen && !line.orphaned));
}

#[tokio::test]
async fn a_new_year_is_shown_before_it_comes() {
    let mut small = start().await;
    let rooms = small.school().rooms.clone();
    assert!(rooms.rollover_preview(None).await.unwrap().nothing);
    let mut next = small.roster.clone();
    let mut class = next.classes.remove("8a").unwrap();
    class.title = "9a".into();
    class.grades = vec!["09".into()];
    next.classes.insert("9a".into(), class);
    for row in next.enrollments.values_mut().filter(|row| row.class == "8a") {
        row.class = "9a".into();
    }
    let planned = small.school().imports.plan(small::SOURCE, small::bundle(next.clone()), &Author::console()).await;
    let number = planned.unwrap();
    let preview = rooms.rollover_preview(Some(number)).await.unwrap();
    let named = |lines: &[PreviewLine], kind| lines.iter().filter(|line| line.kind == kind).count();
    assert_eq!(named(&preview.made_examples, RoomKind::Class), 1, "{preview:?}");
    assert_eq!(named(&preview.archived_examples, RoomKind::Class), 1, "{preview:?}");
    assert!(preview.made_examples.iter().any(|line| line.name == "9a"));
    let old = room_of(small.client("pupil"), "8a").await.unwrap();
    small.import(next.clone()).await;
    small.roster = next;
    settled(&small).await;
    assert!(rooms.rollover_preview(None).await.unwrap().nothing);
    assert!(room_of(small.client("pupil"), "9a").await.is_some());
    let state = small.client("pupil").room(&old, "state/org.homeroom.room/").await.ok();
    assert_eq!(state["archived"], true);
    assert!(rooms.rollover(false, &Author::console()).await.is_err());
    let done = rooms.rollover(true, &Author::console()).await.unwrap();
    assert_eq!((done.made, done.changed, done.archived, done.failed), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_stop_in_the_middle_leaves_nothing_out_and_makes_nothing_twice() {
    let server = crate::harness::Server::at(homeroom::clock::Clock::test(small::NOON_MS), |_| {}).await;
    let roster = homeroom::school::generate::roster(&homeroom::school::generate::Plan::small(7));
    let school = server.app().services().school.clone();
    school.imports.import_now("generated", small::bundle(roster), &Author::console()).await.unwrap();
    // Some rooms are there, others are not.
    school.rooms.progress().wait_for(|progress| progress.looked_at >= 3).await.unwrap();
    drop(school);
    let server = server.restart().await;
    let school = &server.app().services().school;
    school.rooms.settled().await;
    let mut objects = std::collections::BTreeSet::new();
    for line in school.rooms.list(None, 10_000, |_| true).await.unwrap() {
        assert!(objects.insert((line.link.kind.number(), line.link.object.clone())), "twice: {line:?}");
        assert!(!line.orphaned, "{line:?}");
    }
    let people = school.people();
    let no_families = std::collections::BTreeSet::new();
    let wanted =
        homeroom::school::rooms::wanted(&people, homeroom::school::rooms::RoomSettings::default(), &no_families);
    assert_eq!(objects.len(), wanted.len());
    let again = school.rooms.reconcile().await.unwrap();
    assert_eq!((again.made, again.changed, again.archived, again.failed), (0, 0, 0, 0));
}
