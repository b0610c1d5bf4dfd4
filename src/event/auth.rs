//! May this event stand? The authorisation rules of each room version, over ruma-state-res.
//!
//! Source: spec v1.19, Server-Server API "Authorization rules" and "Auth events selection", and each room version's
//! page. The closures are synchronous and may be asked several times for the same thing: answer them from memory.

use std::borrow::Borrow;

use ruma::{
    EventId, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
    room_version_rules::RoomVersionRules,
    state_res::{Event, auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules},
};
use serde_json::value::RawValue;

use super::{pdu::Pdu, power::PowerLevels};

/// The rule that an event breaks, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(pub String);

/// The state that must stand in an event's `auth_events`, where it exists; empty for `m.room.create`.
///
/// From room version 12 the create event is not among them: the room id names it.
///
/// # Errors
/// When a member event has no state key or no readable membership.
pub fn auth_types(
    kind: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
    rules: &RoomVersionRules,
) -> Result<Vec<(StateEventType, String)>, AuthError> {
    auth_types_for_event(kind, sender, state_key, content, &rules.authorization).map_err(AuthError)
}

/// The rules that depend only on the event and its `auth_events`. Once per event.
///
/// `event` finds events by id, rejected ones included ([`Pdu::rejected`] decides). For room version 12 it is also asked
/// for the create event behind the room id.
pub fn check_state_independent<E: Event>(
    pdu: &Pdu,
    rules: &RoomVersionRules,
    event: impl Fn(&EventId) -> Option<E>,
) -> Result<(), AuthError> {
    check_state_independent_auth_rules(&rules.authorization, pdu, event).map_err(AuthError)
}

/// The rules that depend on a state: that of the auth events, that before the event, or the room's current one.
///
/// `state` must answer `m.room.create` in every room version.
pub fn check_state_dependent<E: Event>(
    pdu: &Pdu,
    rules: &RoomVersionRules,
    state: impl Fn(&StateEventType, &str) -> Option<E>,
) -> Result<(), AuthError> {
    check_state_dependent_auth_rules(&rules.authorization, pdu, state).map_err(AuthError)
}

/// All rules at once for an event made here, whose `auth_events` were taken from the very state it is checked against.
///
/// `state` must answer `m.room.create` in every room version. The auth events are found through it as well: an id that
/// the selected state does not hold is a broken rule.
pub fn check_own<E: Event + Clone>(
    pdu: &Pdu,
    rules: &RoomVersionRules,
    state: impl Fn(&StateEventType, &str) -> Option<E>,
) -> Result<(), AuthError> {
    let mut selected: Vec<E> = auth_types(&pdu.kind, &pdu.sender, pdu.state_key.as_deref(), &pdu.content, rules)?
        .iter()
        .filter_map(|(kind, key)| state(kind, key))
        .collect();
    if pdu.kind != TimelineEventType::RoomCreate && rules.authorization.room_create_event_id_as_room_id {
        selected.extend(state(&StateEventType::RoomCreate, ""));
    }
    check_state_independent(pdu, rules, |id| {
        selected.iter().find(|event| Borrow::<EventId>::borrow(event.event_id()) == id).cloned()
    })?;
    check_state_dependent(pdu, rules, state)
}

/// The short way for messages of this server's members, from what a room's snapshot knows: no JSON is read.
///
/// Says what [`check_own`] would say when `membership` and `power` come from the state the event is made for. `None`
/// for types that have rules of their own even without a state key, in whatever room version: those go the long way. That a member of a room
/// without federation is of the right server was checked when they joined.
pub fn check_message(
    kind: &TimelineEventType,
    sender: &UserId,
    membership: Option<&MembershipState>,
    power: &PowerLevels,
) -> Option<Result<(), AuthError>> {
    match kind {
        TimelineEventType::RoomCreate
        | TimelineEventType::RoomMember
        | TimelineEventType::RoomPowerLevels
        | TimelineEventType::RoomThirdPartyInvite
        | TimelineEventType::RoomRedaction => return None,
        other if other.to_string() == "m.room.aliases" => return None,
        _ => {}
    }
    Some(if membership != Some(&MembershipState::Join) {
        Err(AuthError("sender's membership is not `join`".to_owned()))
    } else if power.user_level(sender).reaches(power.required_for_message(kind)) {
        Ok(())
    } else {
        Err(AuthError(format!("sender does not have enough power to send event of type `{kind}`")))
    })
}
