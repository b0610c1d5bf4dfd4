//! Tests of the whole folder, with a room small enough to be held in a map.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod acl;
mod auth;
mod build;
mod canonical;
mod format;
mod malformed;
mod old_versions;
mod readers;
mod redact;
mod resolve;
mod resolve_v1;
mod stripped;
mod third_party;
mod vectors;
mod verify;

use std::{collections::HashMap, sync::Arc};

use ed25519_dalek::VerifyingKey;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    signatures::PublicKeyMap,
};
use serde_json::{Value, json};

use super::{
    auth::{AuthError, auth_types, check_own},
    build::PduBuilder,
    canonical::Content,
    pdu::Pdu,
    resolve::StateMap,
    room_version,
    sign::{SignedEvent, SigningKey},
};

pub(super) const ALICE: &str = "@alice:domain";
pub(super) const BOB: &str = "@bob:domain";
pub(super) const CAROL: &str = "@carol:domain";

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32], "a_key", "domain".try_into().unwrap()).unwrap()
}

/// The hash of every event that a draft names.
#[expect(clippy::unnecessary_wraps, reason = "the builder asks for what may be missing")]
pub(super) fn known(_: &EventId) -> Option<[u8; 32]> {
    Some([9; 32])
}

pub(super) fn rules(version: u8) -> RoomVersionRules {
    room_version::supported(&RoomVersionId::try_from(version.to_string()).unwrap()).unwrap()
}

pub(super) fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

pub(super) fn content(value: &Value) -> Content {
    Content::from_serialize(value).unwrap()
}

/// A builder with every field filled in.
pub(super) fn builder(kind: &str, state_key: Option<&str>, value: &Value) -> PduBuilder {
    PduBuilder {
        kind: kind.into(),
        state_key: state_key.map(Into::into),
        content: content(value),
        redacts: None,
        sender: user(ALICE),
        room_id: Some("!room:domain".try_into().unwrap()),
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::new(1_700_000_000_000).unwrap()),
        prev_events: vec!["$prev".try_into().unwrap()],
        auth_events: vec!["$one".try_into().unwrap(), "$two".try_into().unwrap()],
        depth: 12,
    }
}

/// Whether every server that must sign has signed with one of the keys; if so, whether the hash holds.
pub(super) fn verified(pdu: &Pdu, keys: &PublicKeyMap, rules: &RoomVersionRules) -> Option<bool> {
    let event = SignedEvent::read(&pdu.json, rules).ok()?;
    let signed = event.required.iter().all(|signer| {
        signer.signatures.iter().any(|(key_id, signature)| {
            let key = keys.get(signer.server.as_str()).and_then(|keys| keys.get(&**key_id));
            let key = key.and_then(|key| VerifyingKey::from_bytes(key.as_bytes().try_into().ok()?).ok());
            key.is_some_and(|key| key.verify_strict(event.text.as_bytes(), signature).is_ok())
        })
    });
    signed.then_some(event.hash_holds)
}

/// A room as a map, whose events are built, authorised and applied one after another.
#[derive(Clone)]
pub(super) struct TestRoom {
    pub(super) rules: RoomVersionRules,
    pub(super) state: HashMap<(StateEventType, String), Arc<Pdu>>,
    pub(super) events: HashMap<OwnedEventId, Arc<Pdu>>,
    pub(super) last: Vec<OwnedEventId>,
    pub(super) depth: u64,
    clock: u32,
}

impl TestRoom {
    /// A public room of Alice's in which she has joined; without power levels.
    pub(super) fn new(version: u8) -> Self {
        Self::with_create(version, json!({}))
    }

    pub(super) fn with_create(version: u8, mut create: Value) -> Self {
        let rules = rules(version);
        create["room_version"] = json!(version.to_string());
        if version < 11 {
            create["creator"] = json!(ALICE);
        }
        let mut room =
            Self { rules, state: HashMap::new(), events: HashMap::new(), last: Vec::new(), depth: 0, clock: 1 };
        room.send(ALICE, "m.room.create", Some(""), &create).unwrap();
        room.send(ALICE, "m.room.member", Some(ALICE), &json!({ "membership": "join" })).unwrap();
        room.send(ALICE, "m.room.join_rules", Some(""), &json!({ "join_rule": "public" })).unwrap();
        room
    }

    pub(super) fn draft(&self, sender: &str, kind: &str, state_key: Option<&str>, value: &Value) -> PduBuilder {
        let content = content(value);
        let kind = TimelineEventType::from(kind);
        let types = auth_types(&kind, &user(sender), state_key, content.raw(), &self.rules).unwrap();
        let auth_events =
            types.iter().filter_map(|pair| self.state.get(pair)).map(|pdu| pdu.event_id.clone()).collect();
        let create = self.state.get(&(StateEventType::RoomCreate, String::new()));
        let room_id = match create {
            Some(create) => Some(create.room_id.clone()),
            None if self.rules.authorization.room_create_event_id_as_room_id => None,
            None => Some("!room:domain".try_into().unwrap()),
        };
        PduBuilder {
            kind,
            state_key: state_key.map(Into::into),
            content,
            redacts: None,
            sender: user(sender),
            room_id,
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(self.clock)),
            prev_events: self.last.clone(),
            auth_events,
            depth: self.depth + 1,
        }
    }

    /// Builds, authorises against the current state and applies.
    pub(super) fn send(
        &mut self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        value: &Value,
    ) -> Result<Arc<Pdu>, AuthError> {
        self.clock += 1;
        let draft = self.draft(sender, kind, state_key, value);
        let hash = |id: &EventId| self.events.get(id).map(|pdu| pdu.reference_hash(&self.rules).unwrap());
        let pdu = Arc::new(draft.build_with(&self.rules, &key(), hash).unwrap());
        check_own(&pdu, &self.rules, |kind, state_key| self.state.get(&(kind.clone(), state_key.to_owned())).cloned())?;
        if let Some((kind, state_key)) = pdu.state_pair() {
            self.state.insert((kind, state_key.to_owned()), pdu.clone());
        }
        self.events.insert(pdu.event_id.clone(), pdu.clone());
        self.last = vec![pdu.event_id.clone()];
        self.depth = pdu.depth;
        Ok(pdu)
    }

    pub(super) fn join(&mut self, who: &str) {
        self.send(who, "m.room.member", Some(who), &json!({ "membership": "join" })).unwrap();
    }

    pub(super) fn state_map(&self) -> StateMap {
        self.state.iter().map(|(pair, pdu)| (pair.clone(), pdu.event_id.clone())).collect()
    }
}
