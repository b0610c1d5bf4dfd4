//! A room's history in pages: `/messages`, `/context`, and the event nearest to a time.
//!
//! A token stands between two events: everything up to its order is before it. The tokens of `/sync` are the same
//! (`s` and a position). History fetched later from elsewhere stands where orders were kept free for it; below zero a token
//! begins with `t`.

use std::{collections::HashSet, sync::Arc};

use ruma::{EventId, api::Direction, events::StateEventType};

use super::{
    Reader, Room, Rooms, RoomsError,
    backfill::PATIENCE,
    event_filter::{EventFilter, LazyMembers},
    walk::Reach,
};
use crate::store::{Event, Order, StoreError, schema::rooms::TIMELINE, state_tree::StateRoot};

/// Most events of one page.
const PAGE_MAX: usize = 1000;
/// Most events before one, and after it.
const CONTEXT_MAX: usize = 100;

/// Writes the token of a place between two events.
pub fn token(order: i64) -> String {
    if order < 0 { format!("t{order}") } else { format!("s{order}") }
}

/// Reads a token of this server.
///
/// # Errors
/// [`RoomsError::Invalid`] when it is none.
pub fn read_token(token: &str) -> Result<i64, RoomsError> {
    let number = token.strip_prefix(['s', 't']).and_then(|number| number.parse().ok());
    number.ok_or_else(|| RoomsError::Invalid("this is not a pagination token of this server".into()))
}

/// Which part of a room's history is wanted.
pub struct Range {
    /// Where to begin; `None` is the newest event backwards, the oldest forwards.
    pub from: Option<i64>,
    /// Where to end; `None` is the end of the history.
    pub to: Option<i64>,
    /// Backwards or forwards.
    pub direction: Direction,
    /// Events at most.
    pub limit: usize,
}

/// A part of a room's history.
pub struct Page {
    /// Where it begins.
    pub start: i64,
    /// Where the next page begins; `None` at the end of the history.
    pub end: Option<i64>,
    /// The events, in the direction asked for.
    pub events: Vec<Arc<Event>>,
    /// The member events of their senders, when they are loaded lazily.
    pub members: Vec<Arc<Event>>,
}

/// An event and what happened around it.
pub struct Context {
    /// The event.
    pub event: Arc<Event>,
    /// Those before it, newest first.
    pub before: Vec<Arc<Event>>,
    /// Those after it, oldest first.
    pub after: Vec<Arc<Event>>,
    /// Where the part begins.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// The state at the end.
    pub state: Vec<Arc<Event>>,
}

impl Rooms {
    /// A page of a room's history as `reader` may see it (specification v1.19, `GET …/messages`).
    pub async fn page(&self, reader: &Reader, range: Range, filter: &EventFilter) -> Result<Page, RoomsError> {
        let horizon = reader.horizon().await?;
        let limit = range.limit.min(PAGE_MAX);
        let (start, wanted_from, to) = match range.direction {
            Direction::Backward => {
                let start = range.from.unwrap_or_else(|| newest(&reader.room).min(horizon));
                (start, start.min(horizon), range.to.unwrap_or(i64::MIN))
            }
            Direction::Forward => {
                let start = range.from.unwrap_or(i64::MIN + 1);
                (start, start, range.to.unwrap_or(i64::MAX).min(horizon))
            }
        };
        if limit == 0 || !filter.wants_room(&reader.room.id) {
            return Ok(Page { start, end: None, events: Vec::new(), members: Vec::new() });
        }
        let reach = Reach::Others(self.parts.clock.elapsed() + PATIENCE);
        let (events, end) = self.walk(reader, (wanted_from, to), range.direction, limit, filter, reach).await?;
        let members =
            if filter.lazy_members() == LazyMembers::Off { Vec::new() } else { self.senders(reader, &events).await? };
        Ok(Page { start, end, events, members })
    }

    /// The member events of the events' senders, each as it was at the sender's first event here.
    pub(super) async fn senders(&self, reader: &Reader, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut known = HashSet::new();
        let mut members = Vec::new();
        for event in events {
            if !known.insert(event.header.sender) {
                continue;
            }
            let (kind, sender) = (StateEventType::RoomMember, event.pdu.sender.as_str());
            members.extend(self.state_event(reader.room.number, event.header.state_after, &kind, sender).await?);
        }
        Ok(members)
    }

    /// An event that the reader may see.
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when there is none, also when it belongs to another room.
    pub async fn visible_event(&self, reader: &Reader, id: &EventId) -> Result<Arc<Event>, RoomsError> {
        let event = self.events().in_room(reader.room.number, id).await?.ok_or(RoomsError::NoEvent)?;
        if reader.ignores(&event) || !reader.sees(&event).await? {
            return Err(RoomsError::NoEvent);
        }
        Ok(event)
    }

