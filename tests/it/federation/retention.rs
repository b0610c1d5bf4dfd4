//! What is kept for other servers and of them, and until when; and who hears of what though they are not in the room.

use std::time::Duration;

use homeroom::{
    clock::Clock,
    store::{
        Order, Position,
        schema::federation::{INBOUND_TRANSACTIONS, OUTGOING},
    },
};
use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Received, Reply,
    guest::Guest,
    outbound::{MINUTE, SEND, Story, all_texts, until_text},
    server, server_at,
};
use crate::harness::{Client, Server, escape};

/// Lets time go by until something is so; at most a minute of the test's own.
async fn in_time(clock: &Clock, client: &Client, step: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let passing = async {
        while !is_so().await {
            clock.advance(step);
            // What goes on gets the time of some requests before the clock goes on.
            for _ in 0..4 {
                client.get("/_matrix/client/versions").await.ok();
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), passing).await.expect("it did not come to that");
}

async fn outgoing(server: &Server) -> usize {
    let store = &server.app().services().store;
    let rows = store.range(&OUTGOING, &Position::ZERO, &Position(u64::MAX), Order::Ascending, 10_000).await;
    rows.unwrap().len()
}

/// How many transactions are remembered.
async fn transactions(server: &Server) -> usize {
    let store = &server.app().services().store;
    store.prefix(&INBOUND_TRANSACTIONS, &(), Order::Ascending, 100).await.unwrap().len()
}

fn fails(fake: &Fake) {
    fake.answer(Method::PUT, SEND, |_| Reply::Json(503, json!({ "errcode": "M_UNKNOWN" })));
}

fn works(fake: &Fake) {
    fake.answer(Method::PUT, SEND, |_| Reply::ok(json!({ "pdus": {} })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_outgoing_is_kept_until_the_last_server_has_it_and_no_longer() {
    let (prompt, late) = (Fake::start().await, Fake::start().await);
    let story = Story::start(1, &[&prompt, &late]).await;
    let Story { clock, server, anna, .. } = &story;
    fails(&late);
    for text in ["0", "1", "2"] {
        story.say(text).await;
    }
    until_text(&prompt, "2").await;
    let tried = late.received(SEND).len();
    // An hour has several sweeps.
    let mut minutes = 0;
    in_time(clock, anna, MINUTE, async || {
        minutes += 1;
        minutes > 60 && late.received(SEND).len() > tried
    })
    .await;
    assert_eq!(outgoing(server).await, 3, "one of them has nothing yet");
    works(&late);
    in_time(clock, anna, MINUTE, async || all_texts(&late).contains(&"2".to_owned())).await;
    in_time(clock, anna, MINUTE, async || outgoing(server).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_remembered_for_a_day() {
    let clock = Clock::test(1_700_000_000_000);
    let (home, fake) = (server_at(clock.clone(), |_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    eve.say(&ada, "once").await;
    let mut hours = 0;
    in_time(&clock, &ada, Duration::from_hours(1), async || {
        hours += 1;
        hours > 22
    })
    .await;
    assert_eq!(transactions(&home).await, 1);
    in_time(&clock, &ada, Duration::from_hours(1), async || transactions(&home).await == 0).await;
}

#[tokio::test]
async fn of_events_of_no_room_nothing_is_kept() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let mut lost = eve.message("nowhere");
    lost["room_id"] = json!("!nowhere:school.example");
    eve.send(vec![lost]).await.ok();
    assert_eq!(transactions(&home).await, 0);
    eve.send(vec![eve.message("here")]).await.ok();
    assert_eq!(transactions(&home).await, 1);
}

/// An event that invites somebody, or one that ends their membership.
fn of_member(received: &Received, user: &str, invites: bool) -> Option<Value> {
    let wanted = |pdu: &&Value| pdu["state_key"] == user && (pdu["content"]["membership"] == "invite") == invites;
    received.body["pdus"].as_array()?.iter().find(wanted).cloned()
}

/// An event that ends somebody's membership.
fn ends(received: &Received, user: &str) -> Option<Value> {
    of_member(received, user, false)
}

async fn put_out(client: &Client, room: &str, how: &str, user: &str) {
    let path = format!("/_matrix/client/v3/rooms/{}/{how}", escape(room));
    client.post(&path, json!({ "user_id": user })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_users_are_put_out_hears_of_that_after_an_outage_too_and_of_nothing_more() {
    let clock = Clock::test(1_700_000_000_000);
    let home = server_at(clock.clone(), |_| {}).await;
    let (member, invited) = (Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let Guest { user: eve, .. } = Guest::enter(&member, &home, &room, "eve").await;
    super::guest::oblige(&invited);
    let ivy = invited.user("ivy");
    ada.invite(&room, &ivy).await.ok();
    // Were that to fail, nothing more would be sent until the clock goes on.
    member.until(|received| of_member(received, &ivy, true)).await;
    for (fake, user) in [(&member, &eve), (&invited, &ivy)] {
        fails(fake);
        put_out(&ada, &room, "kick", user).await;
        fake.until(|received| ends(received, user)).await;
    }
    ada.send(&room, "among ourselves").await;
    // They were left alone for as long as it takes to be started again.
    let home = home.restart().await;
    let ada = ada.at(&home);
    for (fake, user) in [(&member, &eve), (&invited, &ivy)] {
        let tried = fake.received(SEND).len();
        works(fake);
        in_time(&clock, &ada, MINUTE, async || {
            fake.received(SEND).iter().skip(tried).any(|received| ends(received, user).is_some())
        })
        .await;
        assert_eq!(all_texts(fake), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_ban_of_somebody_who_was_never_there_is_no_business_of_their_server() {
    let (home, member, other) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let _eve = Guest::enter(&member, &home, &room, "eve").await;
    put_out(&ada, &room, "ban", &other.user("mallory")).await;
    member.until(|received| ends(received, &other.user("mallory"))).await;
    ada.send(&room, "after it").await;
    until_text(&member, "after it").await;
    assert!(other.received("/_matrix/federation/").is_empty());
}
