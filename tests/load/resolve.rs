//! What forks cost: state resolution in a large room, the ordinary and the hostile.
//!
//!     cargo bench --bench resolve                  10,000 members, 2,000 changes of power levels
//!     cargo bench --bench resolve -- 1000 200      another size
//!
//! Each line: time to resolve in the middle and at worst, rows that the new state writes, and what the plain form over
//! whole states takes for the last of them (with everything in memory; reading the states comes on top).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use homeroom::{
    event::{
        Content, Pdu, PduBuilder, SigningKey, auth,
        resolve::{StateMap, resolve},
        room_version,
    },
    rooms::resolve::{Resolver, auth_record},
    store::{
        Batch, Durability, Event, EventNo, Events, RoomNo, Store, StoreOptions, UserNo, Verdict,
        events::Header,
        schema::rooms::AUTH_EDGES,
        state_tree::{StateRoot, StateTree},
    },
};
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};
use serde_json::{Value, json};

const ALICE: &str = "@alice:bench.example";
/// Predecessors of an event at most.
const TIPS: usize = 20;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (members, changes) = match sizes.as_slice() {
        [members, changes] => (*members, *changes),
        _ => (10_000, 2_000),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for version in [11, 12] {
        runtime.block_on(run(version, members, changes));
    }
}

async fn run(version: u8, members: usize, changes: usize) {
    let began = Instant::now();
    let mut bench = Bench::new(version).await;
    let (base, old) = bench.fill(members, changes).await;
    println!("version {version}: {members} members, {changes} power levels, made in {:.1?}", began.elapsed());
    bench.two_changes("two changes, first of all", 1, base).await;
    let base = bench.two_changes("two changes", 200, base).await;
    let base = bench.wide("20 tips, 20 members and a topic", 50, base, members).await;
    bench.names("names of those who changed theirs", 50, base, members).await;
    bench.old_tips("20 tips on old power levels", 10, &old).await;
    bench.apart("two branches that never meet", 50, changes / 4, base).await;
    let memory = bench.store.memory_bytes() >> 20;
    println!("  engine memory {memory} MiB");
}

struct Bench {
    store: Store,
    events: Events,
    tree: StateTree,
    resolver: Resolver,
    room: RoomNo,
    rules: RoomVersionRules,
    key: SigningKey,
    room_id: OwnedRoomId,
    version: u8,
    pdus: HashMap<OwnedEventId, Arc<Pdu>>,
    ids: HashMap<EventNo, OwnedEventId>,
    numbers: HashMap<OwnedEventId, EventNo>,
    clock: u32,
    batch: Batch,
    _folder: tempfile::TempDir,
}

/// Times and rows of one kind of fork.
#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    rows: Vec<usize>,
}

