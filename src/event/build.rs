//! The one way to make a new event of this server: canonical text, hashes, signature and id in one go.
//!
//! This runs for every message, so the text is put together from its pieces: the keys of a PDU are known and written in
//! canonical order, the content is already canonical, and what is signed is also what the reference hash covers. ruma's
//! `hash_and_sign_event` is the oracle of the tests. Source: spec v1.19, Appendices "Signing Events", Server-Server API
//! "Signing Events".

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId,
    events::TimelineEventType,
    room_version_rules::{EventsReferenceFormatVersion, RoomVersionRules},
};
use sha2::{Digest as _, Sha256};

use super::{
    canonical::{Content, INTEGER_MAX, JsonError, push_display, write_string},
    format::{self, AUTH_EVENTS_MAX, FormatError, ID_BYTES_MAX, PDU_BYTES_MAX, PREV_EVENTS_MAX},
    pdu::{Pdu, create_room_id},
    redact,
    sign::SigningKey,
};

/// What a new event is to say. [`PduBuilder::build`] makes it one.
#[derive(Debug, Clone)]
pub struct PduBuilder {
    /// The event's `type`.
    pub kind: TimelineEventType,
    /// Present for state events.
    pub state_key: Option<Box<str>>,
    /// The content.
    pub content: Content,
    /// What an `m.room.redaction` aims at; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
    /// A user of this server.
    pub sender: OwnedUserId,
    /// The room; `None` only for the create event of a room whose id is that event's hash (version 12).
    pub room_id: Option<OwnedRoomId>,
    /// The time of sending.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// The room's forward extremities.
    pub prev_events: Vec<OwnedEventId>,
    /// The state events chosen by [`super::auth::auth_types`].
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the deepest of `prev_events`; capped at 2^53 − 1.
    pub depth: u64,
}

/// Why an event cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The event or one of its identifiers is longer than the specification allows (`M_TOO_LARGE`).
    #[error("{what} is {bytes} bytes long, more than {bytes_max}")]
    TooLarge {
        /// The key, or `event` for the whole.
        what: &'static str,
        /// The length found, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// More `prev_events` or `auth_events` than allowed, a missing room id, or one where there must be none: a mistake
    /// of ours.
    #[error(transparent)]
    Format(FormatError),
    /// The content cannot be read.
    #[error(transparent)]
    Content(#[from] JsonError),
    /// The hash does not make an identifier.
    #[error(transparent)]
    Id(#[from] ruma::IdParseError),
}

impl From<FormatError> for BuildError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::TooLarge { what, bytes, bytes_max } => Self::TooLarge { what, bytes, bytes_max },
            other => Self::Format(other),
        }
    }
}

impl PduBuilder {
    /// Hashes, signs and names the event.
    ///
    /// For every room version but 1 and 2, whose events name others with their hashes: see
    /// [`PduBuilder::build_with`]. Their create events name none.
    pub fn build(self, rules: &RoomVersionRules, key: &SigningKey) -> Result<Pdu, BuildError> {
        self.build_with(rules, key, |_| None)
    }

