//! What other servers are given of a room's history: backfill, missing events, states, auth chains, the event nearest to
//! a time. Spec v1.19, Server-Server API, "Backfilling and retrieving missing events" and "Retrieving events".

use std::{
    collections::{BinaryHeap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, api::Direction, events::TimelineEventType};

use super::{RoomsError, ServerReader, server_reader::Sight};
use crate::{
    event::redact,
    store::{
        Event, EventNo, Order, StoreError, Verdict,
        schema::rooms::{AUTH_EDGES, TIMELINE},
        state_tree::StateRoot,
    },
};

/// Most events of one answer to `backfill`.
const BACKFILL_MAX: usize = 100;
/// Most events of one answer to `get_missing_events`.
const MISSING_MAX: usize = 50;
/// Events that are looked at for one answer: refused ones count, and are not given.
const LOOKED_AT_MAX: usize = 1_000;
/// Most events that a question may name.
const NAMED_MAX: usize = 100;
/// Events on either side of a time that are looked at.
const AROUND: usize = 256;

impl ServerReader {
    /// Events and what came before them, newest first; the ones that were named are the first of them. What the server
    /// may not see is emptied.
    pub async fn backfill(&self, from: &[OwnedEventId], limit: usize) -> Result<Vec<Box<str>>, RoomsError> {
        let limit = limit.min(BACKFILL_MAX);
        let mut walk = Walk::default();
        for id in from.iter().take(NAMED_MAX) {
            walk.push(self, id).await?;
        }
        self.texts_on(walk, 0, limit).await
    }

    /// Events before `latest` that are neither `earliest` nor before them, oldest first, the newest so many. What the
    /// server may not see is emptied.
    pub async fn missing_events(
        &self,
        earliest: &[OwnedEventId],
        latest: &[OwnedEventId],
        min_depth: u64,
        limit: usize,
    ) -> Result<Vec<Box<str>>, RoomsError> {
        let limit = limit.min(MISSING_MAX);
        let mut walk = Walk::default();
        walk.seen.extend(earliest.iter().take(NAMED_MAX).cloned());
        for id in latest.iter().take(NAMED_MAX) {
            let Some(event) = self.event(id).await? else { continue };
            walk.seen.insert(id.clone());
            for id in &event.pdu.prev_events {
                walk.push(self, id).await?;
            }
        }
        let mut texts = self.texts_on(walk, min_depth, limit).await?;
        texts.reverse();
        Ok(texts)
    }

    /// What the server may have of the events on a walk, the first so many of a depth.
    async fn texts_on(&self, mut walk: Walk, min_depth: u64, limit: usize) -> Result<Vec<Box<str>>, RoomsError> {
        let mut texts = Vec::new();
        while let Some(event) = walk.next() {
            if event.pdu.depth < min_depth {
                continue;
            }
            if let Some(text) = self.text(&event).await? {
                texts.push(text);
            }
            if texts.len() >= limit || walk.seen.len() >= LOOKED_AT_MAX {
                break;
            }
            for id in &event.pdu.prev_events {
                walk.push(self, id).await?;
            }
        }
        Ok(texts)
    }

    /// The state of the room before an event, by numbers; `None` when this server does not know it, or
    /// not all of it.
    pub async fn state_before(&self, id: &EventId) -> Result<Option<Vec<EventNo>>, StoreError> {
        let Some(event) = self.event(id).await? else { return Ok(None) };
        if event.header.state_after == StateRoot::EMPTY || self.room.view().partial {
            return Ok(None);
        }
        let entries = self.rooms.tree().entries(event.header.state_before).await?;
        Ok(Some(entries.into_iter().map(|(_, number)| number).collect()))
    }

    /// The auth events of an event and theirs, and so on; `None` when there is no such event.
    pub async fn event_auth(&self, id: &EventId) -> Result<Option<Vec<EventNo>>, StoreError> {
        let Some(event) = self.event(id).await? else { return Ok(None) };
        let mut first = Vec::new();
        for id in &event.pdu.auth_events {
            if let Some((room, number)) = self.rooms.events().number_of(id).await?
                && room == self.room.number
            {
                first.push(number);
            }
        }
        if self.room.rules.authorization.room_create_event_id_as_room_id
            && event.pdu.kind != TimelineEventType::RoomCreate
        {
            // No event names it, and every event is allowed by it.
            first.push(self.room.view().create.number);
        }
        let mut chain = self.auth_chain(&first).await?;
        chain.extend(first);
        chain.sort_unstable();
        chain.dedup();
        Ok(Some(chain))
    }

    /// The auth events of some events, theirs, and so on, in the order of their numbers. The events themselves are
    /// among them only where another of them needs them.
    pub async fn auth_chain(&self, of: &[EventNo]) -> Result<Vec<EventNo>, StoreError> {
        let (store, room) = (self.rooms.store(), self.room.number);
        let mut chain = HashSet::new();
        let mut next: Vec<EventNo> = of.to_vec();
        let mut walked: HashSet<EventNo> = next.iter().copied().collect();
        while !next.is_empty() {
            let keys: Vec<_> = next.iter().map(|number| (room, *number)).collect();
            let found = store.multi_get(&AUTH_EDGES, &keys).await?;
            let mut further = Vec::new();
            for (record, number) in found.into_iter().zip(&next) {
                let auth_events = match record {
                    Some(record) => record.auth_events,
                    None => self.auth_events(*number).await?,
                };
                for auth in auth_events {
                    chain.insert(auth);
                    if walked.insert(auth) {
                        further.push(auth);
                    }
                }
            }
            next = further;
        }
        let mut chain: Vec<_> = chain.into_iter().collect();
        chain.sort_unstable();
        Ok(chain)
    }

    /// From the event itself, when there is no row: not durable yet, or older than the table.
    async fn auth_events(&self, number: EventNo) -> Result<Vec<EventNo>, StoreError> {
        let event = self.rooms.events().require(self.room.number, number).await?;
        let mut found = Vec::with_capacity(event.pdu.auth_events.len());
        for id in &event.pdu.auth_events {
            let known = self.rooms.events().number_of(id).await?;
            found.extend(known.filter(|(room, _)| *room == self.room.number).map(|(_, number)| number));
        }
        Ok(found)
    }

    /// The event nearest to a time that the server may see whole, at or after it forwards, at or before it backwards.
    pub async fn event_at_time(&self, ts: u64, direction: Direction) -> Result<Option<Arc<Event>>, StoreError> {
        let (store, room) = (self.rooms.store(), self.room.number);
        let near = self.rooms.order_at_time(&self.room, ts).await?;
        let (low, high) = ((room, i64::MIN), (room, i64::MAX));
        let middle = (room, near.saturating_add(1));
        let mut rows = store.range(&TIMELINE, &low, &middle, Order::Descending, AROUND).await?;
        rows.extend(store.range(&TIMELINE, &middle, &high, Order::Ascending, AROUND).await?);
        let numbers: Vec<_> = rows.iter().map(|(_, number)| *number).collect();
        let mut events = self.rooms.events().require_many(room, &numbers).await?;
        let at = |event: &Event| u64::from(event.pdu.origin_server_ts.get());
        events.retain(|event| if direction == Direction::Forward { at(event) >= ts } else { at(event) <= ts });
        events.sort_by_key(|event| (at(event), event.order));
        if direction == Direction::Backward {
            events.reverse();
        }
        for event in events {
            if self.sight(&event).await? == Some(Sight::Whole) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// An event as the server gets it; nothing of one that was refused here.
    async fn text(&self, event: &Event) -> Result<Option<Box<str>>, RoomsError> {
        Ok(match self.sight(event).await? {
            None => None,
            Some(Sight::Whole) => Some(event.pdu.json.clone()),
            Some(Sight::Redacted) => Some(redact::redact(&event.pdu.json, &self.room.rules.redaction)?),
        })
    }
}

/// A walk back through the graph, the deepest event first.
#[derive(Default)]
struct Walk {
    seen: HashSet<OwnedEventId>,
    heap: BinaryHeap<Deepest>,
}

/// Ordered by depth, then by where it stands here.
struct Deepest(Arc<Event>);

impl Deepest {
    fn key(&self) -> (u64, i64, EventNo) {
        (self.0.pdu.depth, self.0.order, self.0.number)
    }
}

impl PartialEq for Deepest {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Deepest {}

impl PartialOrd for Deepest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deepest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Walk {
    /// Adds an event of the reader's room that this server has, once. Events that are only known as part of a state or
    /// of an auth chain are not history: what came before them is not known.
    async fn push(&mut self, reader: &ServerReader, id: &EventId) -> Result<(), StoreError> {
        if !self.seen.insert(id.to_owned()) {
            return Ok(());
        }
        let event = reader.rooms.events().in_room(reader.room.number, id).await?;
        if let Some(event) = event.filter(|event| event.header.verdict != Verdict::Outlier) {
            self.heap.push(Deepest(event));
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Arc<Event>> {
        self.heap.pop().map(|event| event.0)
    }
}
