//! The state trees: every node that a state needs is there, undamaged, and in its place.

use std::collections::{HashMap, HashSet};

use super::rows::Check;
use crate::store::{
    EventNo, RoomNo, StoreError,
    schema::{
        STATE_KEY_NAMES,
        rooms::{EVENTS, HEADS, STATE_NODES, TIMELINE},
    },
    state_tree::{
        StateRoot,
        node::{Child, Entry, Node, NodeId, event_of, id_of, mix, sixteenth, slot_at},
    },
};

/// What is known already, because states share most of what they consist of.
#[derive(Default)]
pub(super) struct States {
    whole: HashSet<NodeId>,
    entries: HashSet<(RoomNo, Entry)>,
    current: HashMap<RoomNo, StateRoot>,
}

/// A node to be looked at, and where it stands.
struct Place {
    child: Child,
    /// Branches above it.
    depth: u32,
    /// The range of mixed keys below it, both ends included.
    low: u64,
    high: u64,
}

impl Check<'_> {
    /// Every node is what its id says.
    pub(super) fn nodes(&mut self) -> Result<(), StoreError> {
        self.walk(&STATE_NODES, |check, id, bytes| {
            if id_of(&bytes) != id || Node::decode(&bytes).is_none() {
                check.report.find(STATE_NODES.name, || format!("{} is damaged", hex(&id)));
            }
            Ok(())
        })
    }

    /// A state of a room can be read in full.
    pub(super) fn state(&mut self, states: &mut States, room: RoomNo, state: StateRoot) -> Result<(), StoreError> {
        if state.is_empty() || states.whole.contains(&state.0) {
            return Ok(());
        }
        let Some(node) = self.node(state.0)? else {
            states.whole.insert(state.0);
            self.report
                .find(STATE_NODES.name, || format!("a state of room {} lacks its root {}", room.0, hex(&state.0)));
            return Ok(());
        };
        let child = Child { id: state.0, count: node.count() };
        let mut below = vec![Place { child, depth: 0, low: 0, high: u64::MAX }];
        while let Some(place) = below.pop() {
            // Noted even if it is not whole: one finding for each damage is enough.
            if !states.whole.insert(place.child.id) {
                continue;
            }
            let Some(node) = self.node(place.child.id)? else {
                self.report.find(STATE_NODES.name, || {
                    format!("a state of room {} lacks the node {}", room.0, hex(&place.child.id))
                });
                continue;
            };
            if node.count() != place.child.count {
                self.report
                    .find(STATE_NODES.name, || format!("{} does not hold what its parent says", hex(&place.child.id)));
            }
            if let Node::Leaf(entries) = &node {
                self.leaf(states, room, &place, entries)?;
            }
            below.extend(node.slots().iter().map(|slot| {
                let step = (u64::MAX >> 4).checked_shr(place.depth * 4).unwrap_or(0);
                let width = step.saturating_add(1);
                let low = place.low + width.saturating_mul(slot.start.into());
                let high = low.saturating_add(step).saturating_add(width.saturating_mul(u64::from(slot.span) - 1));
                Place { child: slot.child, depth: place.depth + 1, low, high }
            }));
        }
        Ok(())
    }

    fn leaf(&mut self, states: &mut States, room: RoomNo, place: &Place, entries: &[Entry]) -> Result<(), StoreError> {
        for &(key, event) in entries {
            if !(place.low..=place.high).contains(&mix(key)) {
                self.report.find(STATE_NODES.name, || {
                    format!("{} holds the state key {key}, which belongs elsewhere", hex(&place.child.id))
                });
            }
            if !states.entries.insert((room, (key, event))) {
                continue;
            }
            if !self.has(&EVENTS, &(room, EventNo(event)))? {
                self.report.find(STATE_NODES.name, || {
                    format!("a state of room {} names the event {event}, which is missing", room.0)
                });
            }
            if !self.has(&STATE_KEY_NAMES, &key)? {
                self.report.find(STATE_NODES.name, || {
                    format!("a state of room {} has an entry for {key}, which is no state key", room.0)
                });
            }
        }
        Ok(())
    }

    /// The event of one state key, as far as it can be read.
    pub(super) fn state_event(&self, root: StateRoot, key: u64) -> Result<Option<EventNo>, StoreError> {
        let mut next = (!root.is_empty()).then_some(root.0);
        let mut depth = 0;
        while let Some(id) = next {
            next = match self.node(id)? {
                Some(Node::Leaf(entries)) => return Ok(event_of(&entries, key).map(EventNo)),
                Some(Node::Branch(slots)) => slot_at(&slots, sixteenth(mix(key), depth)).map(|child| child.id),
                None => None,
            };
            depth += 1;
        }
        Ok(None)
    }

    /// All entries of a state, as far as they can be read.
    pub(super) fn state_entries(&self, root: StateRoot) -> Result<Vec<Entry>, StoreError> {
        let mut below: Vec<NodeId> = (!root.is_empty()).then_some(root.0).into_iter().collect();
        let mut all = Vec::new();
        while let Some(id) = below.pop() {
            match self.node(id)? {
                Some(Node::Leaf(entries)) => all.extend_from_slice(&entries),
                Some(Node::Branch(slots)) => below.extend(slots.iter().map(|slot| slot.child.id)),
                None => {}
            }
        }
        Ok(all)
    }

    /// The state that a room is in: the one it was found to be in where it has several ends, or else the one after the
    /// newest event of its timeline.
    pub(super) fn current_state(&self, states: &mut States, room: RoomNo) -> Result<StateRoot, StoreError> {
        if let Some(state) = states.current.get(&room) {
            return Ok(*state);
        }
        let state = if let Some(head) = self.get(&HEADS, &room)? {
            head.state
        } else {
            let event = match self.last(&TIMELINE, &room)? {
                Some((_, newest)) => self.get(&EVENTS, &(room, newest))?,
                None => None,
            };
            event.map_or(StateRoot::EMPTY, |event| event.header.state_after)
        };
        states.current.insert(room, state);
        Ok(state)
    }

    fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(self.get(&STATE_NODES, &id)?.and_then(|bytes| Node::decode(&bytes)))
    }
}

fn hex(id: &NodeId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
