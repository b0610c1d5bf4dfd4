//! Announcements: each family and homeroom reads them in a room of its own.

use homeroom::{school::roster::EnrollmentRole, store::schema::school::RoomKind};
use serde_json::json;

use super::{
    rooms::{joined, members, room_of, settled, start},
    small::{self, Small},
};
use crate::harness::Client;

/// The bodies of the newest messages of a room.
pub(super) async fn said(client: &Client, room: &str) -> Vec<String> {
    let answer = client.room(room, "messages?dir=b&limit=20").await.ok();
    let events = answer["chunk"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.message");
    events.filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn an_announcement_reaches_each_family_and_no_guardian_sees_another_family() {
    let small = start().await;
    let tutor = small.client("tutor");
    let room = room_of(tutor, "8a · families").await.unwrap();
    tutor.send(&room, "The trip is on Friday.").await;
    small.school().rooms.announced().await;
    for (guardian, name) in [("guardian", "8a · Pia Apfel"), ("separated", "8a · Karl Doppel")] {
        let client = small.client(guardian);
        let family = room_of(client, name).await.unwrap();
        let found = said(client, &family).await;
        assert_eq!(found, ["Tilda Tafel:\nThe trip is on Friday."]);
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/1", crate::harness::escape(&family));
        client.put(&path, json!({ "msgtype": "m.text", "body": "me too" })).await.refused(403, "M_FORBIDDEN");
    }
    // No room has two families in it.
    for (_, room) in joined(small.client("guardian")).await {
        let found = members(small.client("guardian"), &room).await;
        assert!(!found.contains(&small.id("separated").to_owned()), "{found:?}");
        assert!(!found.contains(&small.id("parent_teacher").to_owned()), "{found:?}");
    }
    small.client("guardian").room(&room, "joined_members").await.refused(403, "M_FORBIDDEN");
}

/// Writes in a room for announcements, and waits until it has reached its readers.
pub(super) async fn announce(small: &Small, (author, room): (&str, &str), text: &str) {
    let room = room_of(small.client(author), room).await.unwrap();
    small.client(author).send(&room, text).await;
    small.school().rooms.announced().await;
    settled(small).await;
}

#[tokio::test]
async fn families_get_a_room_with_the_first_announcement_and_new_ones_with_the_next() {
    let mut small = start().await;
    let made = |small: &Small| {
        let book = small.school().rules.rooms().all();
        book.iter().filter(|(_, link)| link.kind == RoomKind::ClassFamily && link.object.contains('#')).count()
    };
    assert_eq!(made(&small), 0);
    announce(&small, ("tutor", "8a · families"), "First.").await;
    // The two families of that class, and nobody else's.
    assert_eq!(made(&small), 2);
    small
        .reimport(|roster| {
            small::enroll(roster, "8a", "stranger", EnrollmentRole::Student, false);
            small::link(roster, "pupil", "stranger_guardian");
        })
        .await;
    settled(&small).await;
    assert_eq!(made(&small), 2);
    // A new guardian comes into the room that is there, without anything being announced.
    let joined_one = room_of(small.client("stranger_guardian"), "8a · Pia Apfel").await;
    assert!(joined_one.is_some());
    announce(&small, ("tutor", "8a · families"), "Second.").await;
    assert_eq!(made(&small), 3);
    let guardian = small.client("stranger_guardian");
    let room = room_of(guardian, "8a · Stefan Fern").await.unwrap();
    assert_eq!(said(guardian, &room).await, ["Tilda Tafel:\nSecond."]);
    let again = small.school().rooms.reconcile().await.unwrap();
    assert_eq!((again.made, again.changed, again.archived, again.failed), (0, 0, 0, 0));
}

#[tokio::test]
async fn the_leadership_reaches_every_homeroom_and_family_once_even_across_a_restart() {
    let small = start().await;
    let head = small.client("head");
    let room = room_of(head, "Announcements · Small School").await.unwrap();
    head.send(&room, "No school on Monday.").await;
    small.school().rooms.announced().await;
    let small = small.restart().await;
    small.school().rooms.settled().await;
    small.client("head").send(&room, "And none on Tuesday.").await;
    small.school().rooms.announced().await;
    let wanted = ["Hanna Leitner:\nAnd none on Tuesday.", "Hanna Leitner:\nNo school on Monday."];
    for (name, room) in [("pupil", "Announcements · Small School"), ("coguardian", "8a · Pia Apfel")] {
        let client = small.client(name);
        let room = room_of(client, room).await.unwrap();
        assert_eq!(said(client, &room).await, wanted, "{name}");
    }
    // Who does not lead the school reads there.
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/1", crate::harness::escape(&room));
    small.client("tutor").put(&path, json!({ "msgtype": "m.text", "body": "me" })).await.refused(403, "M_FORBIDDEN");
}