    /// An event with others around it, at most so many before and after it (specification v1.19,
    /// `GET …/context/{eventId}`).
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when the reader may not see it.
    pub async fn context(
        &self,
        reader: &Reader,
        id: &EventId,
        (before, after): (usize, usize),
        filter: &EventFilter,
    ) -> Result<Context, RoomsError> {
        let event = self.visible_event(reader, id).await?;
        let mut around = self.around(reader, event, (before, after), filter).await?;
        let state = around.after.last().unwrap_or(&around.event).header.state_after;
        let shown: Vec<_> = around.before.iter().rev().chain([&around.event]).chain(&around.after).cloned().collect();
        around.state = self.context_state(reader, state, &shown, filter).await?;
        Ok(around)
    }

    /// What happened around an event that the reader sees, without the state.
    pub(super) async fn around(
        &self,
        reader: &Reader,
        event: Arc<Event>,
        (before, after): (usize, usize),
        filter: &EventFilter,
    ) -> Result<Context, StoreError> {
        let (start, end) = (event.order.saturating_sub(1), event.order);
        let mut context = Context { event, before: Vec::new(), after: Vec::new(), start, end, state: Vec::new() };
        if !filter.wants_room(&reader.room.id) {
            return Ok(context);
        }
        let reach = Reach::Others(self.parts.clock.elapsed() + PATIENCE);
        if before > 0 {
            let limit = before.min(CONTEXT_MAX);
            let back = Direction::Backward;
            let (found, next) = self.walk(reader, (start, i64::MIN), back, limit, filter, reach).await?;
            context.start = next.or_else(|| found.last().map(|oldest| oldest.order.saturating_sub(1))).unwrap_or(start);
            context.before = found;
        }
        if after > 0 {
            let (limit, horizon) = (after.min(CONTEXT_MAX), reader.horizon().await?);
            let forward = Direction::Forward;
            let (found, next) = self.walk(reader, (end, horizon), forward, limit, filter, reach).await?;
            context.end = next.or_else(|| found.last().map(|newest| newest.order)).unwrap_or(end);
            context.after = found;
        }
        Ok(context)
    }

    async fn context_state(
        &self,
        reader: &Reader,
        root: StateRoot,
        shown: &[Arc<Event>],
        filter: &EventFilter,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        if filter.lazy_members() == LazyMembers::Off {
            let mut state = self.state_events(reader.room.number, root).await?;
            state.retain(|event| filter.wants(event));
            return Ok(state);
        }
        let mut state = self.state_without_members(reader.room.number, root).await?;
        state.extend(self.senders(reader, shown).await?);
        state.retain(|event| filter.wants(event));
        Ok(state)
    }

    /// The visible event nearest to a time, at or after it forwards, at or before it backwards (specification v1.19,
    /// `GET …/timestamp_to_event`).
    ///
    /// A room's events stand in the order in which they arrived, which is nearly that of their times. So the place is
    /// found by halving, and then its surroundings are looked through.
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when there is none.
    pub async fn event_at_time(
        &self,
        reader: &Reader,
        ts: u64,
        direction: Direction,
    ) -> Result<Arc<Event>, RoomsError> {
        let near = self.order_at_time(&reader.room, ts).await?;
        let (around, enough) = (64, 512);
        let filter = EventFilter::default();
        // Events out of order are looked for on the near side too.
        let back = match direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        let limit = reader.horizon().await?;
        let end = |direction| if direction == Direction::Backward { i64::MIN } else { limit };
        let (near, here) = (near.min(limit), Reach::Here);
        let (mut events, _) = self.walk(reader, (near, end(back)), back, around, &filter, here).await?;
        let (ahead, _) = self.walk(reader, (near, end(direction)), direction, enough, &filter, here).await?;
        events.extend(ahead);
        let at = |event: &Event| u64::from(event.pdu.origin_server_ts.get());
        let found = match direction {
            Direction::Forward => {
                events.into_iter().filter(|event| at(event) >= ts).min_by_key(|event| (at(event), event.order))
            }
            Direction::Backward => {
                events.into_iter().filter(|event| at(event) <= ts).max_by_key(|event| (at(event), event.order))
            }
        };
        found.ok_or(RoomsError::NoEvent)
    }

    /// The place before the first event that is not older than `ts`, as far as times ascend.
    pub(super) async fn order_at_time(&self, room: &Room, ts: u64) -> Result<i64, StoreError> {
        let (newest, room) = (newest(room), room.number);
        let first = self.store().prefix(&TIMELINE, &room, Order::Ascending, 1).await?;
        let Some(((_, first), _)) = first.into_iter().next() else { return Ok(0) };
        let (mut low, mut high) = (first.saturating_sub(1), newest);
        while low < high {
            let middle = low.midpoint(high);
            let rows =
                self.store().range(&TIMELINE, &(room, middle + 1), &(room, high + 1), Order::Ascending, 1).await?;
            let Some(((_, order), number)) = rows.into_iter().next() else {
                high = middle;
                continue;
            };
            let event = self.events().require(room, number).await?;
            if u64::from(event.pdu.origin_server_ts.get()) < ts {
                low = order;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The order of the newest event.
pub(super) fn newest(room: &Room) -> i64 {
    i64::try_from(room.last_position().0).unwrap_or(i64::MAX)
}
