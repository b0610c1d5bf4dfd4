//! Spaces as trees of rooms, here and on other servers.
//!
//! Specification v1.19, client-server API, "Querying spaces" (`GET …/hierarchy`), and the server-server endpoint of the
//! same name.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, events::StateEventType};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Caller, Room, Rooms, RoomsError, remote_hierarchy::Elsewhere, summary::Summary};
use crate::{
    event::content,
    store::{Event, StoreError},
};

/// Rooms looked at for one answer.
const LOOKED_AT_MAX: usize = 2000;
/// Most rooms of one answer.
const PAGE_MAX: usize = 100;
/// Rooms of one answer when the client does not say.
const PAGE_DEFAULT: usize = 50;
/// Links of one space that other servers are told of.
const SERVED_MAX: usize = 100;
/// The type of the links of a space.
const CHILD: &str = "m.space.child";

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

/// What another server is told of a space.
#[derive(Debug, Serialize)]
pub struct ServedHierarchy {
    room: Summary,
    children: Vec<Summary>,
    inaccessible_children: Vec<OwnedRoomId>,
}

/// A link of a space that counts.
pub(super) struct Link {
    order: Option<String>,
    sent_ms: u64,
    pub(super) target: OwnedRoomId,
    /// Servers to ask about the room.
    pub(super) via: Vec<OwnedServerName>,
    /// As it stands in `children_state`.
    pub(super) stripped: Box<RawValue>,
}

/// A room on the way through a tree.
struct Step {
    id: OwnedRoomId,
    depth: u64,
    via: Vec<OwnedServerName>,
}

