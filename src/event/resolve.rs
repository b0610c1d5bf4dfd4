//! State resolution: versions 2 and 2.1 (room versions 2 to 11, and 12) over ruma-state-res, version 1 in [`resolve_v1`].
//!
//! The plain form: auth chains are walked event by event. It is what small forks need, and the judge of any faster way.

mod v1;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId,
    events::StateEventType,
    room_version_rules::RoomVersionRules,
    state_res::{self, Event, utils::event_id_set::EventIdSet},
};

pub use self::v1::{Conflicts, resolve_conflicts_v1, resolve_v1};
use super::pdu::Pdu;

/// A room's state: which event stands for each type and state key.
pub type StateMap = HashMap<(StateEventType, String), OwnedEventId>;

/// Why states cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// An event in conflict is not known.
    #[error("failed to find event {0}")]
    Missing(OwnedEventId),
    /// An event is missing or damaged.
    #[error(transparent)]
    Resolve(#[from] state_res::Error),
}

/// An event whose depth is known: version 1 goes by it.
pub trait Deep {
    /// [`Pdu::depth`].
    fn depth(&self) -> u64;
}

impl Deep for Pdu {
    fn depth(&self) -> u64 {
        self.depth
    }
}

impl<E: Deep> Deep for Arc<E> {
    fn depth(&self) -> u64 {
        (**self).depth()
    }
}

/// The state that these states come to. `event` finds events by id; it must know all of the states and their auth
/// chains.
///
/// Takes as long as the auth chains are long: not on an async worker when the room is large.
pub fn resolve<E: Event<Id = OwnedEventId> + Clone + Deep>(
    rules: &RoomVersionRules,
    states: &[StateMap],
    event: impl Fn(&EventId) -> Option<E>,
) -> Result<StateMap, ResolveError> {
    let Some(v2_rules) = rules.state_res.v2_rules() else { return resolve_v1(rules, states, event) };
    let chains = states.iter().map(|state| auth_chain(state.values(), &event)).collect();
    let resolved = state_res::resolve(&rules.authorization, v2_rules, states, chains, &event, |conflicted| {
        Some(conflicted_subgraph(conflicted.values().flatten(), &event))
    })?;
    Ok(resolved)
}

/// These events and all that their `auth_events` lead to.
pub fn auth_chain<'a, E: Event<Id = OwnedEventId>>(
    start: impl IntoIterator<Item = &'a OwnedEventId>,
    event: impl Fn(&EventId) -> Option<E>,
) -> EventIdSet<OwnedEventId> {
    let mut chain = EventIdSet::new();
    let mut open: Vec<OwnedEventId> = start.into_iter().cloned().collect();
    while let Some(id) = open.pop() {
        if chain.insert(id.clone())
            && let Some(event) = event(&id)
        {
            open.extend(event.auth_events().cloned());
        }
    }
    chain
}

/// Every event on a path along `auth_events` from one conflicted event to another, ends included (room version 12).
fn conflicted_subgraph<'a, E: Event<Id = OwnedEventId>>(
    conflicted: impl IntoIterator<Item = &'a OwnedEventId>,
    event: impl Fn(&EventId) -> Option<E>,
) -> EventIdSet<OwnedEventId> {
    let conflicted: HashSet<OwnedEventId> = conflicted.into_iter().cloned().collect();
    // Downwards: who was reached, and through whom.
    let mut parents: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
    let mut seen: HashSet<OwnedEventId> = conflicted.clone();
    let mut open: Vec<OwnedEventId> = conflicted.iter().cloned().collect();
    while let Some(id) = open.pop() {
        let Some(found) = event(&id) else { continue };
        for auth in found.auth_events() {
            parents.entry(auth.clone()).or_default().push(id.clone());
            if seen.insert(auth.clone()) {
                open.push(auth.clone());
            }
        }
    }
    // Upwards from the conflicted events: everything met lies between two of them.
    let mut subgraph: EventIdSet<OwnedEventId> = conflicted.iter().cloned().collect();
    let mut open: Vec<OwnedEventId> = conflicted.into_iter().collect();
    while let Some(id) = open.pop() {
        for parent in parents.get(&id).into_iter().flatten() {
            if subgraph.insert(parent.clone()) {
                open.push(parent.clone());
            }
        }
    }
    subgraph
}
