//! What may be told of a room to those who could join it.
//!
//! Specification v1.19, client-server API, "Room summary" (`GET …/room_summary/…`).

use ruma::{
    OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId,
    events::{
        StateEventType,
        room::{guest_access::GuestAccess, history_visibility::HistoryVisibility},
    },
    room::{JoinRuleSummary, RoomSummary},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Caller, Room, Rooms};
use crate::{
    event::content,
    store::{StoreError, schema::rooms::Membership},
};

/// A room in few words.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub(super) room_id: OwnedRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_alias: Option<OwnedRoomAliasId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<OwnedMxcUri>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room_type: Option<String>,
    num_joined_members: u64,
    pub(super) join_rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed_room_ids: Option<Vec<OwnedRoomId>>,
    pub(super) world_readable: bool,
    guest_can_join: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_version: Option<String>,
    /// What the caller is to the room, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<&'static str>,
    /// The links of a space, stripped, with `origin_server_ts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) children_state: Option<Vec<Box<RawValue>>>,
}

impl Summary {
    /// What another server says of a room.
    pub(super) fn of_elsewhere(room: RoomSummary) -> Self {
        let allowed_room_ids = match &room.join_rule {
            JoinRuleSummary::Restricted(rule) | JoinRuleSummary::KnockRestricted(rule) => {
                Some(rule.allowed_room_ids.clone())
            }
            _ => None,
        };
        Self {
            room_id: room.room_id,
            canonical_alias: room.canonical_alias,
            name: room.name.map(Into::into),
            topic: room.topic.map(Into::into),
            avatar_url: room.avatar_url,
            room_type: room.room_type.map(|kind| kind.to_string()),
            num_joined_members: room.num_joined_members.into(),
            join_rule: room.join_rule.kind().to_string(),
            allowed_room_ids,
            world_readable: room.world_readable,
            guest_can_join: room.guest_can_join,
            encryption: room.encryption.map(|algorithm| algorithm.to_string().into()),
            room_version: room.room_version.map(|version| version.to_string()),
            membership: None,
            children_state: None,
        }
    }
}

impl Rooms {
    /// Whether a user may know of a room: they belong to it, everyone may read it, or they could join or knock, and the
    /// policy does not hide it.
    pub async fn may_preview(&self, room: &Room, viewer: Option<Caller<'_>>) -> Result<bool, StoreError> {
        if !self.shows(room, viewer).await? {
            return Ok(false);
        }
        let view = room.view();
        if view.is_open() {
            return Ok(true);
        }
        let Some((user, _)) = viewer else { return Ok(false) };
        let record = self.membership(room.number, user).await?;
        if record.is_some_and(|r| matches!(r.membership, Membership::Join | Membership::Invite | Membership::Knock)) {
            return Ok(true);
        }
        if view.join_rules.is_restricted() {
            for allowed in &view.join_rules.allow {
                if self.by_id(allowed).await?.is_some_and(|allowed| Self::has_joined(&allowed, user)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A room in few words.
    pub async fn summary(&self, room: &Room) -> Result<Summary, StoreError> {
        let view = room.view();
        let read = |kind: StateEventType| {
            let state = view.state;
            async move { self.state_event(room.number, state, &kind, "").await }
        };
        let name = read(StateEventType::RoomName).await?;
        let topic = read(StateEventType::RoomTopic).await?;
        let avatar = read(StateEventType::RoomAvatar).await?;
        let alias = read(StateEventType::RoomCanonicalAlias).await?;
        let guests = read(StateEventType::RoomGuestAccess).await?;
        let encryption = read(StateEventType::RoomEncryption).await?;
        Ok(Summary {
            room_id: room.id.clone(),
            canonical_alias: alias.and_then(|event| content::CanonicalAlias::read(&event.pdu.content).alias),
            name: name.and_then(|event| content::name(&event.pdu.content)),
            topic: topic.and_then(|event| content::topic(&event.pdu.content)),
            avatar_url: avatar.and_then(|event| content::avatar_url(&event.pdu.content)),
            room_type: view.created.room_type.as_ref().map(ToString::to_string),
            num_joined_members: view.joined_count,
            join_rule: view.join_rules.rule.to_string(),
            allowed_room_ids: view.join_rules.is_restricted().then(|| view.join_rules.allow.clone()),
            world_readable: view.history_visibility == HistoryVisibility::WorldReadable,
            guest_can_join: guests
                .is_some_and(|event| content::guest_access(&event.pdu.content) == GuestAccess::CanJoin),
            encryption: encryption.and_then(|event| content::encryption_algorithm(&event.pdu.content)),
            room_version: Some(room.version.to_string()),
            membership: None,
            children_state: None,
        })
    }
}
