//! The event every layer above passes around.

use std::{borrow::Cow, fmt};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::{RedactionRules, RoomVersionRules},
    state_res::Event,
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    canonical::{DEPTH_MAX, INTEGER_MAX, JsonError, Numbers, Object},
    format::{self, FormatError},
    redact,
};

/// An event of a room, with its canonical federation form.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// `$` and the reference hash; in room versions 1 and 2 `$opaque:domain`, as the event itself says.
    pub event_id: OwnedEventId,
    /// The room. The create event of a version 12 room does not carry it in its JSON: it *is* the room id.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// The event's `type`.
    pub kind: TimelineEventType,
    /// Present on state events, also when empty.
    pub state_key: Option<Box<str>>,
    /// The content as canonical JSON.
    pub content: Box<RawValue>,
    /// The sending server's clock; nothing may be decided by it.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The forward extremities the sender knew.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that allow this one.
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the deepest of `prev_events`, at most 2^53 − 1: what old rooms have beyond that counts as that.
    pub depth: u64,
    /// The top-level `redacts`. It names the target only before room version 11; ask [`Pdu::redaction_target`].
    pub redacts: Option<OwnedEventId>,
    /// Whether this server rejected it on receipt. Not part of the JSON; set by whoever knows.
    pub rejected: bool,
    /// The canonical federation form: with `hashes` and `signatures`, without `unsigned`; with an event id only in room
    /// versions 1 and 2.
    pub json: Box<str>,
    /// Whether `room_id` was derived from the event id.
    pub(super) room_id_derived: bool,
}

/// Why a text is not a PDU.
#[derive(Debug, thiserror::Error)]
pub enum PduError {
    /// Not JSON, or JSON that the room version does not allow.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is absent, of the wrong type, or too long.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An identifier or another field could not be read.
    #[error("an event's field cannot be read: {0}")]
    Field(#[from] serde_json::Error),
    /// The reference hash or room id does not make an identifier.
    #[error(transparent)]
    Id(#[from] ruma::IdParseError),
}

/// The fields of the federation form that are read from trusted text.
#[derive(Deserialize)]
struct StoredPdu<'a> {
    auth_events: Vec<Reference>,
    #[serde(borrow)]
    content: &'a RawValue,
    depth: u64,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    prev_events: Vec<Reference>,
    #[serde(default, borrow)]
    redacts: Option<&'a RawValue>,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    #[serde(default, borrow)]
    state_key: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    kind: TimelineEventType,
}

/// The name of another event: its id, or in room versions 1 and 2 a pair of its id and its hash.
struct Reference(OwnedEventId);

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;

        impl<'de> Visitor<'de> for EitherForm {
            type Value = OwnedEventId;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event id, alone or with a hash")
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<Self::Value, E> {
                OwnedEventId::try_from(id).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                let id = pair.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
                while pair.next_element::<IgnoredAny>()?.is_some() {}
                Ok(id)
            }
        }

        deserializer.deserialize_any(EitherForm).map(Self)
    }
}

impl Pdu {
    /// Reads an event this server stored: trusted, so nothing is checked or hashed again.
    pub fn from_stored(event_id: OwnedEventId, json: impl Into<Box<str>>) -> Result<Self, PduError> {
        let json = json.into();
        let stored: StoredPdu<'_> = serde_json::from_str(&json)?;
        let room_id_derived = stored.room_id.is_none();
        let room_id = match stored.room_id {
            Some(room_id) => room_id,
            None => create_room_id(&event_id)?,
        };
        Ok(Self {
            event_id,
            room_id,
            sender: stored.sender,
            kind: stored.kind,
            state_key: stored.state_key.map(Into::into),
            content: stored.content.to_owned(),
            origin_server_ts: stored.origin_server_ts,
            prev_events: stored.prev_events.into_iter().map(|reference| reference.0).collect(),
            auth_events: stored.auth_events.into_iter().map(|reference| reference.0).collect(),
            depth: stored.depth.min(INTEGER_MAX.unsigned_abs()),
            // A redaction with a malformed target is still an event: it redacts nothing.
            redacts: stored.redacts.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            rejected: false,
            room_id_derived,
            json,
        })
    }

    /// Reads an event from outside: JSON rules of the room version, format and size limits; its id is computed, or read
    /// where the room version has the event say it (versions 1 and 2).
    ///
    /// Nothing keeps two events of versions 1 and 2 from claiming one id: the first that was stored is the one.
    /// `unsigned` is dropped, as no hash or signature covers it. Signatures and the content hash are *not* checked
    /// here; see [`super::sign::SignedEvent`].
    pub fn parse(text: &[u8], rules: &RoomVersionRules) -> Result<Self, PduError> {
        let numbers = if rules.authorization.strict_canonical_json { Numbers::Strict } else { Numbers::Lenient };
        let mut object = Object::parse(text, numbers, DEPTH_MAX)?;
        object.remove("unsigned");
        let canonical = object.to_text();
        format::check(&object, &canonical, rules)?;
        let event_id = match object.get_str("event_id").filter(|_| rules.event_format.require_event_id) {
            Some(stated) => OwnedEventId::try_from(stated)?,
            None => OwnedEventId::try_from(format!("${}", redact::reference_hash(&object, rules)))?,
        };
        Self::from_stored(event_id, canonical)
    }

    /// The event's reference hash: its id from room version 3, half of a reference to it before.
    ///
    /// # Errors
    /// When the stored text is damaged.
    pub fn reference_hash(&self, rules: &RoomVersionRules) -> Result<[u8; 32], JsonError> {
        redact::reference_digest(&self.json, rules)
    }

    /// The event's type and state key, if it is a state event.
    pub fn state_pair(&self) -> Option<(StateEventType, &str)> {
        self.state_key.as_deref().map(|key| (self.kind.to_string().into(), key))
    }

    /// Whether it is the state event of this type and state key.
    pub fn is_state(&self, kind: &TimelineEventType, state_key: &str) -> bool {
        self.kind == *kind && self.state_key.as_deref() == Some(state_key)
    }

    /// What this event redacts, if it is an `m.room.redaction` with a valid target: `content.redacts` from room version
    /// 11, the top-level `redacts` before.
    pub fn redaction_target(&self, rules: &RedactionRules) -> Option<OwnedEventId> {
        redact::target(self, rules)
    }
}

/// The id of the room that this version 12 create event opens.
pub fn create_room_id(create: &EventId) -> Result<OwnedRoomId, ruma::IdParseError> {
    OwnedRoomId::try_from(format!("!{}", create.as_str().trim_start_matches('$')))
}

/// The id of the create event behind a version 12 room id.
pub fn create_event_id(room_id: &RoomId) -> Result<OwnedEventId, ruma::IdParseError> {
    OwnedEventId::try_from(format!("${}", room_id.as_str().trim_start_matches('!')))
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &Self::Id {
        &self.event_id
    }

    // The authorisation rules ask for the key in the JSON: version 12 rejects a create event that has one.
    fn room_id(&self) -> Option<&RoomId> {
        (!self.room_id_derived).then_some(&*self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Self::Id> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
