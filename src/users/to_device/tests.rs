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
