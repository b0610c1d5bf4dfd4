//! What goes to other servers: order, bounds, and who waits for whom.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use homeroom::{
    clock::Clock,
    event::Content,
    federation::outbound::{FederationAnswer, FederationOrder, ServerLine},
    rooms::NewEvent,
    store::{
        Batch, Durability, Order, Store, StoreOptions,
        schema::{
            federation::{DESTINATIONS, OUTBOX, OUTGOING},
            rooms::{ROOM_SERVERS, SERVER_ROOMS, ServerRoomRecord},
        },
    },
    users::Answers,
};
use reqwest::Method;
use ruma::{
    RoomId, ServerName, UserId, api::federation::transactions::edu::DirectDeviceMessages, serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::{Value, json};

use super::{Fake, Received, Reply, server_at};
use crate::harness::{Client, Server};

pub(super) const SEND: &str = "/_matrix/federation/v1/send/";
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// A server with rooms in which other servers, played by the test, have members. Nobody has ever joined from there: the
/// tables say so, which is all that sending looks at.
pub(super) struct Story {
    pub(super) clock: Clock,
    pub(super) server: Server,
    pub(super) anna: Client,
    pub(super) rooms: Vec<String>,
}

impl Story {
    /// With so many rooms, in each of which all of `others` are, which take everything.
    pub(super) async fn start(rooms: usize, others: &[&Fake]) -> Self {
        for fake in others {
            fake.answer(Method::PUT, SEND, |_| Reply::ok(json!({ "pdus": {} })));
        }
        let clock = Clock::test(1_700_000_000_000);
        let server = server_at(clock.clone(), |_| {}).await;
        let anna = server.register("anna").await;
        let mut ids = Vec::new();
        for _ in 0..rooms {
            ids.push(anna.create_room(json!({ "preset": "public_chat" })).await);
        }
        let names: Vec<&ServerName> = others.iter().map(|fake| fake.name()).collect();
        let server = share(server, &ids, &names).await;
        let anna = anna.at(&server);
        // Whoever meets somebody is told of their devices.
        for fake in others {
            fake.until_edu("m.device_list_update").await;
        }
        Self { clock, server, anna, rooms: ids }
    }

    pub(super) async fn restart(self) -> Self {
        let Self { clock, server, anna, rooms } = self;
        let server = server.restart().await;
        let anna = anna.at(&server);
        Self { clock, server, anna, rooms }
    }

    pub(super) async fn say(&self, text: &str) -> String {
        self.anna.send(&self.rooms[0], text).await
    }

    /// A message to a device of somebody there.
    pub(super) async fn to_device(&self, fake: &Fake, text: &str) {
        let services = self.server.app().services();
        let message = serde_json::value::to_raw_value(&json!({ "text": text })).unwrap();
        let device = DeviceIdOrAllDevices::DeviceId("PHONE".into());
        let user = UserId::parse(fake.user("ben")).unwrap();
        let messages = DirectDeviceMessages::from([(user, [(device, Raw::from_json(message))].into())]);
        let anna = UserId::parse(&self.anna.user_id).unwrap();
        let mut batch = Batch::new();
        services.outbox.to_device(&mut batch, fake.name(), &anna, &"org.example.x".into(), messages).await.unwrap();
        services.store.commit(batch).await.unwrap();
    }

    /// What the command line says of a server.
    pub(super) async fn status(&self, fake: &Fake) -> ServerLine {
        let order = FederationOrder::FederationStatus { server: Some(fake.name().to_string()) };
        match &self.order(order).await[..] {
            [FederationAnswer::Server(line), FederationAnswer::Done(_)] => (**line).clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn order(&self, order: FederationOrder) -> Vec<FederationAnswer> {
        let (answers, mut lines) = Answers::channel();
        let outbound = self.server.app().services().federation.outbound.clone();
        let carry_out = async move { outbound.carry_out(order, &answers).await };
        let hear = async {
            let mut heard = Vec::new();
            while let Some(line) = lines.recv().await {
                heard.push(serde_json::from_slice(&line).unwrap());
            }
            heard
        };
        tokio::join!(carry_out, hear).1
    }
}

/// Writes into a server's tables that other servers are in rooms of it, and starts it again.
pub(super) async fn share(server: Server, rooms: &[String], names: &[&ServerName]) -> Server {
    let database = server.folder().join("db");
    let stopped = server.stop().await;
    let options = StoreOptions { memory_bytes: 16 << 20, durability: Durability::Os };
    let store = Store::open(&database, &options).unwrap();
    let since = store.position();
    let mut batch = Batch::new();
    for room in rooms {
        let room = store.room(&RoomId::parse(room).unwrap()).await.unwrap().unwrap();
        for name in names {
            let number = store.mint_server(name, &mut batch).await.unwrap();
            batch.put(&ROOM_SERVERS, &(room, number), &1);
            batch.put(&SERVER_ROOMS, &(number, room), &ServerRoomRecord { since, left: None });
        }
    }
    store.commit(batch).await.unwrap();
    let closed = store.closed();
    drop(store);
    closed.await;
    stopped.start().await
}

/// The texts of the messages in a transaction.
pub(super) fn texts(received: &Received) -> Vec<String> {
    let pdus = received.body["pdus"].as_array().cloned().unwrap_or_default();
    pdus.iter().filter_map(|pdu| pdu["content"]["body"].as_str().map(str::to_owned)).collect()
}

/// Waits until a message came.
pub(super) async fn until_text(fake: &Fake, text: &str) {
    fake.until(|received| texts(received).iter().any(|found| found == text).then_some(())).await;
}

/// The texts of all messages that came, in their order, each transaction once.
pub(super) fn all_texts(fake: &Fake) -> Vec<String> {
    fake.received(SEND).iter().flat_map(texts).collect()
}

/// The transactions that came, but for those about devices.
pub(super) fn transactions(fake: &Fake) -> Vec<Received> {
    let about_more = |received: &Received| !edus(received).is_empty() || received.body["pdus"] != json!([]);
    fake.received(SEND).into_iter().filter(about_more).collect()
}

/// What a transaction holds besides events, but for changes of devices.
pub(super) fn edus(received: &Received) -> Vec<Value> {
    let edus = received.body["edus"].as_array().cloned().unwrap_or_default();
    edus.into_iter().filter(|edu| edu["edu_type"] != "m.device_list_update").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_arrive_in_their_order_within_the_bounds_of_a_transaction() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    // While the first transaction is on its way, the others wait: what comes then shows how many go at once.
    let (go_on, told) = std::sync::mpsc::channel();
    let first = Mutex::new(Some(told));
    fake.answer(Method::PUT, SEND, move |_| {
        if let Some(told) = first.lock().unwrap().take() {
            let _ = told.recv_timeout(Duration::from_secs(20));
        }
        Reply::ok(json!({ "pdus": {} }))
    });
    let mut sent = Vec::new();
    for n in 0..130 {
        sent.push(n.to_string());
        story.say(&n.to_string()).await;
    }
    go_on.send(()).unwrap();
    until_text(&fake, "129").await;
    assert_eq!(all_texts(&fake), sent);
    let transactions = transactions(&fake);
    let lengths: Vec<usize> = transactions.iter().map(|transaction| texts(transaction).len()).collect();
    assert!((4..=5).contains(&lengths.len()) && lengths.contains(&50), "{lengths:?}");
    for transaction in &transactions {
        assert!(transaction.body["pdus"].as_array().unwrap().len() <= 50);
        assert_eq!(transaction.body["origin"], json!(story.server.name()));
        assert!(transaction.body["origin_server_ts"].is_u64());
    }
    let ids: HashSet<String> = transactions.iter().map(|transaction| transaction.segment(3)).collect();
    assert_eq!(ids.len(), transactions.len());
    let pdu = &transactions[0].body["pdus"][0];
    assert!(pdu["signatures"][story.server.name().as_str()].is_object() && pdu.get("unsigned").is_none(), "{pdu}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_delays_nobody_else() {
    let (good, hanging) = (Fake::start().await, Fake::start().await);
    let story = Story::start(2, &[&good, &hanging]).await;
    hanging.answer(Method::PUT, SEND, |_| Reply::Stall);
    for n in 0..30 {
        story.anna.send(&story.rooms[n % 2], &n.to_string()).await;
    }
    until_text(&good, "29").await;
    assert_eq!(all_texts(&good).len(), 30);
    until_text(&hanging, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_does_not_federate_is_told_to_nobody() {
    let fake = Fake::start().await;
    let Story { server, anna, rooms, clock } = Story::start(1, &[&fake]).await;
    let body = json!({ "creation_content": { "m.federate": false } });
    let closed = anna.create_room(body).await;
    // The tables say that another server is in there, which can only be a mistake.
    let server = share(server, std::slice::from_ref(&closed), &[fake.name()]).await;
    let story = Story { anna: anna.at(&server), server, rooms, clock };
    story.anna.send(&closed, "secret").await;
    story.say("open").await;
    until_text(&fake, "open").await;
    assert_eq!(all_texts(&fake), ["open"]);
    let story = story.restart().await;
    story.say("again").await;
    until_text(&fake, "again").await;
    assert!(fake.received(SEND).iter().all(|received| !received.body.to_string().contains(&closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_allowed_is_told_nothing() {
    let (friend, stranger) = (Fake::start().await, Fake::start().await);
    let Story { server, anna, rooms, clock } = Story::start(1, &[&friend, &stranger]).await;
    let mut stopped = server.stop().await;
    let allowed = homeroom::config::ServerPattern::parse(friend.name().as_str()).unwrap();
    stopped.config().federation.allow = vec![allowed];
    let server = stopped.start().await;
    let story = Story { anna: anna.at(&server), server, rooms, clock };
    story.to_device(&stranger, "hello").await;
    story.say("hello").await;
    until_text(&friend, "hello").await;
    assert!(transactions(&stranger).is_empty());
    let line = story.status(&stranger).await;
    assert!(!line.allowed && line.edus_waiting == 0, "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_devices_arrive_in_their_order_and_are_forgotten_then() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    for n in 0..250 {
        story.to_device(&fake, &n.to_string()).await;
    }
    let last = |received: &Received| edus(received).iter().any(|edu| edu_text(edu) == "249").then_some(());
    fake.until(last).await;
    let all: Vec<Value> = fake.received(SEND).iter().flat_map(edus).collect();
    let texts: Vec<String> = all.iter().map(edu_text).collect();
    assert_eq!(texts, (0..250).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(fake.received(SEND).iter().all(|received| edus(received).len() <= 100));
    let ids: HashSet<String> = all.iter().map(|edu| edu["content"]["message_id"].to_string()).collect();
    assert_eq!(ids.len(), 250);
    // The next transaction goes only when the rows of the one before are deleted.
    story.say("after").await;
    until_text(&fake, "after").await;
    let store = &story.server.app().services().store;
    assert!(store.prefix(&OUTBOX, &(), Order::Ascending, 9).await.unwrap().is_empty());
}

pub(super) fn edu_text(edu: &Value) -> String {
    let messages = edu["content"]["messages"].as_object().unwrap().values().next().unwrap();
    messages["PHONE"]["text"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_server_was_told_is_kept_over_a_restart() {
    let fake = Fake::start().await;
    let story = Story::start(1, &[&fake]).await;
    story.say("one").await;
    until_text(&fake, "one").await;
    // Sent after the answer to "one" was taken note of.
    story.say("two").await;
    until_text(&fake, "two").await;
    let story = story.restart().await;
    let store = &story.server.app().services().store;
    let rows = store.prefix(&DESTINATIONS, &(), Order::Ascending, 9).await.unwrap();
    assert!(rows[0].1.sent.0 > 0, "{rows:?}");
    story.say("three").await;
    until_text(&fake, "three").await;
    let texts = all_texts(&fake);
    let ones = texts.iter().filter(|text| *text == "one").count();
    assert_eq!(ones, 1, "{texts:?}");
    assert!(!store.prefix(&OUTGOING, &(), Order::Ascending, 9).await.unwrap().is_empty());
}

/// A message and the join of a server's first user become visible at once, so that whoever hands the message out finds
/// the server in the room already.
async fn said_before_joining(visibility: &str) -> Vec<String> {
    let (friend, late) = (Fake::start().await, Fake::start().await);
    late.answer(Method::PUT, SEND, |_| Reply::ok(json!({ "pdus": {} })));
    let story = Story::start(1, &[&friend]).await;
    let visible = json!({ "history_visibility": visibility });
    story.anna.set_state(&story.rooms[0], "m.room.history_visibility", "", visible).await.ok();
    let rooms = &story.server.app().services().rooms;
    let room = rooms.by_id(&RoomId::parse(&story.rooms[0]).unwrap()).await.unwrap().unwrap();
    let (anna, eve) = (UserId::parse(&story.anna.user_id).unwrap(), UserId::parse(late.user("eve")).unwrap());
    let content = |content: Value| Content::from_serialize(&content).unwrap();
    let mut writer = rooms.writer(&room).await;
    let said = content(json!({ "msgtype": "m.text", "body": "before" }));
    writer.append(NewEvent::message(&anna, "m.room.message".into(), said)).await.unwrap();
    let joined = content(json!({ "membership": "join" }));
    writer.append(NewEvent::state(&eve, "m.room.member".into(), eve.as_str(), joined)).await.unwrap();
    writer.commit().await.unwrap();
    story.say("after").await;
    until_text(&late, "after").await;
    until_text(&friend, "after").await;
    assert_eq!(all_texts(&friend), ["before", "after"]);
    all_texts(&late)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_just_come_is_told_of_what_was_before_if_it_may_see_that() {
    assert_eq!(said_before_joining("joined").await, ["after"]);
    assert_eq!(said_before_joining("shared").await, ["before", "after"]);
}
