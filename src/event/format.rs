//! The format and size checks of a PDU (spec v1.19: Client-Server API "Size limits", each room version's "Event
//! format").
//!
//! Failing one means the event is dropped as if it had never come, unlike a failed authorisation rule.

use ruma::{
    EventId,
    room_version_rules::{EventsReferenceFormatVersion, RoomVersionRules},
};

use super::canonical::{Object, Value};

/// The largest canonical federation form of an event, signatures included, in bytes.
pub const PDU_BYTES_MAX: usize = 65_536;
/// The largest `type`, `state_key`, `sender`, `room_id` or event id, in bytes.
pub const ID_BYTES_MAX: usize = 255;
/// The most `prev_events` an event may name.
pub const PREV_EVENTS_MAX: usize = 20;
/// The most `auth_events` an event may name.
pub const AUTH_EVENTS_MAX: usize = 10;

/// What is wrong with the form of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A required key is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A key has a value of the wrong type or outside its range.
    #[error("`{0}` has the wrong form")]
    Invalid(&'static str),
    /// Longer than the limit.
    #[error("{what} is {bytes} bytes long, more than {bytes_max}")]
    TooLarge {
        /// The key, or `event` for the whole.
        what: &'static str,
        /// The length found, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// More entries than allowed.
    #[error("`{0}` has too many entries")]
    TooMany(&'static str),
    /// From room version 12 the create event is named by the room id and must not be listed again.
    #[error("`auth_events` names the m.room.create event")]
    CreateInAuthEvents,
}

/// Checks an event's form; `text` is its canonical federation form.
pub fn check(object: &Object<'_>, text: &str, rules: &RoomVersionRules) -> Result<(), FormatError> {
    check_length("event", text.len(), PDU_BYTES_MAX)?;
    let kind = required_string(object, "type", rules)?;
    required_string(object, "sender", rules)?;
    let room_id = if kind != "m.room.create" || rules.event_format.require_room_create_room_id {
        Some(required_string(object, "room_id", rules)?)
    } else {
        None
    };
    if rules.event_format.require_event_id {
        // Its domain must sign the event, so there must be one.
        let id = <&EventId>::try_from(required_string(object, "event_id", rules)?);
        if !id.is_ok_and(|id| id.server_name().is_some()) {
            return Err(FormatError::Invalid("event_id"));
        }
    }
    if let Some(state_key) = object.get("state_key") {
        let state_key = state_key.as_str().ok_or(FormatError::Invalid("state_key"))?;
        check_length("state_key", id_length(state_key, rules), ID_BYTES_MAX)?;
    }
    if object.get("content").ok_or(FormatError::Missing("content"))?.as_object().is_none() {
        return Err(FormatError::Invalid("content"));
    }
    unsigned(object, "origin_server_ts")?;
    unsigned(object, "depth")?;
    let format = rules.events_reference_format;
    references(object, "prev_events", PREV_EVENTS_MAX, format)?;
    let auth_events = references(object, "auth_events", AUTH_EVENTS_MAX, format)?;
    if !rules.event_format.allow_room_create_in_auth_events
        && let Some(hash) = room_id.and_then(|id| id.strip_prefix('!'))
        && auth_events.iter().filter_map(Value::as_str).any(|id| id.strip_prefix('$') == Some(hash))
    {
        return Err(FormatError::CreateInAuthEvents);
    }
    Ok(())
}

/// Checks one length against its limit.
pub(super) fn check_length(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), FormatError> {
    if bytes > bytes_max { Err(FormatError::TooLarge { what, bytes, bytes_max }) } else { Ok(()) }
}

/// How long an id is. Older servers counted characters, so events of rooms before version 11 are longer in bytes.
fn id_length(id: &str, rules: &RoomVersionRules) -> usize {
    if rules.authorization.use_room_create_sender { id.len() } else { id.chars().count() }
}

fn required_string<'v>(
    object: &'v Object<'_>,
    key: &'static str,
    rules: &RoomVersionRules,
) -> Result<&'v str, FormatError> {
    let text = object.get(key).ok_or(FormatError::Missing(key))?.as_str().ok_or(FormatError::Invalid(key))?;
    check_length(key, id_length(text, rules), ID_BYTES_MAX)?;
    Ok(text)
}

fn unsigned(object: &Object<'_>, key: &'static str) -> Result<(), FormatError> {
    let number = object.get(key).ok_or(FormatError::Missing(key))?.as_integer().ok_or(FormatError::Invalid(key))?;
    if number < 0 { Err(FormatError::Invalid(key)) } else { Ok(()) }
}

fn references<'v, 'a>(
    object: &'v Object<'a>,
    key: &'static str,
    max: usize,
    format: EventsReferenceFormatVersion,
) -> Result<&'v [Value<'a>], FormatError> {
    let items = object.get(key).ok_or(FormatError::Missing(key))?.as_array().ok_or(FormatError::Invalid(key))?;
    if items.len() > max {
        return Err(FormatError::TooMany(key));
    }
    for item in items {
        let id = match (format, item) {
            // What the second half says is not looked at: the event itself is checked once it is here.
            (EventsReferenceFormatVersion::V1, Value::Array(pair)) => match pair.as_slice() {
                [Value::String(id), Value::Object(_)] => Some(id.as_ref()),
                _ => None,
            },
            (EventsReferenceFormatVersion::V1, _) => None,
            (_, item) => item.as_str(),
        };
        let id = id.filter(|id| id.starts_with('$')).ok_or(FormatError::Invalid(key))?;
        check_length("event_id", id.len(), ID_BYTES_MAX)?;
    }
    Ok(items)
}
