//! Other servers that fail: nothing is lost, and nothing is stuck.

use std::{
    sync::{Arc, Barrier, Mutex},
    time::Duration,
};

use homeroom::federation::outbound::{FederationAnswer, FederationOrder};
use reqwest::Method;
use ruma::{EventId, MilliSecondsSinceUnixEpoch, RoomId, UserId, events::receipt::ReceiptThread, uint};
use serde_json::json;
use tokio::task::block_in_place;

use super::{
    Fake, Reply,
    outbound::{MINUTE, SEND, Story, all_texts, edu_text, edus, texts, transactions, until_text},
};

/// Answers with what is said last.
fn switch(fake: &Fake, reply: Reply) -> Arc<Mutex<Reply>> {
    let reply = Arc::new(Mutex::new(reply));
    let said = reply.clone();
    fake.answer(Method::PUT, SEND, move |_| said.lock().unwrap().clone());
    reply
}

fn ok() -> Reply {
    Reply::ok(json!({ "pdus": {} }))
}

fn unavailable() -> Reply {
    Reply::Json(503, json!({ "errcode": "M_UNKNOWN" }))
}

/// Waits until the server is left alone.
async fn until_failing(story: &Story, fake: &Fake) {
    while story.status(fake).await.retry_at_ms == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_missed_is_told_in_full_when_it_is_little() {
    let fake = Fake::start().await;
    let story = Story::start(2, &[&fake]).await;
    let reply = switch(&fake, unavailable());
    story.say("0").await;
    until_failing(&story, &fake).await;
    for n in 1..20 {
        story.anna.send(&story.rooms[n % 2], &n.to_string()).await;
    }
    story.to_device(&fake, "kept").await;
    let line = story.status(&fake).await;
    assert_eq!((line.events_behind, line.rooms_behind, line.rooms, line.edus_waiting), (20, 2, 2, 1), "{line:?}");
    assert!(line.failures == 1 && line.failing_since_ms > 0 && line.retry_at_ms > story.clock.now_ms());
    let tries = transactions(&fake).len();
    assert_eq!(tries, 1, "it is left alone");
    *reply.lock().unwrap() = ok();
    story.clock.advance(MINUTE);
    until_text(&fake, "19").await;
    let transactions = transactions(&fake);
    assert_eq!(transactions[1].segment(3), transactions[0].segment(3), "what may have arrived goes again as it was");
    assert_eq!(transactions[1].body, transactions[0].body);
    assert_eq!(all_texts(&fake)[1..], (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    let messages: Vec<String> = transactions.iter().flat_map(edus).map(|edu| edu_text(&edu)).collect();
    assert_eq!(messages, ["kept"]);
    story.say("live").await;
    until_text(&fake, "live").await;
    // What was sent after it is only sent when that is noted.
    story.say("on").await;
    until_text(&fake, "on").await;
    let line = story.status(&fake).await;
    assert!(line.failing_since_ms == 0 && line.last_success_ms > 0 && line.retry_at_ms == 0, "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_outage_the_newest_event_of_each_room_comes_first() {
    let fake = Fake::start().await;
    let story = Story::start(3, &[&fake]).await;
    let reply = switch(&fake, unavailable());
    story.say("first").await;
    until_failing(&story, &fake).await;
    for n in 0..90 {
        story.anna.send(&story.rooms[n / 30], &format!("{}-{}", n / 30, n % 30)).await;
    }
    *reply.lock().unwrap() = ok();
    story.clock.advance(MINUTE * 60);
    until_text(&fake, "0-29").await;
    story.say("live").await;
    until_text(&fake, "live").await;
    let texts = all_texts(&fake);
    assert_eq!(texts[texts.len() - 4..], ["2-29", "1-29", "0-29", "live"], "{texts:?}");
    assert!(texts.len() <= 6, "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backoff_and_backlog_outlast_a_restart() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let story = Story::start(1, &[&fake, &other]).await;
    let reply = switch(&fake, unavailable());
    story.say("one").await;
    story.to_device(&fake, "message").await;
    until_failing(&story, &fake).await;
    story.say("two").await;
    let before = story.status(&fake).await;
    let story = story.restart().await;
    story.say("three").await;
    until_text(&other, "three").await;
    assert_eq!(transactions(&fake).len(), 1, "it is still left alone");
    let after = story.status(&fake).await;
    assert_eq!((after.retry_at_ms, after.failures, after.events_behind), (before.retry_at_ms, 1, 3), "{after:?}");
    *reply.lock().unwrap() = ok();
    story.clock.advance(MINUTE);
    until_text(&fake, "three").await;
    assert_eq!(all_texts(&fake)[1..], ["one", "two", "three"]);
    let messages: Vec<String> = transactions(&fake).iter().skip(1).flat_map(edus).map(|edu| edu_text(&edu)).collect();
    assert_eq!(messages, ["message"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_not_taken_is_dropped_and_the_others_arrive() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    let down = switch(&fake, unavailable());
    story.say("0").await;
    until_failing(&story, &fake).await;
    for n in 1..12 {
        story.say(&if n == 5 { "poison".to_owned() } else { n.to_string() }).await;
    }
    drop(down);
    fake.answer(Method::PUT, SEND, |received| {
        if received.body.to_string().contains("poison") {
            Reply::Json(400, json!({ "errcode": "M_BAD_JSON" }))
        } else if texts(received).len() > 4 {
            Reply::Json(413, json!({ "errcode": "M_TOO_LARGE" }))
        } else {
            ok()
        }
    });
    story.clock.advance(MINUTE);
    let is_taken = |texts: &[String]| texts.len() <= 4 && !texts.iter().any(|text| text == "poison");
    let last = |texts: &[String]| is_taken(texts) && texts.iter().any(|text| text == "11");
    fake.until(|received| last(&texts(received)).then_some(())).await;
    let poisoned = fake.received(SEND).iter().filter(|received| texts(received) == ["poison"]).count();
    assert_eq!(poisoned, 1, "alone, once");
    let taken: Vec<String> =
        transactions(&fake).iter().skip(1).map(texts).filter(|texts| is_taken(texts)).flatten().collect();
    assert_eq!(taken, ["0", "1", "2", "3", "4", "6", "7", "8", "9", "10", "11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_everything_is_left_alone_and_told_later() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    let reply = switch(&fake, Reply::Json(403, json!({ "errcode": "M_FORBIDDEN" })));
    story.say("one").await;
    until_failing(&story, &fake).await;
    story.say("two").await;
    *reply.lock().unwrap() = ok();
    story.clock.advance(MINUTE);
    until_text(&fake, "two").await;
    assert_eq!(all_texts(&fake), ["one", "one", "two"]);
}

fn retry(server: &str) -> FederationOrder {
    FederationOrder::FederationRetry { server: server.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_at_the_command_line_can_have_a_server_tried_at_once() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    let reply = switch(&fake, unavailable());
    story.say("one").await;
    until_failing(&story, &fake).await;
    *reply.lock().unwrap() = ok();
    let answers = story.order(retry(fake.name().as_str())).await;
    assert!(matches!(&answers[..], [FederationAnswer::Done(_)]), "{answers:?}");
    story.say("two").await;
    until_text(&fake, "two").await;
    let answers = story.order(retry("nobody.example")).await;
    assert!(matches!(&answers[..], [FederationAnswer::Failed(_)]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_just_being_tried_is_tried_once_more_for_who_asks() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    let (first, doors) = (Mutex::new(unavailable()), Arc::new([Barrier::new(2), Barrier::new(2)]));
    let passed = doors.clone();
    fake.answer(Method::PUT, SEND, move |_| {
        let reply = std::mem::replace(&mut *first.lock().unwrap(), ok());
        if matches!(reply, Reply::Json(503, _)) {
            block_in_place(|| {
                for door in &*passed {
                    door.wait();
                }
            });
        }
        reply
    });
    story.say("one").await;
    block_in_place(|| doors[0].wait());
    let answers = story.order(retry(fake.name().as_str())).await;
    assert!(matches!(&answers[..], [FederationAnswer::Done(_)]), "{answers:?}");
    // Only now the attempt fails.
    block_in_place(|| doors[1].wait());
    story.say("two").await;
    until_text(&fake, "two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_wait_for_a_server_that_is_down_and_typing_does_not() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    let reply = switch(&fake, unavailable());
    let event = story.say("one").await;
    until_failing(&story, &fake).await;
    let services = story.server.app().services();
    let number = services.store.server(fake.name()).await.unwrap().unwrap();
    let (room, anna) = (RoomId::parse(&story.rooms[0]).unwrap(), UserId::parse(&story.anna.user_id).unwrap());
    let event = EventId::parse(event).unwrap();
    let ts = MilliSecondsSinceUnixEpoch(uint!(7));
    services.outbox.receipt([number], (&room, &anna), &event, ReceiptThread::Unthreaded, ts);
    services.outbox.typing([number], (&room, &anna), Some(Duration::from_secs(1_000_000)));
    *reply.lock().unwrap() = ok();
    story.clock.advance(MINUTE);
    let receipt = fake.until_edu("m.receipt").await;
    let read = &receipt["content"][room.as_str()]["m.read"][anna.as_str()];
    assert_eq!(read, &json!({ "data": { "ts": 7 }, "event_ids": [event] }));
    services.outbox.typing([number], (&room, &anna), Some(Duration::from_secs(1_000_000)));
    let typing = fake.until_edu("m.typing").await;
    assert_eq!(typing["content"]["typing"], json!(true));
    let all: Vec<_> = fake.received(SEND).iter().flat_map(edus).collect();
    assert_eq!(all.len(), 2, "{all:?}");
}
