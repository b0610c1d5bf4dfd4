//! What another server says about a room that this one is not in: the state that comes with an invite, or with the
//! answer to a knock (spec v1.19, Client-Server API "Stripped state", Server-Server API `PUT /invite`, `PUT
//! /send_knock`).
//!
//! Two forms are about: full events, which v1.16 of the specification asks for, and the four keys that clients see.
//! [`read`] makes clients' form of either; [`room_events`] is strict and takes full events of the right room only.

use std::{collections::HashSet, fmt::Write as _};

use ruma::{OwnedUserId, RoomId, events::StateEventType, room_version_rules::RoomVersionRules};
use serde_json::value::RawValue;

use super::{
    canonical::{CONTENT_DEPTH_MAX, Numbers, Object, Value, write_string},
    format::{ID_BYTES_MAX, PDU_BYTES_MAX},
    pdu::{Pdu, PduError},
};

/// The most entries that are looked at. Servers send about ten.
pub const ENTRIES_MAX: usize = 100;
/// The most that is kept of one invite or knock, in bytes: every `/sync` reads it until it is answered.
pub const STRIPPED_BYTES_MAX: usize = 65_536;

/// A state event as far as somebody outside the room may see it. Nothing of it is verified.
#[derive(Debug, Clone)]
pub struct Stripped {
    /// The type.
    pub kind: StateEventType,
    /// The state key.
    pub state_key: Box<str>,
    /// Who is said to have sent it.
    pub sender: OwnedUserId,
    /// The content, an object in canonical text.
    pub content: Box<RawValue>,
    /// The form for clients: `content`, `sender`, `state_key`, `type`, and `origin_server_ts` of the create event.
    pub json: Box<RawValue>,
}

/// Why the state that came with an invite cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum StrippedError {
    /// More than [`ENTRIES_MAX`].
    #[error("too many state events")]
    TooMany,
    /// An entry is no event of this room version.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// An entry is no state event.
    #[error("an event is no state event")]
    NotState,
    /// An entry is of another room.
    #[error("an event is of another room")]
    OtherRoom,
    /// The room's create event is not among them.
    #[error("the m.room.create event is missing")]
    NoCreate,
}

/// The entries that are well formed, in either form, in the order in which they came. What is damaged, too large or too
/// much is left out, and so is what names a type and state key for the second time: a `/sync` reply must hold whatever
/// another server sends.
pub fn read<'a>(entries: impl IntoIterator<Item = &'a RawValue>) -> Vec<Stripped> {
    let (mut seen, mut bytes) = (HashSet::new(), 0_usize);
    let mut kept = Vec::new();
    for entry in entries.into_iter().take(ENTRIES_MAX) {
        let Some(one) = read_one(entry) else { continue };
        let after = bytes.saturating_add(one.json.get().len());
        if after <= STRIPPED_BYTES_MAX && seen.insert((one.kind.clone(), one.state_key.clone())) {
            bytes = after;
            kept.push(one);
        }
    }
    kept
}

fn read_one(entry: &RawValue) -> Option<Stripped> {
    // An event can hold an `unsigned`, which is dropped; so twice the size of an event is looked at.
    let text = Some(entry.get()).filter(|text| text.len() <= 2 * PDU_BYTES_MAX)?;
    let object = Object::parse(text.as_bytes(), Numbers::Lenient, CONTENT_DEPTH_MAX).ok()?;
    let short = |key: &str| object.get_str(key).filter(|text| text.len() <= ID_BYTES_MAX);
    let (kind, state_key, sender) = (short("type")?, short("state_key")?, short("sender")?);
    let content = object.get("content")?.as_object()?.to_text();
    let mut json = String::with_capacity(content.len() + 128);
    json.push_str("{\"content\":");
    json.push_str(&content);
    // The create event tells clients when the room began (MSC4311).
    if let Some(made) = object.get("origin_server_ts").and_then(Value::as_integer).filter(|_| kind == "m.room.create") {
        let _ = write!(json, ",\"origin_server_ts\":{made}");
    }
    for (key, text) in [("sender", sender), ("state_key", state_key), ("type", kind)] {
        json.push_str(",\"");
        json.push_str(key);
        json.push_str("\":");
        write_string(&mut json, text);
    }
    json.push('}');
    Some(Stripped {
        kind: kind.into(),
        state_key: state_key.into(),
        sender: sender.try_into().ok()?,
        content: RawValue::from_string(content).ok()?,
        json: RawValue::from_string(json).ok().filter(|json| json.get().len() <= PDU_BYTES_MAX)?,
    })
}

/// The entries as full events: each well formed, a state event, and of this room, with the create event among them.
///
/// This is what v1.16 of the specification asks for, from room version 12 at the latest. Their signatures are for the
/// caller to check, as with any event from outside.
///
/// # Errors
/// For the first entry that is something else.
pub fn room_events<'a>(
    entries: impl IntoIterator<Item = &'a RawValue>,
    room_id: &RoomId,
    rules: &RoomVersionRules,
) -> Result<Vec<Pdu>, StrippedError> {
    let (mut events, mut created) = (Vec::new(), false);
    for entry in entries {
        if events.len() == ENTRIES_MAX {
            return Err(StrippedError::TooMany);
        }
        let pdu = Pdu::parse(entry.get().as_bytes(), rules)?;
        if pdu.room_id != *room_id {
            return Err(StrippedError::OtherRoom);
        }
        match pdu.state_pair() {
            Some((StateEventType::RoomCreate, "")) => created = true,
            Some(_) => {}
            None => return Err(StrippedError::NotState),
        }
        events.push(pdu);
    }
    if created { Ok(events) } else { Err(StrippedError::NoCreate) }
}
