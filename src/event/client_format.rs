//! An event as clients see it (spec v1.19, Client-Server API "Types of room events"; stripped state).
//!
//! The part that is the same for every reader is made once, as bytes to be copied; what differs (`room_id` only where
//! the reply needs it, `unsigned`) is written behind it.

use std::fmt::Write as _;

use bytes::Bytes;
use ruma::{EventId, RoomId, events::TimelineEventType};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{canonical::write_string, pdu::Pdu};

/// The reader-independent part of an event: an object without its closing brace.
#[derive(Debug, Clone)]
pub struct ClientEvent {
    /// `{"content":…,"type":…,…` without `room_id`, `unsigned` and `}`.
    pub bytes: Bytes,
}

/// The keys of the federation form that clients get.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow)]
    origin_server_ts: &'a RawValue,
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow)]
    sender: &'a RawValue,
    #[serde(borrow, default)]
    state_key: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
}

/// The content's `redacts`, to copy it to the top level.
#[derive(Deserialize, Default)]
struct ContentRedacts<'a> {
    #[serde(borrow, default)]
    redacts: Option<&'a RawValue>,
}

impl ClientEvent {
    /// From the stored federation form.
    pub fn new(event_id: &EventId, json: &str) -> Result<Self, serde_json::Error> {
        let fields: Fields<'_> = serde_json::from_str(json)?;
        let mut out = String::with_capacity(json.len());
        out.push_str("{\"content\":");
        let redacts = write_content(&fields, &mut out);
        out.push_str(",\"event_id\":");
        write_string(&mut out, event_id.as_str());
        push_raw(&mut out, "origin_server_ts", Some(fields.origin_server_ts));
        push_raw(&mut out, "redacts", redacts);
        push_raw(&mut out, "sender", Some(fields.sender));
        push_raw(&mut out, "state_key", fields.state_key);
        push_raw(&mut out, "type", Some(fields.kind));
        Ok(Self { bytes: out.into() })
    }

    /// From an event at hand.
    pub fn from_pdu(pdu: &Pdu) -> Result<Self, serde_json::Error> {
        Self::new(&pdu.event_id, &pdu.json)
    }

    /// From bytes that [`ClientEvent::bytes`] once held, for example out of a cache.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Appends the whole event; `unsigned` is a JSON object, left out when `None`.
    pub fn write(&self, out: &mut Vec<u8>, room_id: Option<&RoomId>, unsigned: Option<&[u8]>) {
        out.extend_from_slice(&self.bytes);
        if let Some(room_id) = room_id {
            let mut quoted = String::new();
            write_string(&mut quoted, room_id.as_str());
            out.extend_from_slice(b",\"room_id\":");
            out.extend_from_slice(quoted.as_bytes());
        }
        if let Some(unsigned) = unsigned {
            out.extend_from_slice(b",\"unsigned\":");
            out.extend_from_slice(unsigned);
        }
        out.push(b'}');
    }

    /// The whole event as text, for replies that hold one event.
    pub fn to_json(&self, room_id: Option<&RoomId>, unsigned: Option<&[u8]>) -> Box<RawValue> {
        let mut out = Vec::with_capacity(self.bytes.len() + 128);
        self.write(&mut out, room_id, unsigned);
        // Every piece is JSON from this module or from a checked event; an `unsigned` that is not would show up as
        // `null`.
        String::from_utf8(out).ok().and_then(|text| RawValue::from_string(text).ok()).unwrap_or_default()
    }
}

/// The stripped form for invites, knocks and room summaries: `content`, `sender`, `state_key`, `type`.
///
/// Spec v1.19, Client-Server API "Stripped state". Server-Server API v1.16 and later want the full form instead:
/// [`ClientEvent`] for clients, [`Pdu::json`] for servers.
pub fn stripped_state(pdu: &Pdu) -> Box<RawValue> {
    let mut out = String::with_capacity(pdu.content.get().len() + 128);
    out.push_str("{\"content\":");
    out.push_str(pdu.content.get());
    // The create event tells clients when the room began (MSC4311).
    if pdu.kind == TimelineEventType::RoomCreate {
        let _ = write!(out, ",\"origin_server_ts\":{}", pdu.origin_server_ts.get());
    }
    out.push_str(",\"sender\":");
    write_string(&mut out, pdu.sender.as_str());
    out.push_str(",\"state_key\":");
    write_string(&mut out, pdu.state_key.as_deref().unwrap_or_default());
    out.push_str(",\"type\":");
    write_string(&mut out, &pdu.kind.to_string());
    out.push('}');
    RawValue::from_string(out).unwrap_or_default()
}

/// Writes the content and says what stands at the top level as `redacts`.
///
/// Clients look for a redaction's target in either place, whatever the room version: it is served in both. Where an
/// event has both, they are left as they are.
fn write_content<'a>(fields: &Fields<'a>, out: &mut String) -> Option<&'a RawValue> {
    let content = fields.content.get();
    if fields.kind.get() == "\"m.room.redaction\"" && content.starts_with('{') {
        let inner: ContentRedacts<'_> = serde_json::from_str(content).unwrap_or_default();
        match (fields.redacts, inner.redacts) {
            (Some(target), None) => {
                out.push_str("{\"redacts\":");
                out.push_str(target.get());
                if let Some(rest) = content.strip_prefix('{').filter(|rest| *rest != "}") {
                    out.push(',');
                    out.push_str(rest);
                } else {
                    out.push('}');
                }
                return fields.redacts;
            }
            (None, Some(target)) => {
                out.push_str(content);
                return Some(target);
            }
            _ => {}
        }
    }
    out.push_str(content);
    fields.redacts
}

fn push_raw(out: &mut String, key: &str, value: Option<&RawValue>) {
    if let Some(value) = value {
        out.push_str(",\"");
        out.push_str(key);
        out.push_str("\":");
        out.push_str(value.get());
    }
}
