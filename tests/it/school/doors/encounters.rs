//! Who comes into whose company: third members, groups, chats of two, calls.

use homeroom::{
    rooms::policy::Verb,
    school::{audit::Author, decisions::NewLinkDecision, roster::EnrollmentRole},
};
use reqwest::Method;
use ruma::{UserId, user_id};
use serde_json::json;

use super::{super::small::enroll, NOBODY, V3, Walk, in_room, like_nobody, refused_by};
use crate::harness::{Client, escape};

/// A group of the tutor and pupils of 8a, all of them in it.
async fn group(walk: &Walk) -> String {
    let guests = ["pupil", "classmate"].map(|name| walk.id(name));
    let room = walk.small.client("tutor").create_room(json!({ "name": "Project", "invite": guests })).await;
    for name in ["pupil", "classmate"] {
        walk.small.client(name).join(&room).await.ok();
    }
    room
}

async fn message(client: &Client, room: &str, transaction: &str) -> crate::harness::Answer {
    let body = json!({ "msgtype": "m.text", "body": "hello" });
    in_room(client, Method::PUT, room, &format!("send/m.room.message/{transaction}"), body).await
}

#[tokio::test]
async fn a_third_has_to_be_compatible_with_both() {
    let walk = Walk::start().await;
    let (guardian, tutor) = (walk.small.client("guardian"), walk.small.client("tutor"));
    let room = guardian.create_room(json!({ "is_direct": true, "invite": [&tutor.user_id] })).await;
    tutor.join(&room).await.ok();
    // The tutor may write to the other guardian of the pupil, but the two do not know of each other.
    for (name, rule) in [("coguardian", "rooms.company"), ("other_teacher", "rooms.company")] {
        refused_by(name, &tutor.invite(&room, walk.id(name)).await, rule);
        let invite = json!({ "membership": "invite" });
        refused_by(name, &tutor.set_state(&room, "m.room.member", walk.id(name), invite).await, rule);
    }
    // Whom the tutor may not know of is nobody.
    for name in ["stranger", "stranger_guardian", "relative", "isolated", "admin"] {
        let (answer, nobody) = (tutor.invite(&room, walk.id(name)).await, tutor.invite(&room, NOBODY).await);
        like_nobody(name, &answer, walk.id(name), &nobody);
        assert_eq!(answer.status, 404, "{name}");
    }
    // The head knows everybody, and everybody knows of the head.
    tutor.invite(&room, walk.id("head")).await.ok();
    walk.small.client("head").join(&room).await.ok();
    message(walk.small.client("head"), &room, "1").await.ok();
}

#[tokio::test]
async fn a_group_of_pupils_holds_as_long_as_it_is_one() {
    let walk = Walk::start().await;
    let room = group(&walk).await;
    let (tutor, pupil) = (walk.small.client("tutor"), walk.small.client("pupil"));
    for client in [tutor, pupil] {
        message(client, &room, "1").await.ok();
    }
    // A pupil of another class does not know these two.
    refused_by("junior", &tutor.invite(&room, walk.id("junior")).await, "rooms.company");
    walk.small.client("classmate").leave(&room).await.ok();
    // Now an adult and a pupil are alone in a room that nobody watches.
    let said = pupil.room(&room, "messages?dir=b&limit=20").await.ok();
    let said = said["chunk"].as_array().unwrap().iter().find(|event| event["sender"] == pupil.user_id.as_str());
    let said = said.unwrap()["event_id"].as_str().unwrap().to_owned();
    for client in [tutor, pupil] {
        refused_by("alone", &message(client, &room, "2").await, "rooms.direct");
    }
    pupil.redact(&room, &said).await.ok();
    tutor.invite(&room, walk.id("classmate")).await.ok();
    walk.small.client("classmate").join(&room).await.ok();
    message(pupil, &room, "3").await.ok();
}

