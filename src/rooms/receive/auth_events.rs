//! Check 4: do its own auth events allow it?

use std::{collections::HashMap, sync::Arc};

use ruma::{
    OwnedEventId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};

use crate::event::{
    Pdu,
    auth::{self, AuthError},
    pdu::create_event_id,
};

/// Events that auth events are looked up in.
pub(super) type Known = HashMap<OwnedEventId, Arc<Pdu>>;

/// The events a check of this one needs: its auth events, and the create event where the room id names it.
pub(super) fn needed(pdu: &Pdu, rules: &RoomVersionRules) -> Vec<OwnedEventId> {
    let mut needed = pdu.auth_events.clone();
    if rules.authorization.room_create_event_id_as_room_id
        && pdu.kind != TimelineEventType::RoomCreate
        && let Ok(create) = create_event_id(&pdu.room_id)
    {
        needed.push(create);
    }
    needed
}

/// Checks an event against the state that its auth events are. All that [`needed`] names must be in `known`, rejected
/// ones marked as such.
pub(super) fn check(pdu: &Pdu, rules: &RoomVersionRules, known: &Known) -> Result<(), AuthError> {
    let mut state: HashMap<(StateEventType, &str), &Arc<Pdu>> = HashMap::new();
    let needed = needed(pdu, rules);
    for id in &needed {
        let event = known.get(id).ok_or_else(|| AuthError(format!("the auth event {id} is not known")))?;
        if event.room_id != pdu.room_id {
            return Err(AuthError("an auth event belongs to another room".to_owned()));
        }
        if let Some(pair) = event.state_pair() {
            state.insert(pair, event);
        }
    }
    auth::check_state_independent(pdu, rules, |id| known.get(id).cloned())?;
    auth::check_state_dependent(pdu, rules, |kind, key| state.get(&(kind.clone(), key)).map(|event| Arc::clone(event)))
}
