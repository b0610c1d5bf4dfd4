//! The published room directory. Spec v1.19, Client-Server API "Published room directory".

use std::{cmp::Reverse, sync::Arc};

use ruma::{
    RoomId, UInt,
    directory::{PublicRoomsChunk, PublicRoomsChunkInit, RoomTypeFilter},
    events::{
        StateEventType,
        room::{guest_access::GuestAccess, history_visibility::HistoryVisibility},
    },
};
use serde_json::value::RawValue;

use super::{Actor, Caller, Room, Rooms, RoomsError, aliases};
use crate::{
    event::content,
    store::{Batch, Order, StoreError, schema::rooms::PUBLISHED},
};

/// Rooms in one answer.
const PAGE_MAX: usize = 500;
/// Rooms in one answer when the client names no number.
const PAGE_DEFAULT: usize = 100;
/// Published rooms that are looked at.
const PUBLISHED_MAX: usize = 100_000;

/// What a client asks of the directory.
#[derive(Debug, Clone, Default)]
pub struct DirectoryQuery {
    /// Most rooms in the answer.
    pub limit: Option<usize>,
    /// `next_batch` or `prev_batch` of an earlier answer.
    pub since: Option<String>,
    /// Text that name, topic or alias must contain, whatever its case.
    pub term: Option<String>,
    /// Room types, one of which the room must have; any when empty.
    pub room_types: Vec<RoomTypeFilter>,
}

/// A page of the directory.
#[derive(Debug, Clone, Default)]
pub struct DirectoryPage {
    /// The rooms, those with the most members first.
    pub chunk: Vec<PublicRoomsChunk>,
    /// Where the next page begins, if there is one.
    pub next_batch: Option<String>,
    /// Where the page before begins, if there is one.
    pub prev_batch: Option<String>,
    /// Published rooms, whether or not they match.
    pub total: usize,
}

impl Rooms {
    /// A page of the published rooms, as far as the viewer may know of them.
    ///
    /// # Errors
    /// [`RoomsError::Invalid`] for a `since` that is none of ours.
    pub async fn public_rooms(
        &self,
        viewer: Option<Caller<'_>>,
        query: &DirectoryQuery,
    ) -> Result<DirectoryPage, RoomsError> {
        let begin = match &query.since {
            Some(since) => read_token(since).ok_or_else(|| RoomsError::Invalid("`since` is not known".into()))?,
            None => 0,
        };
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let term = query.term.as_deref().map(str::to_lowercase).filter(|term| !term.is_empty());
        let rooms = self.published_rooms(viewer).await?;
        let mut page = DirectoryPage { total: rooms.len(), ..DirectoryPage::default() };
        for (at, room) in rooms.iter().enumerate().skip(begin) {
            if page.chunk.len() == limit {
                page.next_batch = Some(token(at));
                break;
            }
            if !has_type(room, &query.room_types) {
                continue;
            }
            let entry = self.directory_entry(room).await?;
            if term.as_deref().is_none_or(|term| contains(&entry, term)) {
                page.chunk.push(entry);
            }
        }
        // Where a filter skips rooms, nobody knows where the page before began.
        if begin > 0 && term.is_none() && query.room_types.is_empty() {
            page.prev_batch = Some(token(begin.saturating_sub(limit)));
        }
        Ok(page)
    }

