//! The auth graph of one room in memory.
//!
//! Events are numbered densely in the order in which they are added, which is topological: auth events come before
//! those that name them. So sets of events are small bitmaps, and "in the order of the graph" is "ascending".
//! What is below an event never changes, nor does what a node of a state tree holds: everything here stays true.

use std::collections::{HashMap, HashSet};

use roaring::RoaringBitmap;

use super::facts::Facts;
use crate::store::{EventNo, schema::rooms::AuthRecord, state_tree::StateRoot};

/// Bytes of chains, covers and facts kept for one room.
const KEPT_MAX: usize = 24 << 20;

/// An event and its auth events, by dense number.
struct Node {
    event: EventNo,
    auth: Box<[u32]>,
    power_levels: bool,
}

/// The part of a room's auth graph that was needed so far.
#[derive(Default)]
pub(super) struct Graph {
    dense: HashMap<EventNo, u32>,
    nodes: Vec<Node>,
    edges: usize,
    /// Auth chains, the event included, of power levels events: the rest of a chain is near.
    chains: HashMap<u32, RoaringBitmap>,
    /// The chains of all events in a part of a state, together.
    covers: HashMap<StateRoot, RoaringBitmap>,
    facts: HashMap<u32, Facts>,
    /// About what the three above take.
    kept: usize,
}

impl Graph {
    /// The dense number of an event.
    pub(super) fn dense(&self, event: EventNo) -> Option<u32> {
        self.dense.get(&event).copied()
    }

    /// The event of a dense number.
    pub(super) fn event(&self, dense: u32) -> Option<EventNo> {
        self.node(dense).map(|node| node.event)
    }

    /// The auth events of an event.
    pub(super) fn auth(&self, dense: u32) -> &[u32] {
        self.node(dense).map(|node| &*node.auth).unwrap_or_default()
    }

    /// The power levels that an event names.
    pub(super) fn levels_of(&self, dense: u32) -> Option<u32> {
        self.auth(dense).iter().copied().find(|auth| self.node(*auth).is_some_and(|node| node.power_levels))
    }

    fn node(&self, dense: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(dense).ok()?)
    }

    /// Adds events; those they name are in `records` or here already.
    pub(super) fn add(&mut self, records: &HashMap<EventNo, AuthRecord>) {
        // The newest power levels first: the mainline gets numbers that lie together, and chains become runs.
        let mut starts: Vec<_> = records.iter().map(|(event, record)| (!record.power_levels, *event)).collect();
        starts.sort_unstable_by_key(|(other, event)| (*other, std::cmp::Reverse(*event)));
        let mut entered = HashSet::with_capacity(records.len());
        for (_, start) in starts {
            if !entered.insert(start) {
                continue;
            }
            let mut path = vec![(start, 0)];
            while let Some((event, next)) = path.last_mut() {
                let record = records.get(event);
                if let Some(auth) = record.and_then(|record| record.auth_events.get(*next)) {
                    *next += 1;
                    // An event that is entered and not yet here names itself by a detour: only damaged rows say so.
                    if records.contains_key(auth) && entered.insert(*auth) {
                        path.push((*auth, 0));
                    }
                } else {
                    let event = *event;
                    path.pop();
                    if let Some(record) = record {
                        self.insert(event, record);
                    }
                }
            }
        }
    }

    fn insert(&mut self, event: EventNo, record: &AuthRecord) {
        let Ok(dense) = u32::try_from(self.nodes.len()) else { return };
        if self.dense.contains_key(&event) {
            return;
        }
        let auth: Box<[u32]> = record.auth_events.iter().filter_map(|auth| self.dense(*auth)).collect();
        self.edges += auth.len();
        self.nodes.push(Node { event, auth, power_levels: record.power_levels });
        self.dense.insert(event, dense);
    }

    /// These events and all that their auth events lead to.
    pub(super) fn reach(&mut self, events: impl IntoIterator<Item = u32>) -> RoaringBitmap {
        let mut open: Vec<u32> = events.into_iter().collect();
        let mut reached = RoaringBitmap::new();
        while let Some(dense) = open.pop() {
            if reached.contains(dense) {
                continue;
            }
            let Some(node) = self.node(dense) else { continue };
            if node.power_levels {
                reached |= self.chain(dense);
            } else {
                open.extend_from_slice(&node.auth);
                reached.insert(dense);
            }
        }
        reached
    }

    /// The chain of a power levels event.
    fn chain(&mut self, dense: u32) -> &RoaringBitmap {
        if !self.chains.contains_key(&dense) {
            let mut chain = RoaringBitmap::new();
            let mut open = vec![dense];
            while let Some(below) = open.pop() {
                if chain.contains(below) {
                    continue;
                }
                if let Some(known) = self.chains.get(&below) {
                    chain |= known;
                } else {
                    chain.insert(below);
                    open.extend_from_slice(self.auth(below));
                }
            }
            chain.optimize();
            self.kept += weight(&chain);
            self.chains.insert(dense, chain);
        }
        self.chains.entry(dense).or_default()
    }

    /// The cover of a part of a state, if it is known.
    pub(super) fn cover(&self, part: StateRoot) -> Option<&RoaringBitmap> {
        self.covers.get(&part)
    }

    /// Remembers the cover of a part of a state.
    pub(super) fn keep_cover(&mut self, part: StateRoot, mut cover: RoaringBitmap) {
        cover.optimize();
        self.kept += weight(&cover);
        self.covers.insert(part, cover);
    }

    /// What is known of an event for sorting.
    pub(super) fn facts(&self, dense: u32) -> Option<&Facts> {
        self.facts.get(&dense)
    }

    /// The same, to be completed.
    pub(super) fn facts_mut(&mut self, dense: u32) -> Option<&mut Facts> {
        self.facts.get_mut(&dense)
    }

    /// Remembers what sorting has to know of an event.
    pub(super) fn keep_facts(&mut self, dense: u32, facts: Facts) {
        self.kept += facts.weight();
        self.facts.insert(dense, facts);
    }

    /// Forgets what can be worked out again, when it has become much. Not in the middle of a resolution.
    pub(super) fn trim(&mut self) {
        if self.kept > KEPT_MAX {
            self.chains = HashMap::new();
            self.covers = HashMap::new();
            self.facts = HashMap::new();
            self.kept = 0;
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        // A node with its place in the map, and four bytes an edge.
        self.nodes.len() * 64 + self.edges * 4 + self.kept + 1024
    }
}

/// About how many bytes a bitmap takes in memory, with its place in a map.
fn weight(bitmap: &RoaringBitmap) -> usize {
    bitmap.serialized_size() + 96
}
