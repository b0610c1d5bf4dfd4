//! State resolution, version 1 (spec v1.19, room version 1 "State resolution").
//!
//! It is known to bring back old state now and then, which is why version 2 exists; but all servers of a room of version
//! 1 must come to the same state.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use ruma::{
    EventId, OwnedEventId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    state_res::{Event, check_state_dependent_auth_rules},
};
use sha1::{Digest as _, Sha1};

use super::{Deep, ResolveError, StateMap};

/// The events that several states have for the same type and state key.
pub type Conflicts = BTreeMap<(StateEventType, String), BTreeSet<OwnedEventId>>;

/// What one type and state key of the state is called.
type Pair = (StateEventType, String);

/// The state that these states come to.
///
/// # Errors
/// When `event` does not know one of the events in conflict, or one that the rules need.
pub fn resolve_v1<E: Event<Id = OwnedEventId> + Clone + Deep>(
    rules: &RoomVersionRules,
    states: &[StateMap],
    event: impl Fn(&EventId) -> Option<E>,
) -> Result<StateMap, ResolveError> {
    let mut all = HashMap::<&Pair, BTreeSet<&OwnedEventId>>::new();
    for (pair, id) in states.iter().flatten() {
        all.entry(pair).or_default().insert(id);
    }
    let (mut resolved, mut conflicts) = (StateMap::new(), Conflicts::new());
    for (pair, ids) in all {
        match ids.first() {
            Some(only) if ids.len() == 1 => {
                resolved.insert(pair.clone(), (*only).clone());
            }
            _ => {
                conflicts.insert(pair.clone(), ids.into_iter().cloned().collect());
            }
        }
    }
    let agreed = |kind: &StateEventType, key: &str| event(resolved.get(&(kind.clone(), key.to_owned()))?);
    let chosen = resolve_conflicts_v1(rules, &conflicts, agreed, &event)?;
    resolved.extend(chosen);
    Ok(resolved)
}

/// The same where only what is in conflict is at hand: for each type and state key the event that comes to stand.
///
/// `agreed` gives the state event that is in no conflict.
pub fn resolve_conflicts_v1<E: Event<Id = OwnedEventId> + Clone + Deep>(
    rules: &RoomVersionRules,
    conflicts: &Conflicts,
    agreed: impl Fn(&StateEventType, &str) -> Option<E>,
    event: impl Fn(&EventId) -> Option<E>,
) -> Result<StateMap, ResolveError> {
    let mut resolution = Resolution { rules, agreed, chosen: HashMap::new() };
    for pass in [Pass::PowerLevels, Pass::JoinRules, Pass::Members, Pass::Others] {
        // The passes before this one decide what is allowed; those of the same one do not see each other.
        let mut chosen = Vec::new();
        for (pair, ids) in conflicts.iter().filter(|(pair, _)| Pass::of(pair) == pass) {
            let candidates = in_order(ids, &event)?;
            let one = if pass == Pass::Others {
                resolution.deepest_allowed(candidates)
            } else {
                resolution.last_in_a_row(pair, candidates)
            };
            chosen.extend(one.map(|one| (pair.clone(), one)));
        }
        resolution.chosen.extend(chosen);
    }
    Ok(resolution.chosen.into_iter().map(|(pair, event)| (pair, event.event_id().clone())).collect())
}

/// The order in which conflicts are resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    PowerLevels,
    JoinRules,
    Members,
    Others,
}

impl Pass {
    fn of((kind, key): &Pair) -> Self {
        match kind {
            StateEventType::RoomPowerLevels if key.is_empty() => Self::PowerLevels,
            StateEventType::RoomJoinRules => Self::JoinRules,
            StateEventType::RoomMember => Self::Members,
            _ => Self::Others,
        }
    }
}

/// The resolution so far.
struct Resolution<'a, E, A> {
    rules: &'a RoomVersionRules,
    agreed: A,
    chosen: HashMap<Pair, E>,
}

impl<E: Event<Id = OwnedEventId> + Clone, A: Fn(&StateEventType, &str) -> Option<E>> Resolution<'_, E, A> {
    /// From the shallowest on, as long as each is allowed after the one before it.
    fn last_in_a_row(&self, pair: &Pair, candidates: Vec<E>) -> Option<E> {
        let mut candidates = candidates.into_iter();
        let mut last = candidates.next()?;
        for candidate in candidates {
            if !self.allows(&candidate, Some((pair, &last))) {
                break;
            }
            last = candidate;
        }
        Some(last)
    }

    /// The deepest that is allowed. Where none is, the shallowest: something must stand, and it is what others take.
    fn deepest_allowed(&self, candidates: Vec<E>) -> Option<E> {
        let shallowest = candidates.first().cloned();
        candidates.into_iter().rev().find(|candidate| self.allows(candidate, None)).or(shallowest)
    }

    fn allows(&self, candidate: &E, instead: Option<(&Pair, &E)>) -> bool {
        let state = |kind: &StateEventType, key: &str| {
            let pair = (kind.clone(), key.to_owned());
            match instead {
                Some((replaced, event)) if *replaced == pair => Some(event.clone()),
                _ => self.chosen.get(&pair).cloned().or_else(|| (self.agreed)(kind, key)),
            }
        };
        // Nothing resets the start of a room.
        *candidate.event_type() != TimelineEventType::RoomCreate
            && check_state_dependent_auth_rules(&self.rules.authorization, candidate, state).is_ok()
    }
}

/// By ascending depth, then descending SHA-1 of the id.
fn in_order<E: Event + Deep>(
    ids: &BTreeSet<OwnedEventId>,
    event: impl Fn(&EventId) -> Option<E>,
) -> Result<Vec<E>, ResolveError> {
    let mut found = ids
        .iter()
        .map(|id| {
            let found = event(id).ok_or_else(|| ResolveError::Missing(id.clone()))?;
            let hash: [u8; 20] = Sha1::digest(id.as_bytes()).into();
            Ok(((found.depth(), Reverse(hash)), found))
        })
        .collect::<Result<Vec<_>, ResolveError>>()?;
    found.sort_by_key(|(key, _)| *key);
    Ok(found.into_iter().map(|(_, event)| event).collect())
}
