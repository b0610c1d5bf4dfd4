use ruma::{
    OwnedServerName, UInt, event_id, owned_user_id, room_id, serde::Raw, server_name, to_device::DeviceIdOrAllDevices,
    user_id,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    config::ServerPattern,
    store::{Durability, Order, Position, StoreOptions},
};

const HOUR: Duration = Duration::from_hours(1);

struct Fixture {
    _folder: TempDir,
    store: Store,
    clock: Clock,
    outbox: Outbox,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
    let store = Store::open(folder.path(), &options).unwrap();
    let clock = Clock::test(1_700_000_000_000);
    let outbox = open(&store, &clock);
    Fixture { _folder: folder, store, clock, outbox }
}

fn open(store: &Store, clock: &Clock) -> Outbox {
    let allow = vec![ServerPattern::parse("*.example").unwrap()];
    Outbox::new(OutboxParts {
        store: store.clone(),
        clock: clock.clone(),
        ids: Ids::seeded(1),
        server_name: OwnedServerName::try_from("school.example").unwrap(),
        federation: Federation {
            allow,
            trusted_ca: Vec::new(),
            trusted_key_servers: Vec::new(),
            identity_servers: Vec::new(),
            allow_private_addresses: false,
            device_names: false,
        },
    })
}

impl Fixture {
    async fn server(&self, name: &str) -> ServerNo {
        let mut batch = Batch::new();
        let number = self.store.mint_server(<&ServerName>::try_from(name).unwrap(), &mut batch).await.unwrap();
        self.store.commit(batch).await.unwrap();
        number
    }

    async fn message(&self, server: &str, text: &str) {
        let mut batch = Batch::new();
        let server = <&ServerName>::try_from(server).unwrap();
        let messages = messages(&[text.to_owned()]);
        let (sender, kind) = (user_id!("@a:school.example"), "m.x".into());
        self.outbox.to_device(&mut batch, server, sender, &kind, messages).await.unwrap();
        self.store.commit(batch).await.unwrap();
    }

    async fn device(&self, servers: &[ServerNo], device: &str) {
        let mut batch = Batch::new();
        let user = owned_user_id!("@a:school.example");
        let content = DeviceListUpdateContent::new(user, device.into(), UInt::from(0_u32));
        self.outbox.device_list(&mut batch, servers, UserNo(7), content).await.unwrap();
        self.store.commit(batch).await.unwrap();
    }

    async fn waiting(&self, server: ServerNo) -> Vec<Value> {
        let rows = self.outbox.durable(server, 100_000).await.unwrap();
        rows.iter().map(|(_, edu)| serde_json::from_str(edu).unwrap()).collect()
    }

    fn taken(&self, server: ServerNo) -> Vec<Value> {
        let taken = self.outbox.take_fleeting(server, 100).unwrap();
        taken.edus.iter().map(|edu| serde_json::from_str(edu).unwrap()).collect()
    }

    fn receipt(&self, server: ServerNo, event: &EventId, thread: ReceiptThread) {
        let ts = MilliSecondsSinceUnixEpoch(UInt::from(5_u32));
        let place = (room_id!("!r:school.example"), user_id!("@a:school.example"));
        self.outbox.receipt([server], place, event, thread, ts);
    }

    fn typing(&self, server: ServerNo, until: Option<Duration>) {
        self.outbox.typing([server], (room_id!("!r:school.example"), user_id!("@a:school.example")), until);
    }
}

fn messages(texts: &[String]) -> DirectDeviceMessages {
    let devices = texts.iter().enumerate().map(|(n, text)| {
        let message = serde_json::value::to_raw_value(&json!({ "text": text })).unwrap();
        (DeviceIdOrAllDevices::DeviceId(format!("D{n:04}").into()), Raw::from_json(message))
    });
    [(owned_user_id!("@b:there.example"), devices.collect())].into()
}

