//! A room's events after a position, or its newest.

use std::sync::Arc;

use ruma::events::TimelineEventType;

use super::SyncError;
use crate::{
    rooms::{Reader, Room, Rooms, event_filter::EventFilter},
    store::{Event, EventNo, Order, schema::rooms::TIMELINE, state_tree::StateRoot},
};

/// Rows looked at for one timeline when a filter or the history's visibility drops many.
const ROWS_MAX: usize = 2000;

/// What a client gets of a room's timeline.
pub(super) struct Timeline {
    /// Oldest first.
    pub(super) events: Vec<Arc<Event>>,
    /// Events after `since` are missing before the first of these.
    pub(super) limited: bool,
    /// Memberships have changed in the window, or may have where it is limited. Not all of it needs to be in `events`.
    pub(super) members_changed: bool,
    /// The place before the first event, to page back from.
    pub(super) before: i64,
    /// The room's state before the first event.
    pub(super) state_before: StateRoot,
    /// The room's state before the oldest row looked at, which a filter may have left out of `events`.
    pub(super) held: StateRoot,
    /// The room's state after the last event.
    pub(super) state_after: StateRoot,
}

/// Which part of a timeline is wanted: orders in (`since`, `upto`].
pub(super) struct Window {
    pub(super) since: Option<i64>,
    pub(super) upto: i64,
    pub(super) limit: usize,
}

/// Loads the newest events of a window that the filter and the reader's rights let through.
pub(super) async fn load(
    rooms: &Rooms,
    room: &Room,
    reader: &Reader,
    filter: &EventFilter,
    window: &Window,
) -> Result<Timeline, SyncError> {
    let mut events = Vec::new();
    // Where history is missing a timeline begins anew: what lies before is paged back to.
    let gap = room.gap_before(window.upto).map(|(_, gap)| gap.next);
    let gap = gap.filter(|place| window.since.is_none_or(|since| since <= *place));
    let since = gap.or(window.since);
    let (mut limited, mut members_changed) = (gap.is_some(), false);
    let mut upto = window.upto;
    let mut rows = 0;
    let (mut state_after, mut oldest) = (None, None);
    'pages: loop {
        let page = page(rooms, room, since, upto, window.limit + 1).await?;
        let more = page.len() > window.limit;
        for (order, number) in page.iter().rev() {
            let event = rooms.events().require(room.number, *number).await?;
            if state_after.is_none() {
                state_after = Some(rooms.stand(room, &event).await?.1);
            }
            if events.len() == window.limit || rows == ROWS_MAX {
                limited = true;
                break 'pages;
            }
            rows += 1;
            upto = order - 1;
            if !reader.sees(&event).await? {
                // What lies before is not this reader's either, or they page back to it themselves.
                limited = true;
                break 'pages;
            }
            oldest = Some(event.clone());
            members_changed |= event.pdu.kind == TimelineEventType::RoomMember;
            if filter.wants(&event) && !reader.ignores(&event) {
                events.push(event);
            }
        }
        if !more {
            break;
        }
    }
    events.reverse();
    let end = match state_after {
        Some(after) => after,
        None => state_at(rooms, room, window.upto).await?,
    };
    let (before, state_before) = match events.first() {
        Some(first) => (first.order - 1, rooms.stand(room, first).await?.0),
        None => (window.upto, end),
    };
    let held = match oldest {
        Some(oldest) => rooms.stand(room, &oldest).await?.0,
        None => end,
    };
    Ok(Timeline {
        events,
        limited,
        members_changed: members_changed || limited,
        before,
        state_before,
        held,
        state_after: end,
    })
}

/// The newest `limit` rows of (`since`, `upto`], oldest first; more when memory has them at hand.
async fn page(
    rooms: &Rooms,
    room: &Room,
    since: Option<i64>,
    upto: i64,
    limit: usize,
) -> Result<Vec<(i64, EventNo)>, SyncError> {
    let recent = match since {
        Some(since) => room.recent(since, upto),
        None => room.newest(upto, limit),
    };
    if let Some(rows) = recent {
        return Ok(rows);
    }
    let from = since.map_or(i64::MIN, |since| since.saturating_add(1));
    let range = ((room.number, from), (room.number, upto.saturating_add(1)));
    let rows = rooms.store().range(&TIMELINE, &range.0, &range.1, Order::Descending, limit).await?;
    Ok(rows.into_iter().rev().map(|((_, order), number)| (order, number)).collect())
}

/// The room's state after its newest event up to an order.
pub(super) async fn state_at(rooms: &Rooms, room: &Room, order: i64) -> Result<StateRoot, SyncError> {
    let newest = page(rooms, room, None, order, 1).await?;
    match newest.last() {
        Some((_, number)) => {
            let event = rooms.events().require(room.number, *number).await?;
            Ok(rooms.stand(room, &event).await?.1)
        }
        None => Ok(StateRoot::EMPTY),
    }
}
