//! What single steps cost that everything else is made of: making, checking and reading an event, and a change of a
//! room's state.
//!
//!     cargo bench --bench steps
//!
//! All on one thread. The power levels of the room name 50 people, and the states have 10 to 10,000 members.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

use homeroom::{
    event::{
        ClientEvent, Content, Pdu, PduBuilder, PowerLevels, SigningKey,
        auth::{auth_types, check_own},
        room_version,
    },
    store::{
        Batch, Durability, EventNo, StateKeyNo, Store, StoreOptions,
        state_tree::{StateRoot, StateTree},
    },
};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};
use serde_json::{Map, Value, json};

const ALICE: &str = "@alice:bench.example";
const BOB: &str = "@bob:bench.example";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    events();
    for members in [10, 1_000, 10_000] {
        states(members).await;
    }
}

fn report(what: &str, rounds: u32, took: Duration) {
    println!("{what:40} {:>10.2?}", took / rounds);
}

/// Does something so often, and prints how long once takes.
fn measure<T>(what: &str, rounds: u32, mut step: impl FnMut() -> T) {
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(step());
    }
    report(what, rounds, began.elapsed());
}

/// A room whose state is a map.
struct Room {
    rules: RoomVersionRules,
    key: SigningKey,
    state: HashMap<(StateEventType, String), std::sync::Arc<Pdu>>,
}

impl Room {
    fn new() -> Self {
        let mut room = Self {
            rules: room_version::supported(&RoomVersionId::V12).unwrap(),
            key: SigningKey::from_seed(&[7; 32], "a_key", "bench.example".try_into().unwrap()).unwrap(),
            state: HashMap::new(),
        };
        room.set(ALICE, "m.room.create", "", &json!({ "room_version": "12" }));
        room.set(ALICE, "m.room.member", ALICE, &json!({ "membership": "join" }));
        room.set(ALICE, "m.room.join_rules", "", &json!({ "join_rule": "public" }));
        room.set(BOB, "m.room.member", BOB, &json!({ "membership": "join" }));
        let users: Map<String, Value> = (0..50).map(|n| (format!("@teacher{n}:bench.example"), json!(50))).collect();
        room.set(ALICE, "m.room.power_levels", "", &json!({ "users": users }));
        room
    }

    fn draft(&self, sender: &str, kind: &str, key: Option<&str>, content: &Value) -> PduBuilder {
        let (kind, content) = (TimelineEventType::from(kind), Content::from_serialize(content).unwrap());
        let sender: OwnedUserId = sender.try_into().unwrap();
        let types = auth_types(&kind, &sender, key, content.raw(), &self.rules).unwrap();
        let room_id: Option<OwnedRoomId> =
            self.state.get(&(StateEventType::RoomCreate, String::new())).map(|create| create.room_id.clone());
        PduBuilder {
            kind,
            state_key: key.map(Into::into),
            content,
            redacts: None,
            sender,
            room_id,
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(1_u32)),
            prev_events: Vec::new(),
            auth_events: types.iter().filter_map(|pair| self.state.get(pair)).map(|pdu| pdu.event_id.clone()).collect(),
            depth: 1,
        }
    }

    fn set(&mut self, sender: &str, kind: &str, key: &str, content: &Value) {
        let pdu = self.draft(sender, kind, Some(key), content).build(&self.rules, &self.key).unwrap();
        let pair = pdu.state_pair().map(|(kind, key)| (kind, key.to_owned())).unwrap();
        self.state.insert(pair, std::sync::Arc::new(pdu));
    }
}

fn events() {
    const ROUNDS: u32 = 20_000;
    let room = Room::new();
    let body = json!({ "msgtype": "m.text", "body": "hello school ".repeat(8) });
    let (draft, text) = (room.draft(BOB, "m.room.message", None, &json!({})), body.to_string());
    let make = || {
        let content = Content::parse(text.as_bytes()).unwrap();
        PduBuilder { content, ..draft.clone() }.build(&room.rules, &room.key).unwrap()
    };
    measure("a message, made and signed", ROUNDS, make);
    let pdu = make();
    measure("its authorisation rules", ROUNDS, || {
        check_own(&pdu, &room.rules, |kind, key| room.state.get(&(kind.clone(), key.to_owned())).cloned()).unwrap();
    });
    measure("its form for clients", ROUNDS, || ClientEvent::from_pdu(&pdu).unwrap());
    measure("reading it as it is stored", ROUNDS, || Pdu::from_stored(pdu.event_id.clone(), &*pdu.json).unwrap());
    let of = |kind: StateEventType| &*room.state[&(kind, String::new())];
    let (create, levels) = (of(StateEventType::RoomCreate), of(StateEventType::RoomPowerLevels));
    measure("reading power levels", 2_000, || PowerLevels::read(&room.rules, create, Some(levels)));
}

async fn states(members: u64) {
    const CHANGES: u32 = 500;
    const LOOKS: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 64 << 20, durability: Durability::Os };
    let store = Store::open(folder.path(), &options).unwrap();
    let tree = StateTree::new(store.clone(), 32 << 20);
    // Ten entries of a new room, then its members; users have been met in some other order before.
    let user = |n: u64| StateKeyNo(5_000 + n.wrapping_mul(7_919) % 100_003);
    let entries: Vec<_> = (1..=10).map(StateKeyNo).chain((0..members).map(user)).collect();
    let first: Vec<_> = entries.iter().zip(1..).map(|(key, event)| (*key, Some(EventNo(event)))).collect();
    let mut batch = Batch::new();
    let mut root = tree.apply(StateRoot::EMPTY, &first, &mut batch).await.unwrap();
    store.commit(batch).await.unwrap();
    println!("a state with {members} members");

    let (mut rows, began) = (0, Instant::now());
    for n in 0..u64::from(CHANGES) {
        let mut batch = Batch::new();
        root = tree.apply(root, &[(user(n % members), Some(EventNo(1_000_000 + n)))], &mut batch).await.unwrap();
        rows += batch.row_count();
        store.commit(batch).await.unwrap();
    }
    report("  a change of it, with its commit", CHANGES, began.elapsed());
    println!("  rows of 100 changes: {}", rows * 100 / 500);
    let began = Instant::now();
    for n in 0..u64::from(LOOKS) {
        assert!(tree.get(root, user(n % members)).await.unwrap().is_some());
    }
    report("  an entry of it", LOOKS, began.elapsed());
    let began = Instant::now();
    assert_eq!(tree.entries(root).await.unwrap().len(), entries.len());
    report("  all of its entries", 1, began.elapsed());
}
