//! What a hostile reading of the server-server side has found, and must not find again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use homeroom::clock::Clock;
use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{Guest, id_of, rules, until_there},
    server, server_at,
};
use crate::harness::escape;

const MISSING: &str = "/_matrix/federation/v1/get_missing_events/";
const STATE_IDS: &str = "/_matrix/federation/v1/state_ids/";

/// An event of somebody's, and one before it that only they know.
fn with_a_gap(guest: &Guest<'_>) -> (Value, Value) {
    let earlier = guest.message("earlier");
    let mut later = guest.draft("m.room.message", json!({ "msgtype": "m.text", "body": "later" }));
    later["prev_events"] = json!([id_of(&earlier)]);
    (earlier, guest.sign(later))
}

#[tokio::test]
async fn nobody_is_invited_in_the_name_of_somebody_of_another_server() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let own = eve.state_id("m.room.member", &eve.user).to_owned();
    // What says to be an invite by third-party id needs no signature of its sender, so it must not be a plain one.
    let forge = |target: &str, third_party: Value| {
        let mut event = eve.member(target, "invite");
        event["sender"] = json!(ada.user_id);
        event["content"]["third_party_invite"] = third_party;
        for id in event["auth_events"].as_array_mut().unwrap() {
            if *id == own.as_str() {
                *id = json!(eve.state_id("m.room.member", &ada.user_id));
            }
        }
        eve.sign(event)
    };
    let targets = ["one", "two", "three"].map(|name| fake.user(name));
    let forged = [json!(null), json!("signed"), json!({})];
    let forged = targets.iter().zip(forged).map(|(target, third_party)| forge(target, third_party));
    eve.send(forged.collect()).await.ok();
    eve.say(&ada, "done").await;
    for target in targets {
        let member = ada.room(&room, &format!("state/m.room.member/{}", escape(&target))).await;
        assert_eq!(member.status, 404, "{target}");
    }
}

#[tokio::test]
async fn branches_from_the_past_do_not_bring_an_old_state_back_however_many_and_deep() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    ada.set_state(&room, "m.room.topic", "", json!({ "topic": "new" })).await.ok();
    // Each begins where the room had no topic, and ends in a state of its own.
    let branches: Vec<Value> = (0..70)
        .map(|n| {
            let mut draft = eve.member(&eve.user, "join");
            draft["content"]["displayname"] = json!(format!("Eve {n}"));
            draft["depth"] = json!(1_000_000 + n);
            eve.sign(draft)
        })
        .collect();
    for some in branches.chunks(35) {
        eve.send(some.to_vec()).await.ok();
    }
    eve.say(&ada, "done").await;
    let topic = ada.room(&room, "state/m.room.topic").await.ok();
    assert_eq!(topic["topic"], "new");
    let own = ada.send(&room, "own").await;
    until_there(&ada, &room, &own).await;
    assert_eq!(ada.room(&room, "state/m.room.topic").await.ok()["topic"], "new");
}

#[tokio::test]
async fn an_event_waits_for_what_came_before_it_when_its_server_does_not_answer_at_once() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let (earlier, later) = with_a_gap(&eve);
    fake.answer(Method::POST, MISSING, |_| Reply::Json(503, json!({ "errcode": "M_UNKNOWN", "error": "restarting" })));
    eve.send(vec![later.clone()]).await.ok();
    fake.until(|received| received.path.starts_with(MISSING).then_some(())).await;
    fake.answer(Method::POST, MISSING, move |_| Reply::ok(json!({ "events": [earlier] })));
    // It works again.
    eve.send(vec![]).await.ok();
    until_there(&ada, &room, &id_of(&later)).await;
}