#[tokio::test]
async fn a_group_of_pupils_is_read_only_once_its_teacher_has_left() {
    let mut walk = Walk::start().await;
    walk.small.reimport(|roster| enroll(roster, "8a", "junior", EnrollmentRole::Student, false)).await;
    let room = group(&walk).await;
    let (tutor, junior) = (walk.small.client("tutor"), walk.small.client("junior"));
    tutor.invite(&room, &junior.user_id).await.ok();
    junior.join(&room).await.ok();
    message(junior, &room, "1").await.ok();
    tutor.leave(&room).await.ok();
    for name in ["pupil", "classmate", "junior"] {
        let client = walk.small.client(name);
        refused_by(name, &message(client, &room, "2").await, "rooms.group");
        let topic = client.set_state(&room, "m.room.topic", "", json!({ "topic": "written all the same" })).await;
        assert_eq!(topic.status, 403, "{name}");
    }
}

#[tokio::test]
async fn what_the_school_could_not_read_is_not_sent_among_families() {
    let walk = Walk::start().await;
    let room = group(&walk).await;
    let body = json!({ "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y" });
    for name in ["pupil", "classmate"] {
        let path = format!("send/m.room.encrypted/{name}");
        let answer = in_room(walk.small.client(name), Method::PUT, &room, &path, body.clone()).await;
        refused_by(name, &answer, "rooms.families");
    }
}

#[tokio::test]
async fn pupils_begin_no_calls_by_widgets() {
    let walk = Walk::start().await;
    let pupil = walk.small.client("pupil");
    let room = pupil.create_room(json!({})).await;
    for kind in ["im.vector.modular.widgets", "m.widget"] {
        let answer =
            pupil.set_state(&room, kind, "call", json!({ "type": "jitsi", "url": "https://other.example" })).await;
        refused_by(kind, &answer, "rooms.families");
    }
}

#[tokio::test]
async fn who_must_be_kept_apart_is_taken_out_of_rooms_that_people_made() {
    let walk = Walk::start().await;
    let small = &walk.small;
    let guests = ["pupil", "guardian"].map(|name| walk.id(name));
    let room = small.client("tutor").create_room(json!({ "name": "Talk", "invite": guests })).await;
    for name in ["pupil", "guardian"] {
        small.client(name).join(&room).await.ok();
    }
    message(small.client("guardian"), &room, "1").await.ok();
    let apart = NewLinkDecision {
        student: UserId::parse(walk.id("pupil")).unwrap(),
        adult: UserId::parse(walk.id("guardian")).unwrap(),
        contact: None,
        isolated: Some(true),
        reason: "a court has decided".into(),
    };
    small.school().decisions.decide_link(&apart, &Author::console()).await.unwrap();
    small.school().rooms.settled().await;
    let joined = small.client("tutor").room(&room, "joined_members").await.ok();
    let joined = joined["joined"].as_object().unwrap();
    assert!(joined.contains_key(walk.id("pupil")) && !joined.contains_key(walk.id("guardian")), "{joined:?}");
    assert_eq!(message(small.client("guardian"), &room, "2").await.status, 403);
}

#[tokio::test]
async fn an_ordinary_account_with_the_schools_name_is_not_above_the_rules() {
    let walk = Walk::start().await;
    let school = walk.small.school();
    let name = user_id!("@school:school.example");
    let pupil = UserId::parse(walk.id("pupil")).unwrap();
    assert!(school.rules.ruling(name, &pupil, Verb::See).is_allowed());
    let users = &walk.small.server.app().services().users;
    let (user, _) = users.accounts.get(name).await.unwrap().unwrap();
    users.change_password(user, "an ordinary horse".into(), false, None).await.unwrap();
    school.refresh().await.unwrap();
    assert!(school.rules.ruling(name, &pupil, Verb::See).hidden);
}

