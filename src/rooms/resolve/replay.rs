//! The iterative auth checks: sorted events are tried one after another, and those that the rules allow become state.
//!
//! Source: spec v1.19, Room Version 2, "Iterative auth checks"; Room Version 12 starts without a state.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{events::TimelineEventType, room_version_rules::RoomVersionRules};

use super::{
    graph::Graph,
    load::Source,
    resolver::apart,
    unconflicted::{Pair, Unconflicted},
};
use crate::{
    event::{Pdu, auth},
    store::{Event, EventNo, RoomNo, StoreError},
};

/// Events tried in one go: so many are in memory at once, with their auth events.
const STEP: usize = 128;
/// Up to this many are not worth a thread of their own.
const FEW: usize = 4;

/// The state that comes about.
pub(super) struct Replay {
    pub source: Source,
    pub room: RoomNo,
    pub rules: Arc<RoomVersionRules>,
    /// The room's create event.
    pub create: Arc<Event>,
    /// What the states agree on; the checks see it when `from_unconflicted`, under what was found.
    pub unconflicted: Unconflicted,
    /// Whether the checks start from what the states agree on.
    pub from_unconflicted: bool,
    /// What the checks allowed.
    pub found: HashMap<Pair, EventNo>,
}

/// One event to try, with what its check may ask for.
struct Trial {
    event: Arc<Event>,
    auth: Vec<Arc<Event>>,
    types: Vec<Pair>,
}

impl Replay {
    /// Tries these events, in this order.
    pub(super) async fn run(&mut self, graph: &Graph, sorted: &[u32]) -> Result<(), StoreError> {
        for step in sorted.chunks(STEP) {
            let trials = self.trials(graph, step).await?;
            let mut state = self.state_for(&trials).await?;
            let (rules, create) = (self.rules.clone(), self.create.clone());
            let mut check = move || try_all(&rules, &create, &trials, &mut state);
            let allowed = if step.len() <= FEW { check() } else { apart(check).await? };
            self.found.extend(allowed);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The event in force for a pair, as the checks see it.
    pub(super) async fn in_force(&mut self, pair: &Pair) -> Result<Option<EventNo>, StoreError> {
        match self.found.get(pair) {
            Some(event) => Ok(Some(*event)),
            None if self.from_unconflicted => self.unconflicted.get(pair).await,
            None => Ok(None),
        }
    }

    async fn trials(&self, graph: &Graph, step: &[u32]) -> Result<Vec<Trial>, StoreError> {
        let number = |dense: &u32| graph.event(*dense);
        let with_auth = step.iter().flat_map(|dense| std::iter::once(dense).chain(graph.auth(*dense)));
        let numbers: HashSet<EventNo> = with_auth.filter_map(number).collect();
        let numbers: Vec<EventNo> = numbers.into_iter().collect();
        let events = self.source.events.require_many(self.room, &numbers).await?;
        let events: HashMap<EventNo, Arc<Event>> = events.into_iter().map(|event| (event.number, event)).collect();
        let find = |dense: &u32| events.get(&number(dense)?).cloned();
        let trial = |dense: &u32| {
            let event = find(dense).filter(|event| !event.pdu.rejected)?;
            let Pdu { kind, sender, state_key, content, .. } = &*event.pdu;
            // An event whose needs cannot be read is not allowed.
            let types = auth::auth_types(kind, sender, Some(state_key.as_deref()?), content, &self.rules).ok()?;
            let auth = graph.auth(*dense).iter().filter_map(find).filter(|auth| !auth.pdu.rejected).collect();
            Some(Trial { event, auth, types })
        };
        Ok(step.iter().filter_map(trial).collect())
    }

    /// The state before the first trial, as far as the trials need it.
    async fn state_for(&mut self, trials: &[Trial]) -> Result<HashMap<Pair, Arc<Event>>, StoreError> {
        let mut state = HashMap::new();
        for pair in trials.iter().flat_map(|trial| &trial.types) {
            if !state.contains_key(pair)
                && let Some(number) = self.in_force(pair).await?
            {
                state.insert(pair.clone(), self.source.events.require(self.room, number).await?);
            }
        }
        Ok(state)
    }
}

/// Checks each event against the state that those before it made. The answer is what was allowed, in order.
fn try_all(
    rules: &RoomVersionRules,
    create: &Arc<Event>,
    trials: &[Trial],
    state: &mut HashMap<Pair, Arc<Event>>,
) -> Vec<(Pair, EventNo)> {
    let mut allowed = Vec::new();
    for Trial { event, auth, types } in trials {
        let Some(pair) = pair_of(&event.pdu) else { continue };
        // What the state lacks is taken from the event's own auth events.
        let mut seen: HashMap<Pair, &Arc<Pdu>> =
            auth.iter().filter_map(|event| Some((pair_of(&event.pdu)?, &event.pdu))).collect();
        if rules.authorization.room_create_event_id_as_room_id && event.pdu.kind != TimelineEventType::RoomCreate {
            // The room id names it.
            seen.extend(pair_of(&create.pdu).map(|pair| (pair, &create.pdu)));
        }
        for pair in types {
            if let Some(event) = state.get(pair).filter(|event| !event.pdu.rejected) {
                seen.insert(pair.clone(), &event.pdu);
            }
        }
        let verdict = auth::check_state_dependent(&event.pdu, rules, |kind, key| {
            seen.get(&(kind.clone(), key.to_owned())).map(|pdu| Arc::clone(pdu))
        });
        if verdict.is_ok() {
            state.insert(pair.clone(), event.clone());
            allowed.push((pair, event.number));
        }
    }
    allowed
}

fn pair_of(pdu: &Pdu) -> Option<Pair> {
    pdu.state_pair().map(|(kind, key)| (kind, key.to_owned()))
}