#[tokio::test]
async fn a_server_that_keeps_its_keys_to_itself_delays_nobody_else_in_the_room() {
    let (home, fake, stalling) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    stalling.answer(Method::GET, "/_matrix/key/v2/server", |_| Reply::Stall);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let mut strange = eve.draft("m.room.message", json!({ "msgtype": "m.text", "body": "strange" }));
    strange["sender"] = json!(stalling.user("mallory"));
    let strange = stalling.sign_event(strange, &rules());
    eve.send(vec![strange]).await.ok();
    stalling.until(|received| received.path.starts_with("/_matrix/key/").then_some(())).await;
    let said = tokio::time::timeout(Duration::from_secs(10), eve.say(&ada, "at once")).await;
    assert!(said.is_ok(), "the room waited for keys");
}

#[tokio::test]
async fn a_server_that_is_not_in_a_room_is_not_asked_what_has_happened_there() {
    let (home, fake, outsider) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let (earlier, later) = with_a_gap(&eve);
    for server in [&fake, &outsider] {
        let events = json!({ "events": [earlier] });
        server.answer(Method::POST, MISSING, move |_| Reply::ok(events.clone()));
    }
    // It brings what another has said.
    outsider.send(&home, vec![later.clone()], vec![]).await.ok();
    until_there(&ada, &room, &id_of(&later)).await;
    assert_eq!((fake.received(MISSING).len(), outsider.received(MISSING).len()), (1, 0));

    // Of an event of its own it is asked what came right before, but what the room was those in it are to say.
    let own = |before: &str| {
        let mut draft = eve.draft("m.room.message", json!({ "msgtype": "m.text", "body": before }));
        (draft["sender"], draft["prev_events"]) = (json!(outsider.user("mallory")), json!([before]));
        outsider.sign_event(draft, &rules())
    };
    let first = own("$nobodyknowsthiseventnobodyknowsthiseventabc");
    let second = own(&id_of(&first));
    let events = json!({ "events": [first] });
    outsider.answer(Method::POST, MISSING, move |_| Reply::ok(events.clone()));
    let order = Arc::new(Mutex::new(Vec::new()));
    for (server, name) in [(&fake, "fake"), (&outsider, "outsider")] {
        let order = order.clone();
        server.answer(Method::GET, STATE_IDS, move |_| {
            order.lock().unwrap().push(name);
            Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "unknown" }))
        });
    }
    outsider.send(&home, vec![second], vec![]).await.ok();
    outsider.until(|received| received.path.starts_with(STATE_IDS).then_some(())).await;
    assert_eq!(order.lock().unwrap()[..2], ["fake", "outsider"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fills_no_gap_of_many_rooms_has_few_places_and_others_have_theirs() {
    let home = server_at(Clock::test(1_700_000_000_000), |_| {}).await;
    let (stalling, good) = (Fake::start().await, Fake::elsewhere().await);
    let ada = home.register("ada").await;
    let body = json!({ "preset": "public_chat", "room_version": "11" });
    let same = Fake::start().await;
    for fake in [&stalling, &same] {
        fake.answer(Method::POST, MISSING, |_| Reply::Stall);
    }
    let lose_one = async |fake: &Fake| {
        let room = ada.create_room(body.clone()).await;
        let eve = Guest::enter(fake, &home, &room, "eve").await;
        eve.send(vec![with_a_gap(&eve).1]).await.ok();
    };
    for _ in 0..12 {
        lose_one(&stalling).await;
    }
    let mut asked = 0;
    stalling
        .until(|received| {
            asked += usize::from(received.path.starts_with(MISSING));
            (asked == 8).then_some(())
        })
        .await;
    lose_one(&same).await;
    let room = ada.create_room(body.clone()).await;
    let gil = Guest::enter(&good, &home, &room, "gil").await;
    let (earlier, later) = with_a_gap(&gil);
    good.answer(Method::POST, MISSING, move |_| Reply::ok(json!({ "events": [earlier] })));
    gil.send(vec![later.clone()]).await.ok();
    until_there(&ada, &room, &id_of(&later)).await;
    assert_eq!(stalling.received(MISSING).len(), 8, "it is asked about more rooms at once than it may be");
    assert_eq!(same.received(MISSING).len(), 0, "it is the same server under another name");
}
