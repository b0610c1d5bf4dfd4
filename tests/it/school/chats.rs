//! Starting chats as stock clients do, and what keeps supervised rooms supervised.

use homeroom::school::audit::Author;
use serde_json::{Value, json};

use super::small::Small;
use crate::harness::{Client, escape};

/// What Element sends when somebody starts a chat with it.
pub(super) fn element(with: &str) -> Value {
    json!({
        "preset": "trusted_private_chat",
        "visibility": "private",
        "invite": [with],
        "is_direct": true,
        "initial_state": [
            { "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "can_join" } },
            { "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
        ],
    })
}

pub(super) async fn start() -> Small {
    let small = Small::start().await;
    small.school().rooms.settled().await;
    small
}

async fn members(client: &Client, room: &str) -> Vec<String> {
    let answer = client.room(room, "joined_members").await.ok();
    answer["joined"].as_object().unwrap().keys().cloned().collect()
}

async fn membership(client: &Client, room: &str, user: &str) -> Value {
    client.room(room, &format!("state/m.room.member/{}", escape(user))).await.ok()["membership"].clone()
}

pub(super) fn hello() -> Value {
    json!({ "msgtype": "m.text", "body": "hello" })
}

pub(super) fn message(room: &str, transaction: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{transaction}", escape(room))
}

/// A supervised room of the pupil and the tutor.
async fn supervised(small: &Small) -> String {
    small.client("tutor").create_room(element(small.id("pupil"))).await
}

#[tokio::test]
async fn elements_request_for_an_encrypted_chat_becomes_a_supervised_room() {
    let small = start().await;
    let tutor = small.client("tutor");
    let room = supervised(&small).await;
    let found = members(tutor, &room).await;
    for name in ["tutor", "pupil"] {
        assert!(found.contains(&small.id(name).to_owned()), "{name} is not in {found:?}");
    }
    assert_eq!(found.len(), 4, "the two, another adult and the school: {found:?}");
    tutor.room(&room, "state/m.room.encryption/").await.refused(404, "M_NOT_FOUND");
    assert_eq!(tutor.room(&room, "state/m.room.create/").await.ok()["m.federate"], false);
    tutor.send(&room, "good morning").await;
    small.client("pupil").send(&room, "good morning").await;
    // The same two have the same room, whoever asks again.
    assert_eq!(supervised(&small).await, room);
    let other = json!({ "preset": "private_chat", "invite": [small.id("pupil")] });
    assert_eq!(tutor.create_room(other).await, room);
}

#[tokio::test]
async fn younger_pupils_are_written_to_with_their_family() {
    let small = start().await;
    let teacher = small.client("junior_tutor");
    let room = teacher.create_room(element(small.id("junior"))).await;
    let found = members(teacher, &room).await;
    assert!(found.contains(&small.id("guardian").to_owned()), "{found:?}");
    assert!(!found.contains(&small.id("junior").to_owned()), "{found:?}");
    // Another teacher of the class joins the same room on first use.
    assert_eq!(small.client("tutor").create_room(element(small.id("junior"))).await, room);
    assert!(members(teacher, &room).await.contains(&small.id("tutor").to_owned()));
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_a_reason_or_not_known_at_all() {
    let small = start().await;
    let knock = small.client("pupil").post("/_matrix/client/v3/createRoom", element(small.id("tutor"))).await;
    let body = knock.refused(403, "M_FORBIDDEN");
    assert!(body["org.homeroom.reason"].as_str().unwrap().starts_with("knock"), "{body}");
    let path = "/_matrix/client/v3/createRoom";
    let hidden = small.client("pupil").post(path, element(small.id("stranger"))).await;
    let nobody = small.client("pupil").post(path, element("@nobody-at-all:school.example")).await;
    assert_eq!((hidden.status, &hidden.body), (nobody.status, &nobody.body));
    assert!(hidden.status.is_client_error());
}

#[tokio::test]
async fn colleagues_chat_as_on_any_server() {
    let small = start().await;
    let tutor = small.client("tutor");
    let room = tutor.create_room(element(small.id("other_teacher"))).await;
    assert_eq!(membership(tutor, &room, small.id("other_teacher")).await, "invite");
    assert_eq!(tutor.room(&room, "state/m.room.encryption/").await.ok()["algorithm"], "m.megolm.v1.aes-sha2");
    // The safeguarding lead is for pupils too, at any time and alone.
    let lead = small.client("pupil").create_room(element(small.id("lead"))).await;
    assert_eq!(membership(small.client("pupil"), &lead, small.id("lead")).await, "invite");
}

#[tokio::test]
async fn nobody_breaks_a_supervised_room() {
    let small = start().await;
    let room = supervised(&small).await;
    let (tutor, pupil) = (small.client("tutor"), small.client("pupil"));
    let before = members(tutor, &room).await;
    let second = before
        .iter()
        .find(|id| ![small.id("tutor"), small.id("pupil"), "@school:school.example"].contains(&id.as_str()));
    let second = second.unwrap().clone();
    let at = |rest: &str| format!("/_matrix/client/v3/rooms/{}/{rest}", escape(&room));
    for (client, path, body) in [
        (tutor, at("leave"), json!({})),
        (pupil, at("leave"), json!({})),
        (tutor, at("kick"), json!({ "user_id": second })),
        (tutor, at("kick"), json!({ "user_id": small.id("pupil") })),
        (tutor, at("ban"), json!({ "user_id": second })),
        (pupil, at("invite"), json!({ "user_id": small.id("classmate") })),
        (tutor, at("invite"), json!({ "user_id": small.id("stranger_guardian") })),
    ] {
        let answer = client.post(&path, body).await;
        assert!(answer.status.is_client_error(), "{}: {}", answer.asked, answer.body);
    }
    let leave = json!({ "membership": "leave" });
    for (client, kind, key, content) in [
        (tutor, "m.room.member", small.id("tutor"), leave.clone()),
        (tutor, "m.room.member", &*second, json!({ "membership": "ban" })),
        (pupil, "m.room.member", small.id("pupil"), leave),
        (pupil, "m.room.name", "", json!({ "name": "mine" })),
        (pupil, "m.room.topic", "", json!({ "topic": "mine" })),
        (pupil, "m.room.power_levels", "", json!({ "users_default": 100 })),
        (tutor, "m.room.power_levels", "", json!({ "users": { small.id("tutor"): 100 } })),
        (tutor, "m.room.join_rules", "", json!({ "join_rule": "public" })),
        (tutor, "m.room.history_visibility", "", json!({ "history_visibility": "world_readable" })),
        (tutor, "m.room.encryption", "", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        (tutor, "m.room.tombstone", "", json!({ "replacement_room": "!a:b", "body": "" })),
    ] {
        client.set_state(&room, kind, key, content).await.refused(403, "M_FORBIDDEN");
    }
    let mut after = members(tutor, &room).await;
    let mut before = before;
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

#[tokio::test]
async fn an_adult_who_is_locked_is_replaced_in_the_same_step() {
    let mut small = start().await;
    let room = supervised(&small).await;
    let before = members(small.client("tutor"), &room).await;
    let known = [small.id("tutor"), small.id("pupil"), "@school:school.example"];
    let second = before.iter().find(|id| !known.contains(&id.as_str())).unwrap().clone();
    let second = small.clients().find(|(_, client)| client.user_id == second).unwrap().0.to_owned();
    small.reimport(|roster| roster.people.get_mut(&second).unwrap().enabled = false).await;
    small.school().rooms.settled().await;
    let after = members(small.client("tutor"), &room).await;
    assert_eq!(after.len(), 4, "{after:?}");
    assert!(!after.contains(&small.id(&second).to_owned()));
    small.client("pupil").send(&room, "still here").await;
}

#[tokio::test]
async fn without_enough_adults_the_room_is_read_only_and_somebody_is_told() {
    let mut small = start().await;
    let room = supervised(&small).await;
    // Everybody who could watch over it goes: nobody teaches with the tutor, and no guardian has contact.
    small
        .reimport(|roster| {
            for gone in ["lead", "head", "guardian", "coguardian", "relative", "isolated"] {
                roster.people.get_mut(gone).unwrap().enabled = false;
            }
        })
        .await;
    small.school().rooms.settled().await;
    small.client("pupil").put(&message(&room, "1"), hello()).await.refused(403, "M_FORBIDDEN");
    let (tutor, _) = small.account("tutor").await;
    let tasks = small.school().tasks.open(Some(tutor), None, 10);
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    small.reimport(|roster| roster.people.get_mut("head").unwrap().enabled = true).await;
    small.school().rooms.settled().await;
    small.client("pupil").put(&message(&room, "2"), hello()).await.ok();
    assert!(small.school().tasks.open(Some(tutor), None, 10).is_empty());
}

#[tokio::test]
async fn adults_let_a_pupil_leave_and_take_turns() {
    let small = start().await;
    let room = supervised(&small).await;
    let id = ruma::RoomId::parse(&room).unwrap();
    let user = |name: &str| ruma::UserId::parse(small.id(name)).unwrap();
    let rooms = &small.school().rooms;
    let by = Author::console();
    let before = members(small.client("tutor"), &room).await;
    let known = [small.id("tutor"), small.id("pupil"), "@school:school.example"];
    let second = before.iter().find(|id| !known.contains(&id.as_str())).unwrap();
    let second = ruma::UserId::parse(second).unwrap();
    rooms.replace_supervisor(&id, (&second, &user("counsellor")), &by).await.unwrap();
    let after = members(small.client("tutor"), &room).await;
    assert!(after.contains(&small.id("counsellor").to_owned()) && !after.contains(&second.to_string()), "{after:?}");
    assert!(rooms.replace_supervisor(&id, (&user("tutor"), &user("classmate")), &by).await.is_err());
    assert!(rooms.consent_to_leave(&id, &user("pupil"), (Some(&user("pupil")), &by)).await.is_err());
    rooms.consent_to_leave(&id, &user("pupil"), (Some(&user("tutor")), &by)).await.unwrap();
    assert!(!members(small.client("tutor"), &room).await.contains(&small.id("pupil").to_owned()));
    // Writing to each other again brings both back.
    assert_eq!(supervised(&small).await, room);
    assert!(members(small.client("tutor"), &room).await.contains(&small.id("pupil").to_owned()));
}

#[tokio::test]
async fn an_account_that_is_locked_or_closed_by_hand_is_replaced_at_once() {
    let small = start().await;
    let room = supervised(&small).await;
    let known = [small.id("tutor"), small.id("pupil"), "@school:school.example"];
    for closed in [false, true] {
        let before = members(small.client("tutor"), &room).await;
        let second = before.iter().find(|id| !known.contains(&id.as_str())).unwrap().clone();
        let user_id = ruma::UserId::parse(&second).unwrap();
        let users = &small.server.app().services().users;
        let (user, _) = users.accounts.get(&user_id).await.unwrap().unwrap();
        let mut changed = small.school().rules.changed();
        changed.mark_unchanged();
        if closed {
            users.deactivate(user, false).await.unwrap();
        } else {
            users.accounts.set_locked(user, true).await.unwrap();
        }
        changed.changed().await.unwrap();
        small.school().rooms.settled().await;
        let after = members(small.client("tutor"), &room).await;
        assert_eq!(after.len(), 4, "{after:?}");
        assert!(!after.contains(&second), "{after:?}");
    }
    small.client("pupil").send(&room, "still here").await;
}

#[tokio::test]
async fn who_moves_apart_can_no_longer_write() {
    let mut small = start().await;
    let room = supervised(&small).await;
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/pupil");
        })
        .await;
    small.school().rooms.settled().await;
    // The tutor teaches the pupil no more, and may not write to them: the room is there to be read.
    small.client("tutor").put(&message(&room, "1"), hello()).await.refused(403, "M_FORBIDDEN");
    small.client("tutor").room(&room, "messages?dir=b").await.ok();
    small
        .reimport(|roster| {
            super::small::enroll(roster, "8a", "pupil", homeroom::school::roster::EnrollmentRole::Student, false);
        })
        .await;
    small.school().rooms.settled().await;
    // What has become looser opens nothing by itself.
    small.client("tutor").put(&message(&room, "2"), hello()).await.refused(403, "M_FORBIDDEN");
    let id = ruma::RoomId::parse(&room).unwrap();
    small.school().rooms.freeze(&id, false, &Author::console()).await.unwrap();
    small.client("tutor").put(&message(&room, "3"), hello()).await.ok();
}

/// A parent and the tutor, who write to each other as long as the tutor teaches the child.
async fn parent_and_tutor(small: &Small) -> String {
    let room = small.client("coguardian").create_room(element(small.id("tutor"))).await;
    small.client("tutor").join(&room).await.ok();
    small.client("tutor").send(&room, "good evening").await;
    room
}

#[tokio::test]
async fn a_chat_of_two_is_closed_with_a_reason_and_opened_by_an_administrator_only() {
    let mut small = start().await;
    let room = parent_and_tutor(&small).await;
    // It is theirs: the school is not in it, and does not list it.
    assert_eq!(members(small.client("tutor"), &room).await.len(), 2);
    let listed = |small: &Small| {
        let rooms = small.school().rooms.clone();
        async move { rooms.list(None, 1000, |link| link.held).await.unwrap() }
    };
    let all = small.school().rooms.list(None, 1000, |_| true).await.unwrap();
    assert!(!all.iter().any(|line| line.room_id == room));
    small.client("coguardian").set_state(&room, "m.room.name", "", json!({ "name": "Pia" })).await.ok();
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/pupil");
        })
        .await;
    small.school().rooms.settled().await;
    for name in ["tutor", "coguardian"] {
        let body = small.client(name).put(&message(&room, "1"), hello()).await.refused(403, "M_FORBIDDEN");
        assert_eq!(body["org.homeroom.reason"], "rooms.closed", "{name}: {body}");
        let path = format!(
            "/_matrix/client/v3/user/{}/rooms/{}/account_data/org.homeroom.room",
            escape(small.id(name)),
            escape(&room)
        );
        assert_eq!(small.client(name).get(&path).await.ok()["frozen"], true);
    }
    assert_eq!(listed(&small).await.len(), 1);
    let written = small.school().audit.list(None, 1).await.unwrap();
    assert_eq!((written[0].1.action.as_str(), written[0].1.object.as_str()), ("room.freeze", room.as_str()));
    // What has become looser opens nothing by itself, not after a restart either.
    small
        .reimport(|roster| {
            super::small::enroll(roster, "8a", "pupil", homeroom::school::roster::EnrollmentRole::Student, false);
        })
        .await;
    let small = small.restart().await;
    small.school().rooms.settled().await;
    let body = small.client("tutor").put(&message(&room, "2"), hello()).await.refused(403, "M_FORBIDDEN");
    assert_eq!(body["org.homeroom.reason"], "rooms.closed");
    let path = format!("/_homeroom/v1/rooms/{}/unfreeze", escape(&room));
    small.client("admin").post(&path, json!({})).await.ok();
    small.client("tutor").put(&message(&room, "3"), hello()).await.ok();
    assert!(listed(&small).await.is_empty());
}

#[tokio::test]
async fn ignoring_each_other_closes_no_chat_and_a_closed_one_can_be_left() {
    let mut small = start().await;
    let room = parent_and_tutor(&small).await;
    let closed = |small: &Small| small.school().rules.rooms().chats().iter().filter(|(_, chat)| chat.held).count();
    let path =
        |name: &str| format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", escape(small.id(name)));
    for (name, other) in [("tutor", "coguardian"), ("coguardian", "tutor")] {
        let ignored = json!({ "ignored_users": { small.id(other): {} } });
        small.client(name).put(&path(name), ignored).await.ok();
    }
    small.school().refresh().await.unwrap();
    small.school().rooms.settled().await;
    assert_eq!((small.school().rules.rooms().chats().len(), closed(&small)), (1, 0));
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/pupil");
        })
        .await;
    small.school().rooms.settled().await;
    assert_eq!(closed(&small), 1);
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", escape(&room));
    small.client("tutor").post(&leave, json!({})).await.ok();
}

#[tokio::test]
async fn with_a_third_in_it_a_room_is_a_group_and_stays_open() {
    let mut small = start().await;
    let room = parent_and_tutor(&small).await;
    let invite = format!("/_matrix/client/v3/rooms/{}/invite", escape(&room));
    small.client("tutor").post(&invite, json!({ "user_id": small.id("head") })).await.ok();
    small.client("head").join(&room).await.ok();
    small
        .reimport(|roster| {
            roster.enrollments.remove("8a/pupil");
        })
        .await;
    small.school().rooms.settled().await;
    assert!(small.school().rules.rooms().chats().iter().all(|(_, chat)| !chat.held));
    small.client("tutor").put(&message(&room, "1"), hello()).await.ok();
    // Alone with each other the two are what the rules no longer allow.
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", escape(&room));
    small.client("head").post(&leave, json!({})).await.ok();
    small.client("tutor").put(&message(&room, "2"), hello()).await.refused(403, "M_FORBIDDEN");
    small.school().refresh().await.unwrap();
    small.school().rooms.settled().await;
    assert!(small.school().rules.rooms().chats().iter().all(|(_, chat)| chat.held));
}
