//! Servers that stall, reset, drip, flood and send what is damaged or forged: nothing is stored that should not be,
//! nobody else waits, and nothing is stuck afterwards.

use std::time::Duration;

use homeroom::{
    clock::Clock,
    config::Rate,
    store::{
        Durability, Order, Store, StoreOptions, check,
        schema::federation::{INBOX, InboxRecord},
    },
};
use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{Guest, id_of, oblige, until_there},
    host::Hosted,
    server, server_at,
};
use crate::harness::{Answer, Client, Server, escape};

const MISSING: &str = "/_matrix/federation/v1/get_missing_events/";
const STATE_IDS: &str = "/_matrix/federation/v1/state_ids/";
const SEND_JOIN: &str = "/_matrix/federation/v2/send_join/";
const MAKE_JOIN: &str = "/_matrix/federation/v1/make_join/";

/// Stops a server: its database must be sound, and no event must wait in its inbox.
async fn ends_well(server: Server) {
    let database = server.folder().join("db");
    let _stopped = server.stop().await;
    is_sound(&database);
}

/// Nothing is wrong in a database, and no event waits in its inbox.
pub(super) fn is_sound(database: &std::path::Path) {
    let options = StoreOptions { memory_bytes: 16 << 20, durability: Durability::Os };
    let store = Store::open(database, &options).unwrap();
    assert_eq!(check::check(&store).unwrap().findings, []);
    let mut waiting = Vec::<InboxRecord>::new();
    store
        .walk_blocking(&INBOX, |_, record| {
            waiting.push(record);
            Ok(())
        })
        .unwrap();
    assert_eq!(waiting, []);
}

/// The kinds of answers that are none.
fn bad_answers() -> [Reply; 7] {
    let broken =
        [b"{".to_vec(), b"[]".to_vec(), b"{\"event\":7,\"state\":{},\"events\":\"no\",\"pdu_ids\":1}".to_vec()];
    let [cut, list, wrong] = broken.map(|bytes| Reply::Raw(200, bytes));
    [cut, list, wrong, Reply::Raw(500, b"\xff<html>".to_vec()), Reply::Reset, Reply::Drip, Reply::Stall]
}

/// Whether an event is known to somebody's server.
async fn has(client: &Client, room: &str, id: &str) -> bool {
    client.room(room, &format!("event/{}", escape(id))).await.status.is_success()
}

