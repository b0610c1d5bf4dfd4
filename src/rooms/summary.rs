//! What may be told of a room to those who could join it, and spaces as trees of rooms.
//!
//! Specification v1.19, client-server API, "Room summary" (`GET …/room_summary/…`) and "Querying spaces"
//! (`GET …/hierarchy`).

use std::{collections::HashSet, sync::Arc};

use ruma::{
    OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, RoomId,
    events::{
        StateEventType,
        room::{guest_access::GuestAccess, history_visibility::HistoryVisibility},
    },
    room::JoinRuleKind,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Caller, Room, Rooms, RoomsError};
use crate::{
    event::content,
    store::{Event, StoreError, schema::rooms::Membership},
};

/// Rooms looked at for one answer.
const LOOKED_AT_MAX: usize = 2000;
/// Most rooms of one answer.
const PAGE_MAX: usize = 100;
/// Rooms of one answer when the client does not say.
const PAGE_DEFAULT: usize = 50;
/// The type of the links of a space.
const CHILD: &str = "m.space.child";

/// A room in few words.
#[derive(Debug, Serialize)]
pub struct Summary {
    room_id: OwnedRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    canonical_alias: Option<OwnedRoomAliasId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<OwnedMxcUri>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_type: Option<String>,
    num_joined_members: u64,
    join_rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_room_ids: Option<Vec<OwnedRoomId>>,
    world_readable: bool,
    guest_can_join: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Box<str>>,
    room_version: String,
    /// What the caller is to the room, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<&'static str>,
    /// The links of a space, stripped, with `origin_server_ts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    children_state: Option<Vec<Box<RawValue>>>,
}

/// Which part of a space is wanted.
#[derive(Debug, Clone, Copy)]
pub struct HierarchyQuery {
    /// Rooms to skip: those of the pages before.
    pub skip: usize,
    /// Rooms at most.
    pub limit: Option<usize>,
    /// Links followed from the first room.
    pub max_depth: Option<u64>,
    /// Only links that are marked as suggested.
    pub suggested_only: bool,
}

/// A link of a space that counts.
struct Link {
    order: Option<String>,
    target: OwnedRoomId,
    event: Arc<Event>,
}

impl Rooms {
    /// Whether a user may know of a room: they belong to it, everyone may read it, or they could join or knock, and the
    /// policy does not hide it.
    pub async fn may_preview(&self, room: &Room, viewer: Option<Caller<'_>>) -> Result<bool, StoreError> {
        if !self.shows(room, viewer).await? {
            return Ok(false);
        }
        let view = room.view();
        let open =
            matches!(view.join_rules.rule, JoinRuleKind::Public | JoinRuleKind::Knock | JoinRuleKind::KnockRestricted);
        if open || view.history_visibility == HistoryVisibility::WorldReadable {
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
            room_version: room.version.to_string(),
            membership: None,
            children_state: None,
        })
    }

    /// A space and the rooms below it, depth first, and whether there are more.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] when there is no such room or the user may not know of it.
    pub async fn hierarchy(
        &self,
        space: &RoomId,
        viewer: Caller<'_>,
        query: HierarchyQuery,
    ) -> Result<(Vec<Summary>, bool), RoomsError> {
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let (mut stack, mut seen) = (vec![(space.to_owned(), 0)], HashSet::new());
        let (mut rooms, mut passed, mut looked_at) = (Vec::new(), 0, 0);
        while let Some((id, depth)) = stack.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            looked_at += 1;
            let room = match self.by_id(&id).await? {
                Some(room) if self.may_preview(&room, Some(viewer)).await? => room,
                _ if depth == 0 => {
                    return Err(RoomsError::Forbidden("there is no such room, or you may not know of it".into()));
                }
                _ => continue,
            };
            if rooms.len() == limit {
                return Ok((rooms, true));
            }
            let links = self.links(&room, viewer, query.suggested_only).await?;
            if query.max_depth.is_none_or(|max| depth < max) && looked_at < LOOKED_AT_MAX {
                stack.extend(links.iter().rev().map(|link| (link.target.clone(), depth + 1)));
            }
            passed += 1;
            if passed > query.skip {
                let mut summary = self.summary(&room).await?;
                summary.children_state = Some(links.iter().map(|link| stripped(&link.event)).collect());
                rooms.push(summary);
            }
        }
        Ok((rooms, false))
    }

    /// The links of a space in their order; none of any other room. Once there are rules, links to rooms that the viewer
    /// may not know of are left out.
    async fn links(&self, room: &Room, viewer: Caller<'_>, suggested_only: bool) -> Result<Vec<Link>, StoreError> {
        let view = room.view();
        if view.created.room_type != Some(ruma::room::RoomType::Space) {
            return Ok(Vec::new());
        }
        let kind = StateEventType::from(CHILD);
        let events = self.state_of(room.number, view.state, |other| *other == kind).await?;
        let mut links: Vec<Link> = events.into_iter().filter_map(|event| link(event, suggested_only)).collect();
        links.sort_by(|a, b| {
            // Those with an order come first; then by age, then by room.
            let key = |link: &Link| {
                (link.order.is_none(), link.order.clone(), link.event.pdu.origin_server_ts, link.target.clone())
            };
            key(a).cmp(&key(b))
        });
        if self.policy().is_active() {
            let mut shown = Vec::with_capacity(links.len());
            for link in links {
                if let Some(room) = self.by_id(&link.target).await?
                    && self.may_preview(&room, Some(viewer)).await?
                {
                    shown.push(link);
                }
            }
            return Ok(shown);
        }
        Ok(links)
    }
}

/// Reads a link; without servers to join through it does not count.
fn link(event: Arc<Event>, suggested_only: bool) -> Option<Link> {
    let content = &event.pdu.content;
    let via: Vec<serde_json::Value> = serde_json::from_str(content::field(content, "via")?.get()).ok()?;
    let suggested = content::field(content, "suggested").is_some_and(|value| value.get() == "true");
    if via.is_empty() || (suggested_only && !suggested) {
        return None;
    }
    let order: Option<String> =
        content::field(content, "order").and_then(|order| serde_json::from_str(order.get()).ok());
    // Other orders count as none: at most 50 printable ASCII characters.
    let order = order.filter(|order| order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    let target = RoomId::parse(event.pdu.state_key.as_deref()?).ok()?;
    Some(Link { order, target, event })
}

/// A link as it stands in `children_state`.
fn stripped(event: &Event) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Stripped<'a> {
        content: &'a RawValue,
        origin_server_ts: u64,
        sender: &'a str,
        state_key: &'a str,
        r#type: &'static str,
    }
    let stripped = Stripped {
        content: &event.pdu.content,
        origin_server_ts: event.pdu.origin_server_ts.get().into(),
        sender: event.pdu.sender.as_str(),
        state_key: event.pdu.state_key.as_deref().unwrap_or_default(),
        r#type: CHILD,
    };
    serde_json::value::to_raw_value(&stripped).unwrap_or_default()
}