#[tokio::test]
async fn messages_wait_in_their_order_until_they_are_delivered() {
    let f = fixture();
    for text in ["one", "two", "three"] {
        f.message("there.example", text).await;
    }
    f.message("elsewhere.test", "not a server this one talks to").await;
    f.message("school.example", "to itself").await;
    let there = f.store.server(server_name!("there.example")).await.unwrap().unwrap();
    assert_eq!(f.outbox.take_woken(), BTreeSet::from([there]));
    f.outbox.woken().await;
    // What waits is found by the next process as well.
    let again = open(&f.store, &f.clock);
    assert_eq!(again.servers_waiting().await.unwrap(), [there]);
    let rows = again.durable(there, 2).await.unwrap();
    assert!(rows[0].1.contains("one") && rows[1].1.contains("two"), "{rows:?}");
    let edu: Value = serde_json::from_str(&rows[0].1).unwrap();
    assert_eq!(edu["edu_type"], "m.direct_to_device");
    assert_eq!(edu["content"]["messages"]["@b:there.example"]["D0000"]["text"], "one");
    assert!(edu["content"]["message_id"].as_str().unwrap().chars().count() <= 32);
    let mut batch = Batch::new();
    again.delivered(there, &rows.iter().map(|(at, _)| *at).collect::<Vec<_>>(), &mut batch);
    f.store.commit(batch).await.unwrap();
    let left = f.waiting(there).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["content"]["messages"]["@b:there.example"]["D0000"]["text"], "three");
}

#[test]
fn many_messages_are_divided_and_none_is_lost() {
    let texts: Vec<String> = (0..250).map(|n| format!("m{n}")).collect();
    let parts = divide(messages(&texts));
    assert_eq!(parts.len(), 3);
    let count: usize = parts.iter().flat_map(|part| part.values()).map(std::collections::BTreeMap::len).sum();
    assert_eq!(count, 250);
    let long = vec!["x".repeat(60_000); 5];
    assert_eq!(divide(messages(&long)).len(), 3);
    assert!(divide(DirectDeviceMessages::new()).is_empty());
}

#[tokio::test]
async fn changes_of_devices_name_the_change_before() {
    let f = fixture();
    let (one, two) = (f.server("one.example").await, f.server("two.example").await);
    f.device(&[], "A").await;
    f.device(&[one], "B").await;
    // Two batches under way at once do not take the same number.
    let (mut first, mut second) = (Batch::new(), Batch::new());
    for batch in [&mut first, &mut second] {
        let content = DeviceListUpdateContent::new(owned_user_id!("@a:school.example"), "C".into(), UInt::from(0_u32));
        f.outbox.device_list(batch, &[one, two], UserNo(7), content).await.unwrap();
    }
    let (first, second) = tokio::join!(f.store.commit(first), f.store.commit(second));
    assert!(first.is_ok() && second.is_ok());
    let numbers = |edus: Vec<Value>| -> Vec<(u64, Value)> {
        let number = |edu: &Value| (edu["content"]["stream_id"].as_u64().unwrap(), edu["content"]["prev_id"].clone());
        edus.iter().map(number).collect()
    };
    assert_eq!(numbers(f.waiting(one).await), [(2, json!([1])), (3, json!([2])), (4, json!([3]))]);
    assert_eq!(numbers(f.waiting(two).await), [(3, json!([2])), (4, json!([3]))]);
    assert_eq!(f.outbox.device_stream(UserNo(7)).await.unwrap(), 4);
}