/// Lets time go by until an answer comes.
async fn in_time(clock: &Clock, answer: impl Future<Output = Answer> + Send + 'static) -> Answer {
    let task = tokio::spawn(answer);
    while !task.is_finished() {
        clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    task.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_through_a_faulty_server_ends_and_leaves_nothing() {
    let clock = Clock::test(1_700_000_000_000);
    let home = server_at(clock.clone(), |_| {}).await;
    let fake = Fake::start().await;
    let anna = home.register("anna").await;
    for (n, bad) in bad_answers().into_iter().enumerate() {
        for path in [MAKE_JOIN, SEND_JOIN] {
            let hosted = Hosted::on(&fake);
            let room = hosted.room(&fake, &format!("room{n}{}", u8::from(path == MAKE_JOIN)), &[]);
            let answer = bad.clone();
            let method = if path == MAKE_JOIN { Method::GET } else { Method::PUT };
            fake.answer(method, path, move |_| answer.clone());
            let (client, id, via) = (anna.clone(), room.id.clone(), fake.name().to_owned());
            let refused = in_time(&clock, async move { client.join_via(&id, &via).await }).await;
            assert!(refused.status.as_u16() >= 400, "{bad:?} of {path}: {}", refused.body);
            let rooms = anna.get("/_matrix/client/v3/joined_rooms").await.ok();
            assert!(!rooms["joined_rooms"].as_array().unwrap().contains(&json!(room.id)), "{bad:?} of {path}");
            // Once it behaves, nothing stands in the way; a server that has failed for long is spared for a moment, and
            // for another one if a transaction that was on its way runs out of time meanwhile.
            let hosted = Hosted::on(&fake);
            let again = hosted.room(&fake, &format!("room{n}{}", u8::from(path == MAKE_JOIN)), &[]);
            for moment in 1.. {
                clock.advance(Duration::from_secs(30));
                let answer = anna.join_via(&again.id, fake.name()).await;
                if answer.status.is_success() {
                    break;
                }
                assert!(moment < 5, "{bad:?} of {path}: {}", answer.body);
            }
            anna.send(&again.id, "hello").await;
        }
    }
    ends_well(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_others_did_not_sign_are_no_part_of_a_joined_room() {
    let home = server(|_| {}).await;
    let (fake, other, mute) = (Fake::start().await, Fake::start().await, Fake::start().await);
    let anna = home.register("anna").await;
    mute.answer(Method::GET, "/_matrix/key/v2/server", |_| Reply::Json(404, Value::Null));
    let hosted = Hosted::on(&fake);
    let people = [(&other, "real".to_owned()), (&mute, "unknown".to_owned())];
    let room = hosted.room(&fake, "room", &people);
    // The same, but for what somebody has written on one member's card.
    fake.answer(Method::PUT, SEND_JOIN, {
        let forged = (other.user("forged"), room.forgery(&fake, &other.user("forged")));
        let honest = hosted.clone();
        move |received| {
            let Reply::Raw(200, answer) = honest.join(received) else { panic!("no room") };
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            answer["state"].as_array_mut().unwrap().push(forged.1.clone());
            Reply::ok(answer)
        }
    });
    anna.join_via(&room.id, fake.name()).await.ok();
    let members = anna.room(&room.id, "joined_members").await.ok();
    let members: Vec<&String> = members["joined"].as_object().unwrap().keys().collect();
    assert!(members.contains(&&other.user("real")), "{members:?}");
    assert!(!members.contains(&&other.user("forged")), "{members:?}");
    assert!(!members.contains(&&mute.user("unknown")), "{members:?}");
    ends_well(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_forged_events_are_dropped_and_the_others_arrive() {
    let home = server(|_| {}).await;
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let signed_by = |by: &Fake, change: &dyn Fn(&mut Value)| {
        let mut draft = guest.draft("m.room.message", json!({ "msgtype": "m.text", "body": "bad" }));
        change(&mut draft);
        by.sign_event(draft, &super::guest::rules())
    };
    let after = |change: &dyn Fn(&mut Value)| {
        let mut event = guest.message("bad");
        change(&mut event);
        event
    };
    let bad = vec![
        json!("no event"),
        json!(null),
        json!({ "room_id": room }),
        // Of somebody whose server did not sign; of a server that says it is another; changed afterwards.
        signed_by(&other, &|_| {}),
        signed_by(&fake, &|event| event["sender"] = json!(ada.user_id)),
        signed_by(&fake, &|event| event["sender"] = json!(other.user("eve"))),
        after(&|event| event["origin_server_ts"] = json!(7)),
        after(&|event| event["signatures"] = json!({})),
        after(&|event| event["signatures"][fake.name().as_str()] = json!({ "ed25519:1": "no signature" })),
        // Not of this room version's form.
        signed_by(&fake, &|event| event["depth"] = json!("deep")),
        after(&|event| event["content"] = json!("text")),
        signed_by(&fake, &|event| event["auth_events"] = json!([["$a", {}]])),
        signed_by(&fake, &|event| event["prev_events"] = json!(vec!["$a"; 100])),
        after(&|event| event["content"]["body"] = json!("x".repeat(70_000))),
        signed_by(&fake, &|event| event["type"] = json!("x".repeat(300))),
        // Allowed by nothing.
        signed_by(&fake, &|event| event["auth_events"] = json!([])),
        signed_by(&fake, &|event| event["sender"] = json!(fake.user("nobody"))),
        signed_by(&fake, &|event| {
            event["type"] = json!("m.room.power_levels");
            event["state_key"] = json!("");
            event["content"] = json!({ "users": { fake.user("eve"): 100 } });
        }),
    ];
    let ids: Vec<String> = bad.iter().filter(|event| event["content"].is_object()).map(id_of).collect();
    let good = guest.message("good");
    let mut all = bad.clone();
    all.insert(bad.len() / 2, good.clone());
    guest.send(all).await.ok();
    // Each of them alone, too.
    for event in bad {
        guest.send(vec![event]).await;
    }
    until_there(&ada, &room, &id_of(&good)).await;
    guest.say(&ada, "after all of them").await;
    for id in ids {
        assert!(!has(&ada, &room, &id).await, "{id}");
    }
    let levels = ada.room(&room, "state/m.room.power_levels").await.ok();
    assert_eq!(levels["users"].get(guest.user.as_str()), None);
    ends_well(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_on_its_way_arrives_without_its_content() {
    let home = server(|_| {}).await;
    let fake = Fake::start().await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let mut event = guest.message("said");
    let id = id_of(&event);
    event["content"]["body"] = json!("never said");
    guest.send(vec![event]).await.ok();
    until_there(&ada, &room, &id).await;
    let seen = ada.room(&room, &format!("event/{}", escape(&id))).await.ok();
    assert_eq!(seen["content"], json!({}));
    ends_well(home).await;
}

/// A room with somebody of each of two servers, and one with somebody of the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_nobody_fills_delays_neither_another_room_nor_another_server() {
    for bad in bad_answers() {
        let clock = Clock::test(1_700_000_000_000);
        let home = server_at(clock.clone(), |_| {}).await;
        let (faulty, good) = (Fake::start().await, Fake::start().await);
        let ada = home.register("ada").await;
        let body = json!({ "preset": "public_chat", "room_version": "11" });
        let (room, other) = (ada.create_room(body.clone()).await, ada.create_room(body).await);
        let eve = Guest::enter(&faulty, &home, &room, "eve").await;
        let eve_there = Guest::enter(&faulty, &home, &other, "eve").await;
        let gil = Guest::enter(&good, &home, &room, "gil").await;
        for (method, path) in [
            (Method::POST, MISSING),
            (Method::GET, "/_matrix/federation/v1/state"),
            (Method::GET, "/_matrix/federation/v1/event"),
        ] {
            let answer = bad.clone();
            faulty.answer(method, path, move |_| answer.clone());
        }
        // What is before it is never told.
        let mut lost = eve.draft("m.room.message", json!({ "msgtype": "m.text", "body": "lost" }));
        lost["prev_events"] = json!(["$nobodyknowsthiseventnobodyknowsthiseventabc"]);
        let lost = eve.sign(lost);
        eve.send(vec![lost.clone()]).await.ok();
        faulty.until(|received| received.path.starts_with(MISSING).then_some(())).await;

        eve_there.say(&ada, "another room").await;
        gil.say(&ada, "another server").await;
        eve.say(&ada, "the same server in the same room").await;
        ada.send(&room, "of our own").await;
        assert!(!has(&ada, &room, &id_of(&lost)).await);
        // In the end it is given up.
        let store = home.app().services().store.clone();
        for _ in 0..100_000 {
            if store.prefix(&INBOX, &(), Order::Ascending, 1).await.unwrap().is_empty() {
                break;
            }
            clock.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
        drop(store);
        assert!(!has(&ada, &room, &id_of(&lost)).await);
        ends_well(home).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_filled_once_the_server_answers_again() {
    let clock = Clock::test(1_700_000_000_000);
    let home = server_at(clock.clone(), |_| {}).await;
    let fake = Fake::start().await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let unavailable = Reply::Json(503, json!({ "errcode": "M_UNKNOWN" }));
    for (method, path) in [(Method::POST, MISSING), (Method::GET, STATE_IDS)] {
        let answer = unavailable.clone();
        fake.answer(method, path, move |_| answer.clone());
    }
    let first = eve.message("first");
    let mut second = eve.draft("m.room.message", json!({ "msgtype": "m.text", "body": "second" }));
    second["prev_events"] = json!([id_of(&first)]);
    second["depth"] = json!(second["depth"].as_u64().unwrap() + 1);
    let second = eve.sign(second);
    eve.send(vec![second.clone()]).await.ok();
    fake.until(|received| received.path.starts_with(MISSING).then_some(())).await;
    let events = json!({ "events": [first] });
    fake.answer(Method::POST, MISSING, move |_| Reply::ok(events.clone()));
    for _ in 0..10_000 {
        if has(&ada, &room, &id_of(&second)).await {
            break;
        }
        clock.advance(Duration::from_secs(1));
    }
    assert!(has(&ada, &room, &id_of(&first)).await && has(&ada, &room, &id_of(&second)).await);
    ends_well(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_is_told_to_wait_and_nobody_else_is() {
    let home = server(|config| {
        config.limits.enabled = true;
        config.limits.federation_per_server = Rate::new(20, 3_600);
    })
    .await;
    let (flood, calm) = (Fake::start().await, Fake::elsewhere().await);
    let same = Fake::start().await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let gil = Guest::enter(&calm, &home, &room, "gil").await;
    oblige(&flood);
    let mut refused = 0;
    for _ in 0..40 {
        let answer = flood.send(&home, vec![], vec![]).await;
        if answer.status == 429 {
            let body = answer.refused(429, "M_LIMIT_EXCEEDED");
            assert!(body["retry_after_ms"].as_u64().unwrap() > 0);
            refused += 1;
        }
    }
    assert!(refused >= 19, "{refused}");
    let mut also = 0;
    for _ in 0..20 {
        also += usize::from(same.send(&home, vec![], vec![]).await.status == 429);
    }
    assert!(also >= 19, "a name with another port is not another server: {also}");
    gil.say(&ada, "nobody else waits").await;
    ada.send(&room, "nor do people here").await;
    ends_well(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_one_transaction_is_refused_whole() {
    let home = server(|_| {}).await;
    let fake = Fake::start().await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let many: Vec<Value> = (0..51).map(|n| eve.message(&format!("{n}"))).collect();
    let ids: Vec<String> = many.iter().map(id_of).collect();
    let answer = eve.send(many).await;
    assert_eq!(answer.status.as_u16() / 100, 4, "{}", answer.body);
    let typing = json!({ "edu_type": "m.typing", "content": {} });
    let answer = fake.send(&home, vec![], vec![typing; 101]).await;
    assert_eq!(answer.status.as_u16() / 100, 4, "{}", answer.body);
    let empty = json!({ "origin": fake.name(), "origin_server_ts": 1, "pdus": [] });
    let path = format!("/_matrix/federation/v1/send/{}", "x".repeat(256));
    fake.call(&home, Method::PUT, &path, empty).await.refused(400, "M_BAD_JSON");
    // An event cannot be so deep that reading it ends the program.
    let deep = (0..120).fold(json!(1), |inside, _| json!([inside]));
    let mut event = eve.draft("m.room.message", json!({ "body": "deep" }));
    event["content"]["deep"] = deep;
    fake.send(&home, vec![event], vec![]).await;
    eve.say(&ada, "after all of it").await;
    for id in ids {
        assert!(!has(&ada, &room, &id).await);
    }
    ends_well(home).await;
}
