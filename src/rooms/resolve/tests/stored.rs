//! A room of the tests in a store, and its meetings resolved there.

use std::{collections::HashMap, sync::Arc};

use ruma::OwnedEventId;
use tempfile::TempDir;

use super::{
    super::{Resolver, auth_record},
    room::TestRoom,
};
use crate::{
    event::{Pdu, resolve::StateMap},
    store::{
        Batch, Durability, Event, EventNo, Events, RoomNo, Store, StoreOptions, UserNo, Verdict,
        events::Header,
        schema::rooms::AUTH_EDGES,
        state_tree::{StateRoot, StateTree},
    },
};

/// How a room gets into the store.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Storing {
    /// Numbers are given in some other order in which auth events come first.
    pub(super) shuffle: u64,
    /// Every third event has no row in the table of auth events.
    pub(super) without_rows: bool,
    /// The batch with everything is not committed before the states are resolved.
    pub(super) not_durable: bool,
}

pub(super) struct StoredRoom {
    pub(super) store: Store,
    pub(super) events: Events,
    pub(super) tree: StateTree,
    pub(super) room: RoomNo,
    pub(super) numbers: HashMap<OwnedEventId, EventNo>,
    pub(super) pending: Option<Batch>,
    _folder: TempDir,
}

impl StoredRoom {
    pub(super) async fn new(test: &TestRoom, how: Storing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let store = Store::open(folder.path(), &options).unwrap();
        let (events, tree) = (Events::new(store.clone(), 1 << 20), StateTree::new(store.clone(), 1 << 20));
        let mut batch = Batch::new();
        let room = store.mint_room(&test.room_id, &mut batch).await.unwrap();
        let mut stored = Self { store, events, tree, room, numbers: HashMap::new(), pending: None, _folder: folder };
        let mut random = how.shuffle;
        let mut left: Vec<Arc<Pdu>> = test.made.clone();
        while !left.is_empty() {
            // SplitMix64's step: any spread will do.
            random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1);
            let mut at = if how.shuffle == 0 { 0 } else { usize::try_from(random >> 33).unwrap() % left.len() };
            while let Some(auth) = left[at].auth_events.iter().find(|id| !stored.numbers.contains_key(*id)) {
                at = left.iter().position(|pdu| pdu.event_id == *auth).unwrap();
            }
            let pdu = left.remove(at);
            stored.add(&pdu, how, &mut batch);
        }
        if how.not_durable {
            stored.pending = Some(batch);
        } else {
            stored.store.commit(batch).await.unwrap();
        }
        stored
    }

    fn add(&mut self, pdu: &Arc<Pdu>, how: Storing, batch: &mut Batch) {
        let number = self.store.next_event();
        self.numbers.insert(pdu.event_id.clone(), number);
        let header = Header {
            event_id: pdu.event_id.to_string(),
            sender: UserNo(1),
            state_before: StateRoot::EMPTY,
            state_after: StateRoot::EMPTY,
            verdict: if pdu.rejected { Verdict::Rejected("for the test".to_owned()) } else { Verdict::Outlier },
            redacted_by: None,
            replaces_state: None,
            transaction: None,
        };
        let event = Event::new(number, self.room, header, Pdu::clone(pdu)).unwrap();
        self.events.add_at(Event::UNPLACED, &event, batch);
        if !(how.without_rows && number.0.is_multiple_of(3)) {
            let auth = pdu.auth_events.iter().map(|id| self.numbers[id]).collect();
            batch.put(&AUTH_EDGES, &(self.room, number), &auth_record(pdu, auth));
        }
    }

    pub(super) fn resolver(&self) -> Resolver {
        Resolver::new(self.store.clone(), self.events.clone(), self.tree.clone())
    }

    /// The root of a state.
    pub(super) async fn root(&mut self, state: &StateMap) -> StateRoot {
        let mut own = Batch::new();
        let batch = self.pending.as_mut().unwrap_or(&mut own);
        let mut changes = Vec::new();
        for ((kind, key), id) in state {
            changes.push((self.store.mint_state_key(kind, key, batch).await.unwrap(), Some(self.numbers[id])));
        }
        let root = self.tree.apply(StateRoot::EMPTY, &changes, batch).await.unwrap();
        if self.pending.is_none() {
            self.store.commit(own).await.unwrap();
        }
        root
    }

    /// A state by its root.
    pub(super) async fn state(&self, root: StateRoot) -> StateMap {
        let ids: HashMap<EventNo, &OwnedEventId> = self.numbers.iter().map(|(id, number)| (*number, id)).collect();
        let mut state = StateMap::new();
        for (key, number) in self.tree.entries(root).await.unwrap() {
            state.insert(self.store.state_key_pair(key).await.unwrap(), ids[&number].clone());
        }
        state
    }

    /// What states come to, by their roots.
    pub(super) async fn resolve(&mut self, test: &TestRoom, resolver: &Resolver, roots: &[StateRoot]) -> StateMap {
        let mut own = Batch::new();
        let batch = self.pending.as_mut().unwrap_or(&mut own);
        let root = resolver.resolve(self.room, &test.rules, roots, batch).await.unwrap();
        if self.pending.is_none() {
            self.store.commit(own).await.unwrap();
        }
        self.state(root).await
    }

    /// Resolves all meetings and compares with what the plain form said.
    pub(super) async fn check(test: &TestRoom, how: Storing) {
        let mut stored = Self::new(test, how).await;
        let mut warm = stored.resolver();
        let mut thorough = stored.resolver();
        thorough.shortcuts = false;
        thorough.sorted_at_once = 0;
        for meeting in &test.meetings {
            let mut roots = Vec::new();
            for state in &meeting.states {
                roots.push(stored.root(state).await);
            }
            let cold = stored.resolver();
            for (name, resolver) in [("warm", &mut warm), ("thorough", &mut thorough), ("cold", &mut cold.clone())] {
                // The second time it is remembered, and the order of the states means nothing.
                for _ in 0..2 {
                    let found = stored.resolve(test, resolver, &roots).await;
                    same(test, name, &found, &meeting.expected);
                    roots.reverse();
                }
            }
        }
    }
}

#[track_caller]
fn same(test: &TestRoom, name: &str, found: &StateMap, expected: &StateMap) {
    let tell = |id: Option<&OwnedEventId>| id.map(|id| test.events[id].json.to_string());
    for pair in found.keys().chain(expected.keys()) {
        let (found, expected) = (tell(found.get(pair)), tell(expected.get(pair)));
        assert_eq!(found, expected, "{name}, version {}, {pair:?}", test.version);
    }
}
