//! Who leaves rooms when the rules change, over HTTP: also those the school did not make, and those that have ended.

use homeroom::{
    rooms::policy::{Policy as _, Proposal},
    school::{
        audit::Author,
        decisions::NewLinkDecision,
        roster::{EnrollmentRole, Roster},
    },
};
use ruma::{RoomId, UserId, events::TimelineEventType};
use serde_json::{json, value::to_raw_value};

use super::{
    rooms::{members, room_of, settled, start},
    small::{self, Small},
};
use crate::harness::escape;

/// The teacher who is also a parent is only a parent from now on.
fn no_longer_a_teacher(roster: &mut Roster) {
    roster.roles.remove("parent_teacher/teacher");
    roster.enrollments.remove("9c/parent_teacher");
}

#[tokio::test]
async fn who_no_longer_works_here_leaves_rooms_of_staff() {
    let mut small = start().await;
    let tutor = small.client("tutor");
    let planning = tutor
        .create_room(json!({ "name": "Planning", "invite": [small.id("parent_teacher"), small.id("aide")] }))
        .await;
    let invited = tutor.create_room(json!({ "name": "Later", "invite": [small.id("parent_teacher")] })).await;
    let family = tutor
        .create_room(json!({ "name": "Talk", "invite": [small.id("parent_teacher"), small.id("classmate")] }))
        .await;
    for (name, room) in [("parent_teacher", &planning), ("aide", &planning), ("parent_teacher", &family)] {
        small.client(name).join(room).await.ok();
    }
    let id = small.id("parent_teacher").to_owned();
    small.client("parent_teacher").send(&planning, "still a colleague").await;
    small.reimport(no_longer_a_teacher).await;
    settled(&small).await;
    let tutor = small.client("tutor");
    let left = members(tutor, &planning).await;
    assert!(!left.contains(&id) && left.contains(&small.id("aide").to_owned()), "{left:?}");
    assert!(members(tutor, &family).await.contains(&id), "a room made for families stays");
    let member = tutor.room(&invited, &format!("state/m.room.member/{}", escape(&id))).await.ok();
    assert_eq!(member["membership"], "leave");
    // Nor could they come back or write meanwhile.
    assert_eq!(small.client("parent_teacher").join(&planning).await.status, 403);
    let writes = async |room: &str, kind: TimelineEventType| {
        let services = small.server.app().services();
        let room_id = RoomId::parse(room).unwrap();
        let number = services.store.room(&room_id).await.unwrap().unwrap();
        let view = services.rooms.get(number).await.unwrap().unwrap().view();
        let (sender, content) = (UserId::parse(&id).unwrap(), to_raw_value(&json!({ "body": "hello" })).unwrap());
        let proposal = Proposal {
            room: number,
            room_id: &room_id,
            view: &view,
            new: false,
            encrypted: false,
            guests: false,
            sender: &sender,
            kind: &kind,
            state_key: None,
            content: &content,
            name: None,
            before: None,
        };
        services.school.rules.event(&proposal).err().map(|denial| denial.reason)
    };
    let refused = Some("rooms.families".to_owned());
    assert_eq!(writes(&planning, TimelineEventType::RoomMessage).await, refused);
    assert_eq!(writes(&planning, TimelineEventType::RoomRedaction).await, None);
    assert_ne!(writes(&family, TimelineEventType::RoomMessage).await, refused);
}

async fn number(small: &Small, name: &str) -> homeroom::store::UserNo {
    small.account(name).await.0
}

fn without_9c(roster: &mut Roster) {
    roster.classes.remove("9c");
    roster.enrollments.retain(|_, row| row.class != "9c");
}

#[tokio::test]
async fn a_class_that_has_ended_is_no_company() {
    let mut small = start().await;
    let room = room_of(small.client("stranger"), "9c").await.unwrap();
    let (pupil, teacher) = (number(&small, "stranger").await, number(&small, "other_teacher").await);
    let profile = format!("/_matrix/client/v3/profile/{}", escape(small.id("stranger")));
    assert!(small.server.app().services().rooms.share_room(teacher, pupil).await.unwrap());
    small.client("other_teacher").get(&profile).await.ok();
    small.reimport(without_9c).await;
    settled(&small).await;
    assert!(!small.server.app().services().rooms.share_room(teacher, pupil).await.unwrap());
    small.client("other_teacher").get(&profile).await.refused(404, "M_NOT_FOUND");
    // It is read on.
    assert!(members(small.client("other_teacher"), &room).await.contains(&small.id("stranger").to_owned()));
}

#[tokio::test]
async fn who_must_be_kept_apart_leaves_a_class_that_has_ended() {
    let mut small = start().await;
    small.reimport(|roster| small::enroll(roster, "9c", "classmate", EnrollmentRole::Student, false)).await;
    settled(&small).await;
    let room = room_of(small.client("classmate"), "9c").await.unwrap();
    let adult = small.id("parent_teacher").to_owned();
    let apart = NewLinkDecision {
        student: UserId::parse(small.id("classmate")).unwrap(),
        adult: UserId::parse(&adult).unwrap(),
        contact: None,
        isolated: Some(true),
        reason: "a court has decided".into(),
    };
    small.school().decisions.decide_link(&apart, &Author::console()).await.unwrap();
    settled(&small).await;
    // As long as the roster has both in the class, it says so.
    assert!(members(small.client("classmate"), &room).await.contains(&adult));
    small.reimport(without_9c).await;
    settled(&small).await;
    let left = members(small.client("classmate"), &room).await;
    assert!(!left.contains(&adult) && left.contains(&small.id("other_teacher").to_owned()), "{left:?}");
}

#[tokio::test]
async fn the_room_of_a_family_opens_again_when_the_pupil_is_back() {
    let mut small = start().await;
    let student = json!({ "student": small.id("pupil") });
    let opened = small.client("guardian").post("/_homeroom/v1/families", student).await.ok();
    let room = opened["room_id"].as_str().unwrap().to_owned();
    small.client("guardian").send(&room, "good morning").await;
    small.reimport(|roster| roster.people.get_mut("pupil").unwrap().enabled = false).await;
    settled(&small).await;
    assert_eq!(small.client("guardian").room(&room, "joined_members").await.status, 403);
    small.reimport(|roster| roster.people.get_mut("pupil").unwrap().enabled = true).await;
    settled(&small).await;
    let back = members(small.client("guardian"), &room).await;
    for name in ["guardian", "coguardian", "tutor"] {
        assert!(back.contains(&small.id(name).to_owned()), "{name} is not in {back:?}");
    }
    small.client("guardian").send(&room, "we are back").await;
    let student = json!({ "student": small.id("pupil") });
    assert_eq!(small.client("tutor").post("/_homeroom/v1/families", student).await.ok(), opened);
}