impl Rooms {
    /// A space and the rooms below it, depth first, and whether there are more. Rooms that this server is not in are
    /// asked for at the servers that the links name.
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
        let (mut stack, mut seen) = (vec![Step { id: space.to_owned(), depth: 0, via: Vec::new() }], HashSet::new());
        let (mut rooms, mut passed, mut looked_at) = (Vec::new(), 0, 0);
        let mut elsewhere = Elsewhere::new(self);
        while let Some(step) = stack.pop() {
            if !seen.insert(step.id.clone()) {
                continue;
            }
            looked_at += 1;
            let shown = match self.by_id(&step.id).await? {
                Some(room) if !room.view().joined.is_empty() => {
                    self.shown_here(&room, viewer, query.suggested_only).await?
                }
                _ => self.shown_elsewhere(&mut elsewhere, &step, viewer, query.suggested_only).await?,
            };
            let (mut summary, links) = match shown {
                Some(shown) => shown,
                None if step.depth == 0 => {
                    return Err(RoomsError::Forbidden("there is no such room, or you may not know of it".into()));
                }
                None => continue,
            };
            if rooms.len() == limit {
                return Ok((rooms, true));
            }
            if query.max_depth.is_none_or(|max| step.depth < max) && looked_at < LOOKED_AT_MAX {
                stack.extend(links.iter().rev().map(|link| Step {
                    id: link.target.clone(),
                    depth: step.depth + 1,
                    via: link.via.clone(),
                }));
            }
            passed += 1;
            if passed > query.skip {
                summary.children_state = Some(links.into_iter().map(|link| link.stripped).collect());
                rooms.push(summary);
            }
        }
        Ok((rooms, false))
    }

    /// A room of this server with its links, if the viewer may know of it.
    async fn shown_here(
        &self,
        room: &Arc<Room>,
        viewer: Caller<'_>,
        suggested_only: bool,
    ) -> Result<Option<(Summary, Vec<Link>)>, StoreError> {
        if !self.may_preview(room, Some(viewer)).await? {
            return Ok(None);
        }
        let mut links = self.links(room, suggested_only).await?;
        // Once there are rules, links to rooms that the viewer may not know of are left out.
        if self.policy().is_active() {
            let mut kept = Vec::with_capacity(links.len());
            for link in links {
                let shown = match self.by_id(&link.target).await? {
                    Some(room) => self.may_preview(&room, Some(viewer)).await?,
                    None => link.via.iter().any(|server| self.may_look_outside(Some(viewer), server)),
                };
                if shown {
                    kept.push(link);
                }
            }
            links = kept;
        }
        Ok(Some((self.summary(room).await?, links)))
    }

    /// The same for a room that this server is not in.
    async fn shown_elsewhere(
        &self,
        elsewhere: &mut Elsewhere<'_>,
        step: &Step,
        viewer: Caller<'_>,
        suggested_only: bool,
    ) -> Result<Option<(Summary, Vec<Link>)>, StoreError> {
        let Some((summary, children)) = elsewhere.room(&step.id, &step.via, viewer).await else { return Ok(None) };
        if !self.may_preview_elsewhere(&summary, viewer).await? {
            return Ok(None);
        }
        let links = children.into_iter().filter_map(|child| stripped_link(child, suggested_only)).collect();
        Ok(Some((summary, in_order(links))))
    }

    /// Whether a user could join a room of which another server tells, or read it.
    pub(super) async fn may_preview_elsewhere(
        &self,
        summary: &Summary,
        viewer: Caller<'_>,
    ) -> Result<bool, StoreError> {
        if summary.world_readable || matches!(&*summary.join_rule, "public" | "knock" | "knock_restricted") {
            return Ok(true);
        }
        for allowed in summary.allowed_room_ids.iter().flatten().take(SERVED_MAX) {
            if self.by_id(allowed).await?.is_some_and(|room| Self::has_joined(&room, viewer.0)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A room and the rooms that it links to, as far as another server could join or read them; `None` when that server
    /// may not know of it.
    pub async fn hierarchy_for_server(
        &self,
        space: &RoomId,
        server: &ServerName,
        suggested_only: bool,
    ) -> Result<Option<ServedHierarchy>, StoreError> {
        let Some(room) = self.by_id(space).await? else { return Ok(None) };
        if room.view().joined.is_empty() || !self.may_preview_for_server(&room, server).await? {
            return Ok(None);
        }
        let links = self.links(&room, suggested_only).await?;
        let (mut children, mut inaccessible_children) = (Vec::new(), Vec::new());
        for link in links.iter().take(SERVED_MAX) {
            // Of rooms that this server is not in, others know more.
            let child = self.by_id(&link.target).await?.filter(|child| !child.view().joined.is_empty());
            let Some(child) = child else { continue };
            if self.may_preview_for_server(&child, server).await? {
                children.push(self.summary(&child).await?);
            } else if self.shows_to_server(&child, server).await? {
                inaccessible_children.push(link.target.clone());
            }
        }
        let mut summary = self.summary(&room).await?;
        summary.children_state = Some(links.into_iter().map(|link| link.stripped).collect());
        Ok(Some(ServedHierarchy { room: summary, children, inaccessible_children }))
    }

    async fn may_preview_for_server(&self, room: &Room, server: &ServerName) -> Result<bool, StoreError> {
        if !self.shows_to_server(room, server).await? || !room.view().admits(server) {
            return Ok(false);
        }
        let view = room.view();
        if view.is_open() {
            return Ok(true);
        }
        let Some(number) = self.store().server(server).await? else { return Ok(false) };
        if view.has_server(number) {
            return Ok(true);
        }
        if view.join_rules.is_restricted() {
            for allowed in &view.join_rules.allow {
                if self.by_id(allowed).await?.is_some_and(|allowed| allowed.view().has_server(number)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The links of a space in their order; none of any other room.
    async fn links(&self, room: &Room, suggested_only: bool) -> Result<Vec<Link>, StoreError> {
        let view = room.view();
        if view.created.room_type != Some(ruma::room::RoomType::Space) {
            return Ok(Vec::new());
        }
        let kind = StateEventType::from(CHILD);
        let events = self.state_of(room.number, view.state, |other| *other == kind).await?;
        Ok(in_order(events.iter().filter_map(|event| stripped_link(stripped(event), suggested_only)).collect()))
    }
}

/// Those with an order come first; then by age, then by room.
fn in_order(mut links: Vec<Link>) -> Vec<Link> {
    links.sort_by(|a, b| {
        let key = |link: &Link| (link.order.is_none(), link.order.clone(), link.sent_ms, link.target.clone());
        key(a).cmp(&key(b))
    });
    links
}

/// Reads a link; without servers to join through it does not count.
pub(super) fn stripped_link(stripped: Box<RawValue>, suggested_only: bool) -> Option<Link> {
    #[derive(Deserialize)]
    struct Read<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
        #[serde(default)]
        origin_server_ts: u64,
        state_key: String,
    }
    let read: Read<'_> = serde_json::from_str(stripped.get()).ok()?;
    let via: Vec<serde_json::Value> = serde_json::from_str(content::field(read.content, "via")?.get()).ok()?;
    let suggested = content::field(read.content, "suggested").is_some_and(|value| value.get() == "true");
    if via.is_empty() || (suggested_only && !suggested) {
        return None;
    }
    let order: Option<String> =
        content::field(read.content, "order").and_then(|order| serde_json::from_str(order.get()).ok());
    // Other orders count as none: at most 50 printable ASCII characters.
    let order = order.filter(|order| order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    let target = RoomId::parse(read.state_key).ok()?;
    let via = via.iter().filter_map(|server| ServerName::parse(server.as_str()?).ok()).collect();
    Some(Link { order, sent_ms: read.origin_server_ts, target, via, stripped })
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

/// What was learnt on the way, by room.
pub(super) type Learnt = HashMap<OwnedRoomId, Summary>;
