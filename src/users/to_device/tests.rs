#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use ruma::serde::Raw;
use serde_json::{json, value::RawValue};

use super::*;
use crate::users::{NewDevice, test::Fixture};

struct Server {
    fixture: Fixture,
    anna: (UserNo, OwnedUserId),
    ben: (UserNo, OwnedUserId),
}

impl Server {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let mut people = Vec::new();
        for (name, device) in [("anna", "A1"), ("ben", "B1")] {
            let device = NewDevice { device_id: Some(device.into()), ..NewDevice::default() };
            let id = fixture.register_on(name, device).await.0.user_id;
            people.push((fixture.store.user(&id).await.unwrap().unwrap(), id));
        }
        let ben = people.pop().unwrap();
        Self { fixture, anna: people.pop().unwrap(), ben }
    }

    /// Anna sends Ben a message.
    async fn send(&self, txn_id: &str, device: &str) -> Result<(), ToDeviceError> {
        let content = Raw::from_json(RawValue::from_string(json!({ "n": txn_id }).to_string()).unwrap());
        let device = DeviceIdOrAllDevices::try_from(device).unwrap();
        let sending = Sending {
            user: self.anna.0,
            user_id: &self.anna.1,
            device_id: "A1".into(),
            event_type: "m.test",
            txn_id,
            messages: BTreeMap::from([(self.ben.1.clone(), BTreeMap::from([(device, content)]))]),
        };
        self.fixture.users.to_device.send(sending).await
    }

    async fn take(&self, upto: Position, limit: usize) -> Vec<String> {
        let events = self.fixture.users.to_device.take(self.ben.0, "B1".into(), upto, limit).await.unwrap();
        events
            .iter()
            .map(|event| serde_json::from_str::<serde_json::Value>(event).unwrap())
            .map(|event| {
                assert_eq!(event["sender"], self.anna.1.as_str());
                assert_eq!(event["type"], "m.test");
                event["content"]["n"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    async fn acknowledge(&self, since: Position) {
        self.fixture.users.to_device.acknowledge(self.ben.0, "B1".into(), since).await.unwrap();
    }

    fn now(&self) -> Position {
        self.fixture.store.position()
    }
}

#[tokio::test]
async fn messages_wait_until_they_are_acknowledged() {
    let server = Server::new().await;
    let before = server.now();
    assert!(server.take(before, 100).await.is_empty());
    server.send("1", "B1").await.unwrap();
    server.send("2", "*").await.unwrap();
    server.send("2", "*").await.unwrap();
    server.send("3", "NODEVICE").await.unwrap();
    assert!(server.take(before, 100).await.is_empty(), "they came after this position");
    let now = server.now();
    assert_eq!(server.take(now, 100).await, ["1", "2"]);
    server.acknowledge(before).await;
    assert_eq!(server.take(now, 100).await, ["1", "2"], "the answer was lost");
    server.send("4", "B1").await.unwrap();
    server.acknowledge(now).await;
    assert_eq!(server.take(server.now(), 100).await, ["4"]);
    server.acknowledge(server.now()).await;
    assert!(!server.fixture.users.to_device.is_waiting(server.ben.0, "B1".into()));
}

#[tokio::test]
async fn a_long_queue_comes_in_parts_and_nothing_is_lost() {
    let server = Server::new().await;
    for n in 0..7 {
        server.send(&n.to_string(), "B1").await.unwrap();
    }
    let first = server.now();
    assert_eq!(server.take(first, 3).await, ["0", "1", "2"]);
    // The answer is lost and asked for again, with a message more.
    server.send("7", "B1").await.unwrap();
    let second = server.now();
    assert_eq!(server.take(second, 3).await, ["0", "1", "2"]);
    server.acknowledge(second).await;
    let third = server.now();
    assert_eq!(server.take(third, 3).await, ["3", "4", "5"]);
    server.acknowledge(third).await;
    assert_eq!(server.take(server.now(), 3).await, ["6", "7"]);
}

#[tokio::test]
async fn a_removed_device_takes_its_messages_along() {
    let server = Server::new().await;
    server.send("1", "B1").await.unwrap();
    server.fixture.users.devices.remove(server.ben.0, &["B1".into()]).await.unwrap();
    assert!(!server.fixture.users.to_device.is_waiting(server.ben.0, "B1".into()));
    server.send("2", "*").await.unwrap();
    assert!(server.take(server.now(), 100).await.is_empty());
}

#[tokio::test]
async fn what_other_servers_brought_long_ago_is_forgotten_however_much_it_is() {
    use crate::store::{Batch, Order, ServerNo, schema::federation::INBOUND_MESSAGES};
    let server = Server::new().await;
    let (store, to_device) = (&server.fixture.store, &server.fixture.users.to_device);
    let brought = async |servers: std::ops::Range<u64>, each: usize| {
        let mut batch = Batch::new();
        for other in servers {
            for n in 0..each {
                batch.put(&INBOUND_MESSAGES, &(ServerNo(other), format!("m{n}")), &server.fixture.clock.now_ms());
            }
        }
        store.commit(batch).await.unwrap();
    };
    brought(1..4, 1_500).await;
    server.fixture.advance(15 * 24 * 3_600);
    brought(2..5, 10).await;
    to_device.tidy_received().await.unwrap();
    let left = store.prefix(&INBOUND_MESSAGES, &(), Order::Ascending, 100_000).await.unwrap();
    assert_eq!(left.len(), 30);
    assert!(left.iter().all(|(_, at_ms)| *at_ms == server.fixture.clock.now_ms()));
}

#[tokio::test]
async fn of_what_reaches_nobody_nothing_is_kept() {
    use crate::store::{Order, schema::federation::INBOUND_MESSAGES};
    let server = Server::new().await;
    let (store, to_device) = (&server.fixture.store, &server.fixture.users.to_device);
    let origin = ruma::server_name!("b.example");
    let bring = async |message_id: &str, device: &str| {
        let content = Raw::from_json(RawValue::from_string("{}".to_owned()).unwrap());
        let device = DeviceIdOrAllDevices::try_from(device).unwrap();
        let messages = BTreeMap::from([(server.ben.1.clone(), BTreeMap::from([(device, content)]))]);
        let sender = ruma::user_id!("@eve:b.example");
        to_device.receive(origin, Brought { sender, event_type: "m.test", message_id, messages }).await.unwrap();
    };
    for n in 0..10 {
        bring(&format!("lost {n}"), "NONE").await;
    }
    bring("found", "B1").await;
    let kept = store.prefix(&INBOUND_MESSAGES, &(), Order::Ascending, 100).await.unwrap();
    assert_eq!(kept.into_iter().map(|((_, id), _)| id).collect::<Vec<_>>(), ["found"]);
}

/// Users of other servers who send to Ben's device, beside Anna who does from this one.
impl Server {
    /// A server brings a message.
    async fn bring(&self, origin: &str, text: &str) {
        let content = Raw::from_json(RawValue::from_string(json!({ "n": text }).to_string()).unwrap());
        let device = DeviceIdOrAllDevices::try_from("B1").unwrap();
        let messages = BTreeMap::from([(self.ben.1.clone(), BTreeMap::from([(device, content)]))]);
        let sender = UserId::parse(format!("@eve:{origin}")).unwrap();
        let brought = Brought { sender: &sender, event_type: "m.test", message_id: text, messages };
        self.fixture.users.to_device.receive(<&ruma::ServerName>::try_from(origin).unwrap(), brought).await.unwrap();
    }

    /// So many messages wait already, of a server or of Anna: `name 0` and so on.
    async fn fill(&self, origin: Option<&str>, name: &str, count: usize) {
        let mut batch = Batch::new();
        let server = match origin {
            Some(origin) => Some(
                self.fixture
                    .store
                    .mint_server(<&ruma::ServerName>::try_from(origin).unwrap(), &mut batch)
                    .await
                    .unwrap(),
            ),
            None => None,
        };
        for n in 0..count {
            let event =
                json!({ "sender": "@eve:b.example", "type": "m.test", "content": { "n": format!("{name} {n}") } });
            let ben = self.ben.0;
            batch.at_position(move |at, rows| {
                rows.put(&TO_DEVICE, &(ben, "B1".to_owned(), at), &event.to_string());
                if let Some(server) = server {
                    rows.put(&TO_DEVICE_ORIGINS, &(ben, "B1".to_owned(), server, at), &());
                }
            });
        }
        self.fixture.store.commit(batch).await.unwrap();
    }

    /// The program ends and starts again: what waits is counted anew.
    fn restart(&mut self) {
        let old = self.fixture.users.to_device.clone();
        let new = ToDevice::load(old.store, old.server, old.clock, old.locks, old.notifier, old.outbox).unwrap();
        self.fixture.users.to_device = new;
    }

    /// What waits for Ben, by what its texts begin with.
    async fn waiting(&self) -> BTreeMap<String, usize> {
        let events = self.fixture.users.to_device.take(self.ben.0, "B1".into(), self.now(), 50_000).await.unwrap();
        let mut found = BTreeMap::new();
        for event in events {
            let event: serde_json::Value = serde_json::from_str(&event).unwrap();
            let name = event["content"]["n"].as_str().unwrap().split(' ').next().unwrap().to_owned();
            *found.entry(name).or_default() += 1;
        }
        found
    }

    /// What memory and tables say of what waits for Ben is the same.
    async fn is_counted(&self) {
        let device = (self.ben.0, "B1".to_owned());
        let (store, all) = (&self.fixture.store, Order::Ascending);
        let rows = store.prefix(&TO_DEVICE, &device, all, 50_000).await.unwrap().len();
        let mut by = BTreeMap::<_, usize>::new();
        for ((.., server, at), ()) in store.prefix(&TO_DEVICE_ORIGINS, &device, all, 50_000).await.unwrap() {
            *by.entry(server).or_default() += 1;
            assert!(store.get(&TO_DEVICE, &(device.0, device.1.clone(), at)).await.unwrap().is_some());
        }
        let queues = self.fixture.users.to_device.queues.read();
        let queue = &queues[&(device.0, Box::from("B1"))];
        assert_eq!((queue.count, queue.shares.iter().copied().collect()), (rows, by));
    }
}

#[tokio::test]
async fn a_server_that_sends_without_end_pushes_out_its_own_messages_only() {
    let mut server = Server::new().await;
    server.fill(Some("c.example"), "other", 10).await;
    server.fill(None, "own", 9_000 - 10).await;
    server.fill(Some("b.example"), "flood", 900).await;
    server.restart();
    for n in 900..1_250 {
        server.bring("b.example", &format!("flood {n}")).await;
    }
    let waiting = server.waiting().await;
    assert_eq!((waiting["other"], waiting["own"]), (10, 8_990), "nobody else's have gone");
    assert!((900..=1_000).contains(&waiting["flood"]), "{waiting:?}");
    server.is_counted().await;
    // The newest are kept, also when the program has started anew and counts what it finds.
    server.restart();
    server.bring("b.example", "last").await;
    server.bring("c.example", "other").await;
    server.send("own", "B1").await.unwrap();
    let waiting = server.waiting().await;
    assert_eq!((waiting["last"], waiting["other"], waiting["own"]), (1, 11, 8_991));
    server.is_counted().await;
}

#[tokio::test]
async fn a_server_with_many_names_has_one_share() {
    let mut server = Server::new().await;
    server.fill(Some("b.example"), "flood", 990).await;
    server.restart();
    for n in 1..=100 {
        server.bring(&format!("b.example:{n}"), &format!("flood {n}")).await;
    }
    server.restart();
    server.bring("B.example", "flood last").await;
    assert_eq!(server.waiting().await["flood"], 990 + 101 - 100);
    server.is_counted().await;
}

#[tokio::test]
async fn many_servers_that_send_without_end_leave_their_half_to_this_one() {
    let mut server = Server::new().await;
    server.fill(None, "own", 4_000).await;
    for name in ["b", "c", "d", "e", "f"] {
        server.fill(Some(&format!("{name}.example")), name, 990).await;
    }
    server.fill(Some("g.example"), "g", 50).await;
    server.restart();
    for n in 0..120 {
        server.bring("h.example", &format!("h {n}")).await;
    }
    let waiting = server.waiting().await;
    assert_eq!((waiting["own"], waiting["g"], waiting["h"]), (4_000, 50, 120), "of whoever has few nothing goes");
    assert_eq!(waiting.values().sum::<usize>() - 4_000, 990 * 5 + 50 + 120 - 200);
    server.is_counted().await;
}

#[tokio::test]
async fn when_too_many_messages_wait_the_oldest_go() {
    let mut server = Server::new().await;
    server.fill(Some("b.example"), "old", 60).await;
    server.fill(None, "own", WAITING_MAX - 60).await;
    server.restart();
    server.send("new", "B1").await.unwrap();
    let waiting = server.waiting().await;
    assert_eq!((waiting.get("old"), waiting["own"], waiting["new"]), (None, WAITING_MAX - 100, 1));
    server.is_counted().await;
}

#[tokio::test]
async fn what_is_acknowledged_or_of_a_device_that_goes_gives_its_share_back() {
    let mut server = Server::new().await;
    server.fill(Some("b.example"), "old", 800).await;
    let since = server.now();
    server.fill(Some("b.example"), "more", 150).await;
    server.restart();
    server.acknowledge(since).await;
    server.is_counted().await;
    assert_eq!(server.waiting().await, BTreeMap::from([("more".to_owned(), 150)]));
    for n in 0..60 {
        server.bring("b.example", &format!("new {n}")).await;
    }
    assert_eq!(server.waiting().await, BTreeMap::from([("more".to_owned(), 150), ("new".to_owned(), 60)]));
    server.fixture.users.devices.remove(server.ben.0, &["B1".into()]).await.unwrap();
    let left = server.fixture.store.prefix(&TO_DEVICE_ORIGINS, &(), Order::Ascending, 10).await.unwrap();
    assert_eq!(left, []);
    assert_eq!(crate::store::check::check(&server.fixture.store).unwrap().findings, []);
}
