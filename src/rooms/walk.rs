//! A walk through a room's history, and what happens where some is missing.
//!
//! Backwards, what is missing is fetched as the walk reaches it. Forwards, a gap is met at its far end, and other servers
//! can only be asked from the event behind it: it is filled from there, piece by piece, before the walk goes on. So
//! pages join whichever way somebody reads, and whoever comes to a gap that is not filled yet comes again.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use ruma::api::Direction;

use super::{Reader, Rooms, backfill::Filled, event_filter::EventFilter, history::newest};
use crate::store::{
    Event, EventNo, Order, RoomNo, StoreError,
    schema::rooms::{GapRecord, TIMELINE},
};

/// Bytes of events in one page; it ends early beyond, and names the place to go on from.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Events looked at for one page; then the page ends early, and its token goes on behind them.
const LOOKED_AT_MAX: usize = 4000;
/// Pieces of history that are asked for in one walk forwards, of a hundred events each.
const PIECES_MAX: usize = 20;

/// What a walk does where history is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It steps over: what is here is enough.
    Here,
    /// It asks other servers until this moment of the clock, and then ends.
    Others(Duration),
}

/// A walk under way.
struct Walk<'a> {
    rooms: &'a Rooms,
    reader: &'a Reader,
    filter: &'a EventFilter,
    direction: Direction,
    limit: usize,
    reach: Reach,
    /// Where it stands.
    from: i64,
    to: i64,
    events: Vec<Arc<Event>>,
    looked_at: usize,
    left_out: bool,
    bytes: usize,
    pieces: usize,
    /// Where other servers are to be asked again, if nothing else is found.
    retry: Option<i64>,
}

impl Rooms {
    /// Visible events that the filter wants, and where to go on.
    ///
    /// Where the filter has left some out, the last events found name a place to go on from too: clients cannot tell
    /// from what they see that the history ends there.
    pub(super) async fn walk(
        &self,
        reader: &Reader,
        (from, to): (i64, i64),
        direction: Direction,
        limit: usize,
        filter: &EventFilter,
        reach: Reach,
    ) -> Result<(Vec<Arc<Event>>, Option<i64>), StoreError> {
        let to = match direction {
            Direction::Backward => to,
            // What is missing before an event is known once that is the newest, and not before.
            Direction::Forward => to.min(newest(&reader.room)),
        };
        let mut walk = Walk {
            rooms: self,
            reader,
            filter,
            direction,
            limit,
            reach,
            from,
            to,
            events: Vec::new(),
            looked_at: 0,
            left_out: false,
            bytes: 0,
            pieces: 0,
            retry: None,
        };
        loop {
            if let ControlFlow::Break(end) = walk.step().await? {
                return Ok((walk.events, end));
            }
        }
    }
}

impl Walk<'_> {
    /// Goes on; breaks with the place to go on from another time, if there is one.
    async fn step(&mut self) -> Result<ControlFlow<Option<i64>>, StoreError> {
        let (gap, room) = (self.gap(), self.reader.room.number);
        // The range's end is exclusive, a token's place is behind its event: hence the ones.
        let (low, high, order) = match self.direction {
            Direction::Backward => {
                let wall = gap.as_ref().map_or(self.to, |(_, gap)| gap.next);
                (wall.saturating_add(1), self.from.saturating_add(1), Order::Descending)
            }
            Direction::Forward => {
                // Not a step into the gap: somebody else may be filling it, from above.
                let wall = gap.as_ref().map_or(self.to, |(_, gap)| gap.floor);
                (self.from.saturating_add(1), wall.saturating_add(1), Order::Ascending)
            }
        };
        let step = (self.limit - self.events.len()).clamp(16, 256);
        let rows = if low < high {
            self.rooms.store().range(&TIMELINE, &(room, low), &(room, high), order, step).await?
        } else {
            Vec::new()
        };
        let full = self.take(&rows).await?;
        self.looked_at += rows.len();
        if full || self.looked_at >= LOOKED_AT_MAX {
            return Ok(ControlFlow::Break(Some(self.from)));
        }
        if rows.len() == step {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(match (gap, self.direction) {
            (None, _) if self.events.is_empty() => ControlFlow::Break(self.retry),
            (None, _) => ControlFlow::Break(self.left_out.then_some(self.from)),
            (Some(gap), Direction::Backward) => self.ask_back(gap).await,
            (Some(gap), Direction::Forward) => self.ask_ahead(gap).await,
        })
    }

    /// The gap that the walk meets next, if it is to do something about it.
    fn gap(&self) -> Option<(i64, GapRecord)> {
        let room = &self.reader.room;
        match (self.reach, self.direction) {
            (Reach::Here, _) => None,
            (_, Direction::Backward) => room.gap_before(self.from).filter(|(_, gap)| gap.next > self.to),
            (_, Direction::Forward) => room.gap_after(self.from).filter(|(_, gap)| gap.floor < self.to),
        }
    }

    /// Walks over events; whether the page is full.
    async fn take(&mut self, rows: &[((RoomNo, i64), EventNo)]) -> Result<bool, StoreError> {
        let numbers: Vec<_> = rows.iter().map(|(_, number)| *number).collect();
        let events = self.rooms.events().require_many(self.reader.room.number, &numbers).await?;
        for (((_, order), _), event) in rows.iter().zip(events) {
            self.from = if self.direction == Direction::Backward { order.saturating_sub(1) } else { *order };
            if !self.filter.wants(&event) {
                self.left_out = true;
            } else if !self.reader.ignores(&event) && self.reader.sees(&event).await? {
                self.bytes += event.client.bytes.len();
                self.events.push(event);
                if self.events.len() == self.limit || self.bytes >= PAGE_BYTES_MAX {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn ask_back(&mut self, (order, gap): (i64, GapRecord)) -> ControlFlow<Option<i64>> {
        self.from = gap.next;
        let beyond = gap.floor.saturating_sub(1);
        match self.rooms.fill_gap(&self.reader.room, (order, gap), self.left()).await {
            Filled::More => {}
            Filled::Nothing | Filled::Nowhere if !self.events.is_empty() => {
                return ControlFlow::Break(Some(self.from));
            }
            Filled::Nothing | Filled::Nowhere => {
                self.retry.get_or_insert(self.from);
                self.from = beyond;
            }
            Filled::Nobody => self.from = beyond,
        }
        ControlFlow::Continue(())
    }

    async fn ask_ahead(&mut self, (order, gap): (i64, GapRecord)) -> ControlFlow<Option<i64>> {
        let room = &self.reader.room;
        self.pieces += 1;
        if self.pieces > PIECES_MAX {
            return ControlFlow::Break(Some(self.from));
        }
        match self.rooms.fill_gap(room, (order, gap.clone()), self.left()).await {
            Filled::More => {}
            Filled::Nothing => return ControlFlow::Break(Some(self.from)),
            // Unless somebody else has been told more meanwhile.
            Filled::Nowhere | Filled::Nobody => {
                if room.gap_at(order).as_ref() == Some(&gap) {
                    self.from = gap.next;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// How long other servers may still be waited for.
    fn left(&self) -> Duration {
        match self.reach {
            Reach::Here => Duration::ZERO,
            Reach::Others(end) => end.saturating_sub(self.rooms.parts.clock.elapsed()),
        }
    }
}