    /// The same in every room version. `reference_hash` is asked in versions 1 and 2 for the hash
    /// ([`Pdu::reference_hash`]) of each event in `prev_events` and `auth_events`, in the others never.
    ///
    /// The event's id in versions 1 and 2 is made of a hash of all the rest of it and this server's name, so that no two
    /// events have one id.
    pub fn build_with(
        mut self,
        rules: &RoomVersionRules,
        key: &SigningKey,
        reference_hash: impl Fn(&EventId) -> Option<[u8; 32]>,
    ) -> Result<Pdu, BuildError> {
        let kind = self.kind.to_string();
        self.check_limits(&kind, rules)?;
        if rules.redaction.content_field_redacts
            && let Some(target) = self.redacts.take()
        {
            self.content = self.content.with_string("redacts", target.as_str())?;
        }
        let mut pieces = self.pieces(&kind, rules.events_reference_format, &reference_hash);
        let own_id =
            if rules.event_format.require_event_id { Some(pieces.name(self.content.as_str(), key)?) } else { None };

        let hash = STANDARD_NO_PAD.encode(pieces.digest(self.content.as_str()));
        let redacted = redact::redacted_content(&kind, self.content.as_str(), &rules.redaction)?;
        let signed = pieces.signed_text(&redacted, &hash);
        let signature = key.sign_base64(signed.as_bytes());
        let json = pieces.full_text(self.content.as_str(), &hash, key, &signature);
        format::check_length("event", json.len(), PDU_BYTES_MAX)?;

        let event_id = if let Some(own_id) = own_id {
            own_id
        } else {
            let reference = redact::encode_reference_hash(&Sha256::digest(signed.as_bytes()), rules);
            OwnedEventId::try_from(format!("${reference}"))?
        };
        let (room_id, room_id_derived) = match self.room_id {
            Some(room_id) => (room_id, false),
            None => (create_room_id(&event_id)?, true),
        };
        Ok(Pdu {
            event_id,
            room_id,
            sender: self.sender,
            kind: self.kind,
            state_key: self.state_key,
            content: self.content.into_raw(),
            origin_server_ts: self.origin_server_ts,
            prev_events: self.prev_events,
            auth_events: self.auth_events,
            depth: self.depth.min(INTEGER_MAX.unsigned_abs()),
            redacts: self.redacts,
            rejected: false,
            json: json.into(),
            room_id_derived,
        })
    }

    fn check_limits(&self, kind: &str, rules: &RoomVersionRules) -> Result<(), BuildError> {
        format::check_length("type", kind.len(), ID_BYTES_MAX)?;
        format::check_length("sender", self.sender.as_str().len(), ID_BYTES_MAX)?;
        format::check_length("state_key", self.state_key.as_deref().unwrap_or_default().len(), ID_BYTES_MAX)?;
        match &self.room_id {
            Some(room_id) => format::check_length("room_id", room_id.as_str().len(), ID_BYTES_MAX)?,
            None if self.kind == TimelineEventType::RoomCreate && !rules.event_format.require_room_create_room_id => {}
            None => return Err(BuildError::Format(FormatError::Missing("room_id"))),
        }
        if self.room_id.is_some()
            && self.kind == TimelineEventType::RoomCreate
            && rules.authorization.room_create_event_id_as_room_id
        {
            return Err(BuildError::Format(FormatError::Invalid("room_id")));
        }
        if self.prev_events.len() > PREV_EVENTS_MAX {
            return Err(BuildError::Format(FormatError::TooMany("prev_events")));
        }
        if self.auth_events.len() > AUTH_EVENTS_MAX {
            return Err(BuildError::Format(FormatError::TooMany("auth_events")));
        }
        Ok(())
    }

    /// Writes what stands before, between and after the parts that differ in the hashed, the signed and the full form.
    fn pieces(
        &self,
        kind: &str,
        format: EventsReferenceFormatVersion,
        hash: &impl Fn(&EventId) -> Option<[u8; 32]>,
    ) -> Pieces {
        let mut head = String::with_capacity(256);
        head.push_str("{\"auth_events\":");
        push_references(&mut head, &self.auth_events, format, hash);
        head.push_str(",\"content\":");

        let mut depth = String::from(",\"depth\":");
        push_display(&mut depth, &self.depth.min(INTEGER_MAX.unsigned_abs()));

        let mut time_and_prev = String::with_capacity(128);
        time_and_prev.push_str(",\"origin_server_ts\":");
        push_display(&mut time_and_prev, &self.origin_server_ts.get());
        time_and_prev.push_str(",\"prev_events\":");
        push_references(&mut time_and_prev, &self.prev_events, format, hash);

        let mut redacts = String::new();
        if let Some(target) = &self.redacts {
            redacts.push_str(",\"redacts\":");
            write_string(&mut redacts, target.as_str());
        }

        let mut room_and_sender = String::with_capacity(128);
        if let Some(room_id) = &self.room_id {
            room_and_sender.push_str(",\"room_id\":");
            write_string(&mut room_and_sender, room_id.as_str());
        }
        room_and_sender.push_str(",\"sender\":");
        write_string(&mut room_and_sender, self.sender.as_str());

        let mut tail = String::with_capacity(64);
        if let Some(state_key) = &self.state_key {
            tail.push_str(",\"state_key\":");
            write_string(&mut tail, state_key);
        }
        tail.push_str(",\"type\":");
        write_string(&mut tail, kind);
        tail.push('}');

        Pieces { head, depth, time_and_prev, redacts, room_and_sender, tail }
    }
}

