//! Room version 1: the first algorithm asks for nothing but the events in conflict and what the rules need for them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, events::StateEventType, room_version_rules::RoomVersionRules};

use super::{
    conflict::Conflict,
    load::Source,
    resolver::apart,
    unconflicted::{Pair, Unconflicted},
};
use crate::{
    event::{
        Pdu, auth,
        resolve::{Conflicts, resolve_conflicts_v1},
    },
    store::{Event, EventNo, RoomNo, StoreError, schema::rooms::EVENTS},
};

impl Source {
    /// The events that come to stand for the keys in conflict, by the first algorithm.
    pub(super) async fn resolve_first(
        &self,
        room: RoomNo,
        rules: &RoomVersionRules,
        conflict: &Conflict,
        unconflicted: &mut Unconflicted,
    ) -> Result<HashMap<Pair, EventNo>, StoreError> {
        let numbers: HashSet<EventNo> = conflict.sides().flatten().collect();
        let numbers: Vec<EventNo> = numbers.into_iter().collect();
        let events = self.events.require_many(room, &numbers).await?;
        let mut conflicts = Conflicts::new();
        for event in &events {
            if let Some((kind, key)) = event.pdu.state_pair() {
                conflicts.entry((kind, key.to_owned())).or_default().insert(event.pdu.event_id.clone());
            }
        }
        // What only some states have is not in conflict as long as those agree.
        let mut agreed = self.agreed(room, rules, &events, unconflicted).await?;
        let mut found = HashMap::new();
        for event in &events {
            let Some((kind, key)) = event.pdu.state_pair() else { continue };
            let pair = (kind, key.to_owned());
            if conflicts.get(&pair).is_some_and(|ids| ids.len() == 1) {
                conflicts.remove(&pair);
                found.insert(pair.clone(), event.number);
                agreed.insert(pair, event.pdu.clone());
            }
        }
        let by_id: HashMap<_, _> = events.iter().map(|event| (event.pdu.event_id.clone(), event.clone())).collect();
        let rules = rules.clone();
        let (resolved, by_id) = apart(move || {
            let state = |kind: &StateEventType, key: &str| agreed.get(&(kind.clone(), key.to_owned())).cloned();
            let event = |id: &EventId| by_id.get(id).map(|event: &Arc<Event>| event.pdu.clone());
            (resolve_conflicts_v1(&rules, &conflicts, state, event), by_id)
        })
        .await?;
        let lost = |_| StoreError::Corrupt { table: EVENTS.name, what: "an event in conflict is missing" };
        for (pair, id) in resolved.map_err(lost)? {
            if let Some(event) = by_id.get(&id) {
                found.insert(pair, event.number);
            }
        }
        Ok(found)
    }

    /// What the rules may ask for these events, as far as all states agree on it.
    async fn agreed(
        &self,
        room: RoomNo,
        rules: &RoomVersionRules,
        events: &[Arc<Event>],
        unconflicted: &mut Unconflicted,
    ) -> Result<HashMap<Pair, Arc<Pdu>>, StoreError> {
        let mut agreed = HashMap::new();
        for event in events {
            let Pdu { kind, sender, state_key, content, .. } = &*event.pdu;
            // An event whose needs cannot be read is not allowed.
            let types = auth::auth_types(kind, sender, state_key.as_deref(), content, rules).unwrap_or_default();
            for pair in types {
                if !agreed.contains_key(&pair)
                    && let Some(number) = unconflicted.get(&pair).await?
                {
                    agreed.insert(pair, self.events.require(room, number).await?.pdu.clone());
                }
            }
        }
        Ok(agreed)
    }
}
