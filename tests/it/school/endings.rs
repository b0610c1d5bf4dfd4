//! What ends by itself when its time has come.

use std::time::Duration;

use homeroom::{
    rooms::policy::Verb,
    school::{audit::Author, decisions::NewOverride},
    store::schema::school::OverrideEffect,
};

use super::chats::{element, hello, message, start};

#[tokio::test]
async fn a_chat_that_an_override_allows_is_closed_soon_after_its_end() {
    let small = start().await;
    let user = |name: &str| ruma::UserId::parse(small.id(name)).unwrap();
    let (pupil, counsellor) = (small.client("pupil"), small.client("counsellor"));
    let clock = small.server.app().services().clock.clone();
    for (actor, target) in [("pupil", "counsellor"), ("counsellor", "pupil")] {
        let new = NewOverride {
            actor: user(actor),
            target: user(target),
            verb: Some(Verb::Dm),
            effect: OverrideEffect::Allow,
            reason: "for half a minute".into(),
            until_ms: Some(clock.now_ms() + 30_000),
        };
        small.school().decisions.add_override(&new, &Author::console()).await.unwrap();
    }
    let room = pupil.create_room(element(small.id("counsellor"))).await;
    counsellor.join(&room).await.ok();
    pupil.send(&room, "hello").await;
    small.school().rooms.settled().await;
    let closed = || small.school().rules.rooms().chats().iter().any(|(_, chat)| chat.held);
    assert!(!closed());
    let mut changed = small.school().rules.changed();
    changed.mark_unchanged();
    clock.advance(Duration::from_mins(1));
    tokio::time::timeout(Duration::from_mins(1), changed.changed()).await.expect("nobody was told").unwrap();
    small.school().rooms.settled().await;
    assert!(closed());
    let body = pupil.put(&message(&room, "1"), hello()).await.refused(403, "M_FORBIDDEN");
    assert_eq!(body["org.homeroom.reason"], "rooms.closed");
}