#[tokio::test]
async fn a_room_with_one_pupil_is_no_group() {
    let walk = Walk::start().await;
    let tutor = walk.small.client("tutor");
    let body = json!({
        "creation_content": { "m.federate": false },
        "initial_state": [
            { "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } },
            { "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "forbidden" } },
        ],
    });
    let room = tutor.create_room(body).await;
    refused_by("alone", &tutor.invite(&room, walk.id("pupil")).await, "matrix.teacher.student.dm");
    let invite = json!({ "membership": "invite", "is_direct": true });
    let answer = tutor.set_state(&room, "m.room.member", walk.id("pupil"), invite).await;
    refused_by("alone", &answer, "matrix.teacher.student.dm");
}

/// An open room of staff: whoever comes has to fit whoever is there.
#[tokio::test]
async fn who_is_kept_apart_cannot_join_either() {
    let walk = Walk::start().await;
    let (tutor, head) = (walk.small.client("tutor"), walk.small.client("head"));
    let room = tutor.create_room(json!({ "preset": "public_chat" })).await;
    head.join(&room).await.ok();
    walk.deny("office", "head").await;
    walk.deny("head", "office").await;
    refused_by("join", &walk.small.client("office").join(&room).await, "rooms.company");
    walk.small.client("counsellor").join(&room).await.ok();
}

/// A ban reaches the banned person's client, with a reason: nobody is written to that way.
#[tokio::test]
async fn a_ban_writes_to_nobody() {
    let walk = Walk::start().await;
    let pupil = walk.small.client("pupil");
    let room = &walk.own_rooms["pupil"];
    let stranger = walk.small.client("stranger");
    let since = stranger.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let ban = json!({ "user_id": stranger.user_id, "reason": "meet me" });
    in_room(pupil, Method::POST, room, "ban", ban).await.refused(404, "M_NOT_FOUND");
    let news = stranger.sync(Some(&since)).await;
    assert!(news["rooms"]["leave"].get(room).is_none(), "{news}");
}

#[tokio::test]
async fn calls_are_for_rooms_in_which_everybody_may_be_called() {
    let walk = Walk::start().await;
    let (guardian, tutor) = (walk.small.client("guardian"), walk.small.client("tutor"));
    let call = json!({ "call_id": "1", "version": "1", "party_id": "x", "lifetime": 1000 });
    let room = guardian.create_room(json!({ "is_direct": true, "invite": [&tutor.user_id] })).await;
    tutor.join(&room).await.ok();
    for (n, kind) in ["m.call.invite", "org.matrix.msc4075.rtc.notification"].into_iter().enumerate() {
        guardian.send_event(&room, kind, call.clone()).await;
        tutor.send_event(&room, kind, json!({ "n": n })).await;
    }
    guardian.set_state(&room, "org.matrix.msc3401.call.member", &guardian.user_id, json!({ "x": 1 })).await.ok();
    // Calls with pupils are off.
    let room = group(&walk).await;
    for client in [tutor, walk.small.client("pupil")] {
        for kind in ["m.call.invite", "m.rtc.notification", "org.matrix.msc4075.call.notify", "m.call.answer"] {
            let answer = in_room(client, Method::PUT, &room, &format!("send/{kind}/c"), call.clone()).await;
            refused_by(kind, &answer, "rooms.call");
        }
    }
    let member = json!({ "foci": [] });
    let answer = tutor.set_state(&room, "org.matrix.msc3401.call.member", &tutor.user_id, member).await;
    refused_by("member", &answer, "rooms.call");
    tutor.set_state(&room, "org.matrix.msc3401.call.member", &tutor.user_id, json!({})).await.ok();
}

/// An account that no roster tells of, made while anybody could: it sees nobody, and nobody sees it.
#[tokio::test]
async fn accounts_the_school_does_not_know_see_nobody() {
    let walk = Walk::start().await;
    let (one, other) = (walk.small.server.register("drifter").await, walk.small.server.register("drifter2").await);
    for id in walk.ids.values().chain([&other.user_id]) {
        let profile = |id: &str| format!("{V3}/profile/{}", escape(id));
        let (answer, nobody) = (one.get(&profile(id)).await, one.get(&profile(NOBODY)).await);
        like_nobody("profile", &answer, id, &nobody);
        let create = async |id: &str| one.post(&format!("{V3}/createRoom"), json!({ "invite": [id] })).await;
        like_nobody("createRoom", &create(id).await, id, &create(NOBODY).await);
    }
    for (name, client) in walk.small.clients() {
        let create = async |id: &str| client.post(&format!("{V3}/createRoom"), json!({ "invite": [id] })).await;
        like_nobody(name, &create(&one.user_id).await, &one.user_id, &create(NOBODY).await);
    }
}