impl Bench {
    async fn new(version: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 64 << 20, durability: Durability::Os };
        let store = Store::open(folder.path(), &options).unwrap();
        let (events, tree) = (Events::new(store.clone(), 32 << 20), StateTree::new(store.clone(), 16 << 20));
        let mut batch = Batch::new();
        let room_id = OwnedRoomId::try_from("!room:bench.example").unwrap();
        let room = store.mint_room(&room_id, &mut batch).await.unwrap();
        Self {
            resolver: Resolver::new(store.clone(), events.clone(), tree.clone()),
            store,
            events,
            tree,
            room,
            rules: room_version::supported(&RoomVersionId::try_from(version.to_string()).unwrap()).unwrap(),
            key: SigningKey::from_seed(&[7; 32], "a_key", "bench.example".try_into().unwrap()).unwrap(),
            room_id,
            version,
            pdus: HashMap::new(),
            ids: HashMap::new(),
            numbers: HashMap::new(),
            clock: 1000,
            batch,
            _folder: folder,
        }
    }

    /// The room, and its states after each hundredth part of the changes.
    async fn fill(&mut self, members: usize, changes: usize) -> (StateRoot, Vec<StateRoot>) {
        let mut create = json!({ "room_version": self.version.to_string() });
        if self.version < 11 {
            create["creator"] = json!(ALICE);
        }
        let mut at = self.send(StateRoot::EMPTY, ALICE, "m.room.create", "", &create).await;
        self.room_id = self.pdus.values().next().unwrap().room_id.clone();
        at = self.join(at, ALICE, "Alice").await;
        at = self.levels(at, 0).await;
        at = self.send(at, ALICE, "m.room.join_rules", "", &json!({ "join_rule": "public" })).await;
        let mut old = Vec::new();
        for number in 0..members.max(changes) {
            if number < members {
                at = self.join(at, &member(number), "first").await;
            }
            if number < changes {
                at = self.levels(at, number).await;
                if number % (changes / TIPS).max(1) == 0 {
                    old.push(at);
                }
            }
            if number % 500 == 0 {
                self.commit().await;
            }
        }
        self.commit().await;
        (at, old)
    }

    async fn commit(&mut self) {
        self.store.commit(std::mem::take(&mut self.batch)).await.unwrap();
    }

    async fn join(&mut self, at: StateRoot, who: &str, name: &str) -> StateRoot {
        let content = json!({ "membership": "join", "displayname": name });
        self.send(at, who, "m.room.member", who, &content).await
    }

    async fn levels(&mut self, at: StateRoot, number: usize) -> StateRoot {
        let mut users = json!({ member(number % 50): 50, member(0): 60 });
        if self.version < 12 {
            users[ALICE] = json!(100);
        }
        self.send(at, ALICE, "m.room.power_levels", "", &json!({ "users": users, "state_default": 50 })).await
    }

    /// The state after an event in a state.
    async fn send(&mut self, at: StateRoot, sender: &str, kind: &str, key: &str, content: &Value) -> StateRoot {
        self.clock += 1;
        let kind = TimelineEventType::from(kind);
        let sender: OwnedUserId = sender.try_into().unwrap();
        let content = Content::from_serialize(content).unwrap();
        let mut auth_events = Vec::new();
        for (kind, key) in auth::auth_types(&kind, &sender, Some(key), content.raw(), &self.rules).unwrap() {
            if let Some(pair) = self.store.state_key(&kind, &key).await.unwrap()
                && let Some(number) = self.tree.get(at, pair).await.unwrap()
            {
                auth_events.push(self.ids[&number].clone());
            }
        }
        let own_room = at.is_empty() && self.rules.authorization.room_create_event_id_as_room_id;
        let builder = PduBuilder {
            kind,
            state_key: Some(key.into()),
            content,
            redacts: None,
            sender,
            room_id: (!own_room).then(|| self.room_id.clone()),
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(self.clock)),
            prev_events: Vec::new(),
            auth_events,
            depth: 1,
        };
        let pdu = Arc::new(builder.build(&self.rules, &self.key).unwrap());
        self.keep(at, &pdu).await
    }

    async fn keep(&mut self, at: StateRoot, pdu: &Arc<Pdu>) -> StateRoot {
        let number = self.store.next_event();
        let header = Header {
            event_id: pdu.event_id.to_string(),
            sender: UserNo(1),
            state_before: at,
            state_after: at,
            verdict: Verdict::Accepted,
            redacted_by: None,
            replaces_state: None,
            transaction: None,
        };
        let event = Event::new(number, self.room, header, Pdu::clone(pdu)).unwrap();
        self.events.add_at(Event::UNPLACED, &event, &mut self.batch);
        let auth = pdu.auth_events.iter().map(|id| self.numbers[id]).collect();
        self.batch.put(&AUTH_EDGES, &(self.room, number), &auth_record(pdu, auth));
        self.numbers.insert(pdu.event_id.clone(), number);
        self.ids.insert(number, pdu.event_id.clone());
        self.pdus.insert(pdu.event_id.clone(), pdu.clone());
        let (kind, key) = pdu.state_pair().unwrap();
        let pair = self.store.mint_state_key(&kind, key, &mut self.batch).await.unwrap();
        self.tree.apply(at, &[(pair, Some(number))], &mut self.batch).await.unwrap()
    }

    async fn topic(&mut self, at: StateRoot) -> StateRoot {
        let topic = self.clock.to_string();
        self.send(at, ALICE, "m.room.topic", "", &json!({ "topic": topic })).await
    }

    async fn resolve(&mut self, roots: &[StateRoot], figures: &mut Figures) -> StateRoot {
        let mut batch = Batch::new();
        let began = Instant::now();
        let root = self.resolver.resolve(self.room, &self.rules, roots, &mut batch).await.unwrap();
        figures.times.push(began.elapsed());
        figures.rows.push(batch.row_count());
        self.store.commit(batch).await.unwrap();
        root
    }

    /// Prints the figures, with the time of the plain form, whose answer has to be the same.
    async fn report(&self, what: &str, mut figures: Figures, last: &[StateRoot], answer: StateRoot) {
        let mut states = Vec::new();
        for root in last {
            states.push(self.state(*root).await);
        }
        let began = Instant::now();
        let plain = resolve(&self.rules, &states, |id: &EventId| self.pdus.get(id).cloned()).unwrap();
        let plain_time = began.elapsed();
        assert!(plain == self.state(answer).await, "{what}: not what the plain form says");
        figures.times.sort_unstable();
        figures.rows.sort_unstable();
        let (middle, worst) = (figures.times[figures.times.len() / 2], figures.times.last().unwrap());
        let (rows, rows_worst) = (figures.rows[figures.rows.len() / 2], figures.rows.last().unwrap());
        println!(
            "  {what:36} {middle:>10.1?} worst {worst:>10.1?}  rows {rows} worst {rows_worst}  plain {plain_time:.1?}"
        );
    }

    async fn state(&self, root: StateRoot) -> StateMap {
        let mut state = StateMap::new();
        for (key, number) in self.tree.entries(root).await.unwrap() {
            let pair: (StateEventType, String) = self.store.state_key_pair(key).await.unwrap();
            state.insert(pair, self.ids[&number].clone());
        }
        state
    }

    async fn two_changes(&mut self, what: &str, rounds: usize, base: StateRoot) -> StateRoot {
        let (mut figures, mut at, mut roots) = (Figures::default(), base, Vec::new());
        for _ in 0..rounds {
            let name = json!({ "name": self.clock.to_string() });
            roots = vec![self.topic(at).await, self.send(at, ALICE, "m.room.name", "", &name).await];
            self.commit().await;
            at = self.resolve(&roots, &mut figures).await;
        }
        self.report(what, figures, &roots, at).await;
        at
    }

    async fn wide(&mut self, what: &str, rounds: usize, base: StateRoot, members: usize) -> StateRoot {
        let (mut figures, mut at, mut roots) = (Figures::default(), base, Vec::new());
        for round in 0..rounds {
            roots = Vec::new();
            for tip in 0..TIPS {
                let named = self.join(at, &member((round * TIPS + tip) % members), &round.to_string()).await;
                roots.push(self.topic(named).await);
            }
            self.commit().await;
            at = self.resolve(&roots, &mut figures).await;
        }
        self.report(what, figures, &roots, at).await;
        at
    }

    /// One side has the newer member events, the other names the older ones: what the auth chains differ in is in doubt.
    async fn names(&mut self, what: &str, rounds: usize, base: StateRoot, members: usize) {
        let (mut figures, mut at, mut roots) = (Figures::default(), base, Vec::new());
        for round in 0..rounds {
            let who = member(round % members.min(50));
            let renamed = self.join(at, &who, &format!("again {round}")).await;
            let renamed = self.join(renamed, &who, &format!("and again {round}")).await;
            roots = vec![renamed, self.topic(at).await];
            self.commit().await;
            at = self.resolve(&roots, &mut figures).await;
        }
        self.report(what, figures, &roots, at).await;
    }

    async fn old_tips(&mut self, what: &str, rounds: usize, old: &[StateRoot]) {
        let mut figures = Figures::default();
        let mut tips: Vec<StateRoot> = old.iter().copied().take(TIPS).collect();
        let mut at = StateRoot::EMPTY;
        for round in 0..rounds {
            let tip = round % tips.len();
            tips[tip] = self.topic(tips[tip]).await;
            self.commit().await;
            at = self.resolve(&tips, &mut figures).await;
        }
        self.report(what, figures, &tips, at).await;
    }

    async fn apart(&mut self, what: &str, rounds: usize, changes: usize, base: StateRoot) {
        let (mut figures, mut left, mut right, mut at) = (Figures::default(), base, base, base);
        for number in 0..changes {
            left = self.levels(left, number).await;
            right = self.levels(right, number + 1).await;
        }
        for round in 0..rounds {
            left = self.levels(left, round).await;
            self.commit().await;
            at = self.resolve(&[left, right], &mut figures).await;
        }
        self.report(what, figures, &[left, right], at).await;
    }
}

fn member(number: usize) -> String {
    format!("@member{number}:bench.example")
}