/// The canonical text of an event, cut where its three forms differ.
struct Pieces {
    head: String,
    /// In room versions 1 and 2 with the event's id behind it.
    depth: String,
    time_and_prev: String,
    /// The top-level `redacts`, which the signed form does not have.
    redacts: String,
    room_and_sender: String,
    tail: String,
}

impl Pieces {
    /// Gives the event an id of its own (room versions 1 and 2).
    fn name(&mut self, content: &str, key: &SigningKey) -> Result<OwnedEventId, BuildError> {
        let id = format!("${}:{}", URL_SAFE_NO_PAD.encode(self.digest(content)), key.server_name());
        format::check_length("event_id", id.len(), ID_BYTES_MAX)?;
        self.depth.push_str(",\"event_id\":");
        write_string(&mut self.depth, &id);
        Ok(OwnedEventId::try_from(id)?)
    }

    /// The content hash: everything but `hashes` and `signatures`.
    fn digest(&self, content: &str) -> sha2::digest::Output<Sha256> {
        let mut hasher = Sha256::new();
        for piece in
            [&self.head, content, &self.depth, &self.time_and_prev, &self.redacts, &self.room_and_sender, &self.tail]
        {
            hasher.update(piece.as_bytes());
        }
        hasher.finalize()
    }

    /// The redacted form with `hashes`, without `signatures`: what is signed, and what the event id is the hash of.
    fn signed_text(&self, redacted_content: &str, hash: &str) -> String {
        [
            &self.head,
            redacted_content,
            &self.depth,
            ",\"hashes\":{\"sha256\":\"",
            hash,
            "\"}",
            &self.time_and_prev,
            &self.room_and_sender,
            &self.tail,
        ]
        .concat()
    }

    /// The whole event.
    fn full_text(&self, content: &str, hash: &str, key: &SigningKey, signature: &str) -> String {
        [
            &self.head,
            content,
            &self.depth,
            ",\"hashes\":{\"sha256\":\"",
            hash,
            "\"}",
            &self.time_and_prev,
            &self.redacts,
            &self.room_and_sender,
            // Server names and key ids hold no character that JSON escapes.
            ",\"signatures\":{\"",
            key.server_name().as_str(),
            "\":{\"",
            key.key_id(),
            "\":\"",
            signature,
            "\"}}",
            &self.tail,
        ]
        .concat()
    }
}

fn push_references(
    out: &mut String,
    ids: &[OwnedEventId],
    format: EventsReferenceFormatVersion,
    hash: impl Fn(&EventId) -> Option<[u8; 32]>,
) {
    out.push('[');
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if format == EventsReferenceFormatVersion::V1 {
            out.push('[');
            write_string(out, id.as_str());
            // Servers leave out hashes that they do not know, in templates of joins as well, and nobody relies on them.
            match hash(id) {
                Some(hash) => {
                    out.push_str(",{\"sha256\":\"");
                    STANDARD_NO_PAD.encode_string(hash, out);
                    out.push_str("\"}]");
                }
                None => out.push_str(",{}]"),
            }
        } else {
            write_string(out, id.as_str());
        }
    }
    out.push(']');
}
