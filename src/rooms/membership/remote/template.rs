//! What another server says of where an event of ours would stand, and the event that is made of it.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{
    EventId, OwnedEventId, OwnedUserId, RoomId, RoomVersionId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
    room_version_rules::RoomVersionRules,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    event::{
        Pdu, PduBuilder,
        content::Member,
        format::{AUTH_EVENTS_MAX, PREV_EVENTS_MAX},
        room_version,
    },
    rooms::{Rooms, RoomsError, membership::MemberContent},
};

/// Where an event of ours would stand. Nothing else of what the other server sent is used.
#[derive(Debug)]
pub(super) struct Template {
    /// The room's version, which this server knows.
    pub(super) version: RoomVersionId,
    /// Its rules.
    pub(super) rules: RoomVersionRules,
    /// Who vouches for a restricted join.
    pub(super) authorised_via: Option<OwnedUserId>,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    depth: u64,
    /// In room versions 1 and 2, which name events with their hashes.
    hashes: HashMap<OwnedEventId, [u8; 32]>,
}

/// An event named by another.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(OwnedEventId),
    Hashed(OwnedEventId, Hashes),
}

#[derive(Deserialize)]
struct Hashes {
    // Synapse leaves it out of events whose hash it does not know.
    #[serde(default)]
    sha256: String,
}

#[derive(Deserialize)]
struct Fields {
    prev_events: Vec<Reference>,
    auth_events: Vec<Reference>,
    depth: u64,
    #[serde(default)]
    content: Option<Box<RawValue>>,
}

impl Template {
    /// Reads an answer. `version` is what the other server says of the room; 1 where it says nothing.
    pub(super) fn read(event: &RawValue, version: Option<RoomVersionId>) -> Result<Self, RoomsError> {
        let version = version.unwrap_or(RoomVersionId::V1);
        let rules = room_version::supported(&version).ok_or(RoomsError::UnsupportedVersion(version.clone()))?;
        let senseless = |what: &str| RoomsError::Unreachable(format!("its answer makes no sense: {what}"));
        let fields: Fields = serde_json::from_str(event.get()).map_err(|_| senseless("no template of an event"))?;
        if fields.prev_events.is_empty()
            || fields.prev_events.len() > PREV_EVENTS_MAX
            || fields.auth_events.len() > AUTH_EVENTS_MAX
        {
            return Err(senseless("too many events before it, or none"));
        }
        let mut hashes = HashMap::new();
        let mut ids = |references: Vec<Reference>| -> Vec<OwnedEventId> {
            let mut ids: Vec<OwnedEventId> = Vec::with_capacity(references.len());
            for reference in references {
                let id = match reference {
                    Reference::Id(id) => id,
                    Reference::Hashed(id, Hashes { sha256 }) => {
                        let hash = STANDARD_NO_PAD.decode(sha256.trim_end_matches('=')).ok();
                        if let Some(hash) = hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok()) {
                            hashes.insert(id.clone(), hash);
                        }
                        id
                    }
                };
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            ids
        };
        let (prev_events, auth_events) = (ids(fields.prev_events), ids(fields.auth_events));
        let authorised_via = if rules.authorization.restricted_join_rule {
            fields.content.and_then(|content| Member::read(&content).join_authorised_via_users_server)
        } else {
            None
        };
        Ok(Self { version, rules, authorised_via, prev_events, auth_events, depth: fields.depth, hashes })
    }
}

impl Rooms {
    /// A member event of a user of this server about themselves, at the place that a template names.
    pub(super) fn build_member(
        &self,
        user: &UserId,
        room_id: &RoomId,
        content: MemberContent,
        template: &Template,
    ) -> Result<Pdu, RoomsError> {
        let builder = PduBuilder {
            kind: TimelineEventType::RoomMember,
            state_key: Some(user.as_str().into()),
            content: content.build()?,
            redacts: None,
            sender: user.to_owned(),
            room_id: Some(room_id.to_owned()),
            origin_server_ts: self.parts.clock.now(),
            prev_events: template.prev_events.clone(),
            auth_events: template.auth_events.clone(),
            depth: template.depth,
        };
        let hash = |id: &EventId| template.hashes.get(id).copied();
        Ok(builder.build_with(&template.rules, &self.parts.key, hash)?)
    }

    /// A leave that no other server knows of, for a user who wants to be rid of an invitation whose server is gone.
    pub(super) fn build_lone_leave(
        &self,
        user: &UserId,
        room_id: &RoomId,
        version: &RoomVersionId,
        after: &Pdu,
        reason: Option<String>,
    ) -> Result<Pdu, RoomsError> {
        let rules = room_version::supported(version).ok_or(RoomsError::UnsupportedVersion(version.clone()))?;
        let mut hashes = HashMap::new();
        if rules.event_format.require_event_id {
            hashes.insert(after.event_id.clone(), after.reference_hash(&rules)?);
        }
        let template = Template {
            version: version.clone(),
            rules,
            authorised_via: None,
            prev_events: vec![after.event_id.clone()],
            auth_events: vec![after.event_id.clone()],
            depth: after.depth.saturating_add(1),
            hashes,
        };
        let content = MemberContent::new(MembershipState::Leave).with_reason(reason);
        self.build_member(user, room_id, content, &template)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    fn read(event: &serde_json::Value, version: RoomVersionId) -> Result<Template, RoomsError> {
        Template::read(&to_raw_value(event).unwrap(), Some(version))
    }

    #[test]
    fn only_the_place_is_taken_from_a_template() {
        let event = json!({
            "type": "m.room.power_levels", "sender": "@evil:b.example", "state_key": "", "room_id": "!other:b.example",
            "content": { "membership": "ban", "join_authorised_via_users_server": "@v:b.example", "users": {} },
            "prev_events": ["$a", "$a", "$b"], "auth_events": ["$c"], "depth": 7, "origin_server_ts": 1,
        });
        let template = read(&event, RoomVersionId::V11).unwrap();
        assert_eq!(template.prev_events.len(), 2);
        assert_eq!((template.depth, template.auth_events.len()), (7, 1));
        assert_eq!(template.authorised_via.unwrap(), "@v:b.example");
        assert!(
            read(&event, RoomVersionId::V6).unwrap().authorised_via.is_none(),
            "a version without restricted joins"
        );
    }

    #[test]
    fn old_rooms_name_events_with_their_hashes() {
        let hash = STANDARD_NO_PAD.encode([7; 32]);
        let event = json!({
            "prev_events": [["$a:b.example", { "sha256": hash }]], "auth_events": [], "depth": 2, "content": {},
        });
        let template = read(&event, RoomVersionId::V1).unwrap();
        assert_eq!(template.hashes[&template.prev_events[0]], [7; 32]);
    }

    #[test]
    fn damaged_templates_are_refused() {
        let many: Vec<_> = (0..21).map(|n| format!("${n}")).collect();
        for event in [
            json!({}),
            json!({ "prev_events": [], "auth_events": [], "depth": 1 }),
            json!({ "prev_events": many, "auth_events": [], "depth": 1 }),
            json!({ "prev_events": ["$a"], "auth_events": ["a"], "depth": 1 }),
            json!({ "prev_events": ["$a"], "auth_events": [], "depth": -1 }),
        ] {
            assert!(read(&event, RoomVersionId::V11).is_err(), "{event}");
        }
        let unknown = RoomVersionId::try_from("org.example.v99").unwrap();
        assert!(read(&json!({ "prev_events": ["$a"], "auth_events": [], "depth": 1 }), unknown).is_err());
    }
}
