//! What comes before the event it is about: receipts, replies of threads.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{Guest, id_of, until_there},
    host::Host,
    server,
};
use crate::harness::{Client, escape};

/// A receipt of somebody, as their server sends it; `data` says more than when.
fn receipt(room: &str, user: &str, event: &str, mut data: Value) -> Value {
    data["ts"] = json!(1);
    let read = json!({ user: { "data": data, "event_ids": [event] } });
    json!({ "edu_type": "m.receipt", "content": { room: { "m.read": read } } })
}

/// Where somebody is said to have read to: events and threads.
fn told(sync: &Value, room: &str, user: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for event in sync["rooms"]["join"][room]["ephemeral"]["events"].as_array().into_iter().flatten() {
        for (id, kinds) in event["content"].as_object().into_iter().flatten() {
            if let Some(said) = kinds["m.read"].get(user) {
                found.insert((id.clone(), said["thread_id"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

/// Waits until all of these have been told.
async fn until_told(client: &Client, room: &str, user: &str, wanted: &[(&str, &str)]) {
    let first = client.sync(None).await;
    let mut seen = told(&first, room, user);
    let mut has_all = |sync: &Value| {
        seen.extend(told(sync, room, user));
        let all = wanted.iter().all(|(event, thread)| seen.contains(&((*event).to_owned(), (*thread).to_owned())));
        all.then_some(())
    };
    if has_all(&first).is_none() {
        client.sync_until(first["next_batch"].as_str().unwrap(), has_all).await;
    }
}

#[tokio::test]
async fn receipts_that_come_before_their_event_are_told_with_it() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let (root, read) = (eve.say(&ada, "root").await, eve.message("read"));
    let id = id_of(&read);
    // Two at one event, which no single item can hold (MSC4102), and one of somebody who is not there.
    let ahead = vec![
        receipt(&room, &eve.user, &id, json!({})),
        receipt(&room, &eve.user, &id, json!({ "thread_id": root })),
        receipt(&room, &fake.user("nobody"), &id, json!({})),
    ];
    fake.send(&home, vec![], ahead).await.ok();
    ada.send(&room, "meanwhile").await;
    assert_eq!(told(&ada.sync(None).await, &room, &eve.user), BTreeSet::new());
    eve.send(vec![read]).await.ok();
    until_told(&ada, &room, &eve.user, &[(&id, ""), (&id, &root)]).await;
    assert!(!ada.sync(None).await.to_string().contains("nobody"));
}

#[tokio::test]
async fn a_receipt_that_waits_takes_nobody_back() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let late = eve.message("late");
    fake.send(&home, vec![], vec![receipt(&room, &eve.user, &id_of(&late), json!({}))]).await.ok();
    let newer = eve.say(&ada, "newer").await;
    fake.send(&home, vec![], vec![receipt(&room, &eve.user, &newer, json!({}))]).await.ok();
    eve.send(vec![late.clone()]).await.ok();
    until_there(&ada, &room, &id_of(&late)).await;
    // Another one that waits, for what comes after it: it is told after whatever waited for the one before.
    let last = eve.message("last");
    let in_main = receipt(&room, &eve.user, &id_of(&last), json!({ "thread_id": "main" }));
    fake.send(&home, vec![], vec![in_main]).await.ok();
    eve.send(vec![last.clone()]).await.ok();
    until_told(&ada, &room, &eve.user, &[(&id_of(&last), "main")]).await;
    let expected = BTreeSet::from([(newer, String::new()), (id_of(&last), "main".to_owned())]);
    assert_eq!(told(&ada.sync(None).await, &room, &eve.user), expected);
}

/// What stands in the place of a thread may be as long as a transaction.
#[tokio::test]
async fn receipts_in_what_is_no_thread_do_not_wait() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let read = eve.message("read");
    let id = id_of(&read);
    fake.send(&home, vec![], vec![receipt(&room, &eve.user, &id, json!({}))]).await.ok();
    // More than wait in one room: were they kept, the first one would go.
    for n in 0..6 {
        let senseless = |m| receipt(&room, &eve.user, &id, json!({ "thread_id": format!("no thread {n} {m}") }));
        fake.send(&home, vec![], (0..100).map(senseless).collect()).await.ok();
    }
    eve.send(vec![read]).await.ok();
    until_told(&ada, &room, &eve.user, &[(&id, "")]).await;
}

#[tokio::test]
async fn receipts_of_one_server_without_end_leave_those_of_others() {
    let (home, fake, flooding) = (server(|_| {}).await, Fake::elsewhere().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let mallory = Guest::enter(&flooding, &home, &room, "mallory").await;
    let read = eve.message("read");
    let id = id_of(&read);
    fake.send(&home, vec![], vec![receipt(&room, &eve.user, &id, json!({}))]).await.ok();
    // More than wait in one room, and one whose event comes.
    let late = mallory.message("late");
    for n in 0..6 {
        let ahead = |m| receipt(&room, &mallory.user, "$never", json!({ "thread_id": format!("$thread-{n}-{m}") }));
        flooding.send(&home, vec![], (0..100).map(ahead).collect()).await.ok();
    }
    let last = receipt(&room, &mallory.user, &id_of(&late), json!({ "thread_id": "$thread" }));
    flooding.send(&home, vec![], vec![last]).await.ok();
    eve.send(vec![read]).await.ok();
    until_told(&ada, &room, &eve.user, &[(&id, "")]).await;
    mallory.send(vec![late.clone()]).await.ok();
    until_told(&ada, &room, &mallory.user, &[(&id_of(&late), "$thread")]).await;
}

#[tokio::test]
async fn a_receipt_at_an_event_of_the_history_is_told_when_that_is_fetched() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let host = Host::new(&fake);
    let old = host.message("old").0;
    host.admit(&bert).await;
    fake.send(&home, vec![], vec![receipt(&host.id, &host.user, &old, json!({}))]).await.ok();
    assert_eq!(told(&bert.sync(None).await, &host.id, &host.user), BTreeSet::new());
    let pdus: Vec<Value> = host.known.lock().unwrap().events.values().cloned().collect();
    fake.answer(Method::GET, "/_matrix/federation/v1/backfill/", move |_| {
        Reply::ok(json!({ "origin": "x", "origin_server_ts": 1, "pdus": pdus }))
    });
    let page = bert.room(&host.id, "messages?dir=b&limit=100").await.ok().to_string();
    assert!(page.contains("old"), "{page}");
    until_told(&bert, &host.id, &host.user, &[(&old, "")]).await;
}

#[tokio::test]
async fn a_thread_whose_root_comes_after_its_replies_is_listed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = Guest::enter(&fake, &home, &room, "eve").await;
    let root = eve.message("root");
    let reply = |text: &str| {
        let relates = json!({ "rel_type": "m.thread", "event_id": id_of(&root) });
        eve.sign(eve.draft("m.room.message", json!({ "body": text, "m.relates_to": relates })))
    };
    let (first, second) = (reply("first"), reply("second"));
    for reply in [&first, &second] {
        eve.send(vec![reply.clone()]).await.ok();
        until_there(&ada, &room, &id_of(reply)).await;
    }
    eve.send(vec![root.clone()]).await.ok();
    until_there(&ada, &room, &id_of(&root)).await;
    let threads = ada.get(&format!("/_matrix/client/v1/rooms/{}/threads", escape(&room))).await.ok();
    let listed = threads["chunk"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{threads}");
    assert_eq!(listed[0]["event_id"], id_of(&root));
    let thread = &listed[0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(2), &json!(id_of(&second))));
}