#[tokio::test]
async fn what_newer_changes_make_useless_is_dropped_and_so_are_very_old_messages() {
    let f = fixture();
    let one = f.server("one.example").await;
    f.message("one.example", "old").await;
    f.clock.advance(HOUR * 24 * 31);
    for device in ["A", "B", "A"] {
        f.device(&[one], device).await;
    }
    let keys = || SigningKeyUpdateContent::new(owned_user_id!("@a:school.example"));
    for _ in 0..2 {
        let mut batch = Batch::new();
        f.outbox.signing_keys(&mut batch, &[one], keys()).await.unwrap();
        f.store.commit(batch).await.unwrap();
    }
    f.message("one.example", "new").await;
    assert_eq!(f.outbox.tidy(one).await.unwrap(), 3);
    let left = f.waiting(one).await;
    let kinds: Vec<&str> = left.iter().map(|edu| edu["edu_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["m.device_list_update", "m.device_list_update", "m.signing_key_update", "m.direct_to_device"]);
    assert_eq!((&left[0]["content"]["device_id"], &left[1]["content"]["device_id"]), (&json!("B"), &json!("A")));
    assert_eq!(f.outbox.tidy(one).await.unwrap(), 0);
}

#[tokio::test]
async fn the_number_of_messages_for_a_server_that_stays_away_is_bounded() {
    let f = fixture();
    let one = f.server("one.example").await;
    let mut batch = Batch::new();
    for n in 0..10_050_u64 {
        let record = OutboxRecord { made_ms: f.clock.now_ms(), about: String::new(), edu: format!("{{\"n\":{n}}}") };
        batch.put(&OUTBOX, &(one, Position(n + 1)), &record);
    }
    f.store.commit(batch).await.unwrap();
    assert_eq!(f.outbox.tidy(one).await.unwrap(), 50);
    let first = f.store.prefix(&OUTBOX, &one, Order::Ascending, 1).await.unwrap();
    assert_eq!(first[0].0.1, Position(51), "the oldest went");
}

#[tokio::test]
async fn only_the_newest_receipt_of_each_thread_is_sent() {
    let f = fixture();
    let one = f.server("one.example").await;
    f.receipt(one, event_id!("$old"), ReceiptThread::Unthreaded);
    f.receipt(one, event_id!("$new"), ReceiptThread::Unthreaded);
    f.receipt(one, event_id!("$main"), ReceiptThread::Main);
    assert_eq!(f.outbox.take_woken(), BTreeSet::from([one]));
    let edus = f.taken(one);
    assert_eq!(edus.len(), 2, "an EDU has one receipt of a user in a room: {edus:?}");
    let read = |n: usize| edus[n]["content"]["!r:school.example"]["m.read"]["@a:school.example"].clone();
    assert_eq!(read(0), json!({ "data": { "ts": 5 }, "event_ids": ["$new"] }));
    assert_eq!(read(1), json!({ "data": { "ts": 5, "thread_id": "main" }, "event_ids": ["$main"] }));
    assert!(f.taken(one).is_empty());
}

#[tokio::test]
async fn receipts_that_did_not_arrive_wait_again_unless_there_are_newer_ones() {
    let f = fixture();
    let one = f.server("one.example").await;
    f.receipt(one, event_id!("$old"), ReceiptThread::Unthreaded);
    f.receipt(one, event_id!("$kept"), ReceiptThread::Main);
    f.typing(one, Some(HOUR));
    let taken = f.outbox.take_fleeting(one, 100).unwrap();
    assert_eq!(taken.edus.len(), 3);
    f.receipt(one, event_id!("$new"), ReceiptThread::Unthreaded);
    f.outbox.put_back(one, taken);
    let text = serde_json::to_string(&f.taken(one)).unwrap();
    assert!(text.contains("$new") && text.contains("$kept") && !text.contains("$old") && !text.contains("typing"));
}

#[tokio::test]
async fn for_a_server_that_is_down_typing_and_presence_are_dropped_and_receipts_bounded() {
    let f = fixture();
    let one = f.server("one.example").await;
    f.typing(one, Some(HOUR));
    f.outbox.set_down(one, true);
    let mut update = PresenceUpdate::new(
        owned_user_id!("@a:school.example"),
        ruma::presence::PresenceState::Online,
        UInt::from(100_u32),
    );
    update.currently_active = true;
    f.outbox.presence([one], update.clone());
    assert_eq!(f.outbox.fleeting(one), 0);
    for n in 0..1_500 {
        let thread = ReceiptThread::Thread(EventId::parse(format!("$t{n}")).unwrap());
        f.receipt(one, event_id!("$e"), thread);
    }
    assert!((800..=1_000).contains(&f.outbox.fleeting(one)));
    f.outbox.set_down(one, false);
    f.outbox.forget(one);
    assert_eq!(f.outbox.0.waiting.lock().items, 0);
    f.outbox.presence([one], update);
    f.clock.advance(Duration::from_millis(11));
    let edus = f.taken(one);
    assert_eq!(edus[0]["content"]["push"][0]["last_active_ago"], 111, "{edus:?}");
}

#[tokio::test]
async fn typing_that_has_ended_by_itself_is_not_told() {
    let f = fixture();
    let one = f.server("one.example").await;
    f.typing(one, Some(Duration::from_secs(5)));
    f.clock.advance(Duration::from_secs(6));
    assert!(f.taken(one).is_empty());
    f.typing(one, Some(HOUR));
    f.typing(one, None);
    assert_eq!(f.taken(one)[0]["content"]["typing"], json!(false));
}