    /// Whether a room is in the directory; `None` when there is no such room, or the viewer may not know of it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_published(&self, viewer: Option<Caller<'_>>, room_id: &RoomId) -> Result<Option<bool>, StoreError> {
        let Some(room) = self.by_id(room_id).await? else { return Ok(None) };
        if !self.shows(&room, viewer).await? {
            return Ok(None);
        }
        Ok(Some(self.parts.store.get(&PUBLISHED, &room.number).await?.is_some()))
    }

    /// Puts a room into the directory, or takes it out: who may set its main alias, and administrators can.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`].
    pub async fn publish(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        published: bool,
        admin: bool,
    ) -> Result<(), RoomsError> {
        let room = self.by_id(room_id).await?.ok_or(RoomsError::NoRoom)?;
        if !admin && !self.knows_room(&room, actor).await? {
            return Err(RoomsError::NoRoom);
        }
        let writer = self.writer(&room).await;
        if !admin && !aliases::may_name(&writer, actor) {
            return Err(RoomsError::Forbidden("you may not change whether this room is listed".into()));
        }
        drop(writer);
        if published && !admin {
            self.check_publication(actor.user_id, &room)?;
        }
        let mut batch = Batch::new();
        if published {
            batch.put(&PUBLISHED, &room.number, &());
        } else {
            batch.delete(&PUBLISHED, &room.number);
        }
        self.parts.store.commit(batch).await?;
        Ok(())
    }

    /// All published rooms that the viewer may see, those with the most members first; equal ones in the order of their
    /// making.
    ///
    /// # Errors
    /// The store failed.
    pub async fn published_rooms(&self, viewer: Option<Caller<'_>>) -> Result<Vec<Arc<Room>>, StoreError> {
        let rows = self.parts.store.prefix(&PUBLISHED, &(), Order::Ascending, PUBLISHED_MAX).await?;
        let mut rooms = Vec::with_capacity(rows.len());
        for (number, ()) in rows {
            if let Some(room) = self.get(number).await?
                && self.shows(&room, viewer).await?
            {
                rooms.push((room.view().joined_count, room));
            }
        }
        rooms.sort_by_key(|(members, room)| (Reverse(*members), room.number));
        Ok(rooms.into_iter().map(|(_, room)| room).collect())
    }

    /// A room as the directory shows it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn directory_entry(&self, room: &Room) -> Result<PublicRoomsChunk, StoreError> {
        let view = room.view();
        let state = view.state;
        let content = |kind: StateEventType| async move {
            let event = self.state_event(room.number, state, &kind, "").await?;
            Ok::<_, StoreError>(event.map(|event| event.pdu.content.clone()))
        };
        let guest_access = content(StateEventType::RoomGuestAccess).await?;
        let mut entry: PublicRoomsChunk = PublicRoomsChunkInit {
            num_joined_members: UInt::new_saturating(view.joined_count),
            room_id: room.id.clone(),
            world_readable: view.history_visibility == HistoryVisibility::WorldReadable,
            guest_can_join: guest_access.is_some_and(|it| content::guest_access(&it) == GuestAccess::CanJoin),
        }
        .into();
        entry.name = text(content(StateEventType::RoomName).await?, content::name);
        entry.topic = text(content(StateEventType::RoomTopic).await?, content::topic);
        entry.avatar_url = content(StateEventType::RoomAvatar).await?.and_then(|it| content::avatar_url(&it));
        let alias = content(StateEventType::RoomCanonicalAlias).await?;
        entry.canonical_alias = alias.and_then(|it| content::CanonicalAlias::read(&it).alias);
        entry.join_rule = view.join_rules.rule.clone();
        entry.room_type = view.created.room_type.clone();
        Ok(entry)
    }
}

fn text(content: Option<Box<RawValue>>, read: fn(&RawValue) -> Option<Box<str>>) -> Option<String> {
    content.and_then(|content| read(&content)).map(String::from)
}

fn has_type(room: &Room, wanted: &[RoomTypeFilter]) -> bool {
    let view = room.view();
    let is = view.created.room_type.as_ref().map(AsRef::as_ref);
    wanted.is_empty() || wanted.iter().any(|filter| filter.as_str() == is)
}

fn contains(entry: &PublicRoomsChunk, term: &str) -> bool {
    let texts =
        [entry.name.as_deref(), entry.topic.as_deref(), entry.canonical_alias.as_ref().map(|alias| alias.as_str())];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(term))
}

fn token(begin: usize) -> String {
    format!("p{begin}")
}

fn read_token(token: &str) -> Option<usize> {
    token.strip_prefix('p')?.parse().ok()
}
