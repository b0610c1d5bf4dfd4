//! What a server has missed, found from the tables.
//!
//! Little is told in full and in its order. After more, the newest event of each room comes first, the rooms with the
//! newest ones before the others: whoever gets one fetches what it lacks before it, if it wants that.

use std::collections::VecDeque;

use super::{destination::Outgoing, service::Inner};
use crate::store::{
    Order, Position, RoomNo, ServerNo, StoreError,
    schema::{
        federation::{OUTGOING, OUTGOING_LAST},
        rooms::{SERVER_ROOMS, ServerRoomRecord, TIMELINE},
    },
};

/// Missed events that are told in full.
const FULL_MAX: usize = 50;
/// Events of one room that are looked at for that, those of other servers included.
const LOOKED_AT_MAX: usize = 200;
/// Rooms of a server that are counted.
const ROOMS_COUNTED_MAX: usize = 1_000_000;
/// Rows read at once.
const PAGE: usize = 1_000;

/// What is to be sent.
pub(super) struct Plan {
    /// Events, in the order in which they go.
    pub(super) events: VecDeque<Outgoing>,
    /// With all of them, the server has what it needs up to here.
    pub(super) upto: Position,
    /// Whether that is true of each event on the way as well.
    pub(super) in_order: bool,
}

/// A room of which a server has missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missed {
    room: RoomNo,
    /// After this.
    after: Position,
    /// The newest event.
    newest: Position,
}

impl Missed {
    /// What a server that has everything up to `sent` has missed of a room whose newest event for others is `last`.
    fn of(room: RoomNo, record: ServerRoomRecord, last: Option<Position>, sent: Position) -> Option<Self> {
        if let Some(left) = record.left {
            return (left > sent).then_some(Self { room, after: Position(left.0.saturating_sub(1)), newest: left });
        }
        let after = sent.max(record.since);
        last.filter(|last| *last > after).map(|newest| Self { room, after, newest })
    }
}

impl Inner {
    /// Whether a server that has everything up to `sent` has missed something.
    pub(super) async fn is_behind(&self, server: ServerNo, sent: Position) -> Result<bool, StoreError> {
        let mut from = RoomNo(0);
        loop {
            let (missed, next) = self.missed_page(server, from, sent).await?;
            if !missed.is_empty() {
                return Ok(true);
            }
            let Some(next) = next else { return Ok(false) };
            from = next;
        }
    }

    /// In how many rooms a server has members now.
    pub(super) async fn count_rooms(&self, server: ServerNo) -> Result<u64, StoreError> {
        let rows = self.parts.store.prefix(&SERVER_ROOMS, &server, Order::Ascending, ROOMS_COUNTED_MAX).await?;
        Ok(rows.iter().filter(|(_, record)| record.left.is_none()).count() as u64)
    }

    /// The rooms of which a server has missed something.
    pub(super) async fn rooms_behind(&self, server: ServerNo, sent: Position) -> Result<Vec<RoomNo>, StoreError> {
        Ok(self.missed(server, sent).await?.into_iter().map(|missed| missed.room).collect())
    }

    /// What to tell a server that has everything up to `sent`.
    pub(super) async fn plan(&self, server: ServerNo, sent: Position) -> Result<Plan, StoreError> {
        let upto = self.parts.store.position();
        let mut missed = self.missed(server, sent).await?;
        if let Some(mut events) = self.in_full(&missed, upto).await? {
            events.sort_unstable();
            return Ok(Plan { events: events.into(), upto, in_order: true });
        }
        missed.sort_unstable_by_key(|missed| std::cmp::Reverse(missed.newest));
        let events = missed.into_iter().map(|missed| (missed.newest, missed.room)).collect();
        Ok(Plan { events, upto, in_order: false })
    }

    async fn missed(&self, server: ServerNo, sent: Position) -> Result<Vec<Missed>, StoreError> {
        let (mut found, mut from) = (Vec::new(), RoomNo(0));
        loop {
            let (missed, next) = self.missed_page(server, from, sent).await?;
            found.extend(missed);
            let Some(next) = next else { return Ok(found) };
            from = next;
        }
    }

    /// A page of rooms from `from` on, and where the next page begins.
    async fn missed_page(
        &self,
        server: ServerNo,
        from: RoomNo,
        sent: Position,
    ) -> Result<(Vec<Missed>, Option<RoomNo>), StoreError> {
        let store = &self.parts.store;
        let to = (server, RoomNo(u64::MAX));
        let rows = store.range(&SERVER_ROOMS, &(server, from), &to, Order::Ascending, PAGE).await?;
        let rooms: Vec<RoomNo> = rows.iter().map(|((_, room), _)| *room).collect();
        let last = store.multi_get(&OUTGOING_LAST, &rooms).await?;
        let next = rooms.last().filter(|_| rooms.len() == PAGE).map(|room| RoomNo(room.0 + 1));
        let missed =
            rows.iter().zip(last).filter_map(|(((_, room), record), last)| Missed::of(*room, *record, last, sent));
        Ok((missed.collect(), next))
    }

    /// All events of these rooms up to `upto` that others are to have; `None` when they are many.
    async fn in_full(&self, missed: &[Missed], upto: Position) -> Result<Option<Vec<Outgoing>>, StoreError> {
        if missed.len() > FULL_MAX {
            return Ok(None);
        }
        let (store, events, mut found) = (&self.parts.store, self.parts.rooms.events(), Vec::new());
        for Missed { room, after, newest } in missed {
            let order = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
            let (from, to) = ((*room, order(after.0 + 1)), (*room, order(newest.min(&upto).0 + 1)));
            if from >= to {
                continue;
            }
            let rows = store.range(&TIMELINE, &from, &to, Order::Ascending, LOOKED_AT_MAX).await?;
            if rows.len() == LOOKED_AT_MAX {
                return Ok(None);
            }
            let numbers: Vec<_> = rows.iter().map(|(_, number)| *number).collect();
            // What cannot be read is not told in full.
            let Ok(read) = events.require_many(*room, &numbers).await else { return Ok(None) };
            let positions: Vec<Position> =
                rows.iter().map(|((_, order), _)| Position(u64::try_from(*order).unwrap_or(0))).collect();
            // An event of somebody else's that this server tells the others of has a row of its own.
            let passed_on = store.multi_get(&OUTGOING, &positions).await?;
            for ((at, event), passed_on) in positions.into_iter().zip(read).zip(passed_on) {
                if passed_on.is_some() || event.pdu.sender.server_name() == self.parts.server_name {
                    found.push((at, *room));
                }
            }
            if found.len() > FULL_MAX {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// Every other server that has or had members in a room here: a step for each, however many rooms it has.
    pub(super) async fn servers_with_rooms(&self, limit: usize) -> Result<Vec<ServerNo>, StoreError> {
        let (mut found, mut from) = (Vec::new(), ServerNo(0));
        while found.len() < limit {
            let next = self.parts.store.range(&SERVER_ROOMS, &from, &ServerNo(u64::MAX), Order::Ascending, 1).await?;
            let Some(((server, _), _)) = next.into_iter().next() else { break };
            found.push(server);
            from = ServerNo(server.0.saturating_add(1));
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    const ROOM: RoomNo = RoomNo(1);

    fn missed(since: u64, left: Option<u64>, last: Option<u64>, sent: u64) -> Option<(u64, u64)> {
        let record = ServerRoomRecord { since: Position(since), left: left.map(Position) };
        let missed = Missed::of(ROOM, record, last.map(Position), Position(sent));
        missed.map(|missed| (missed.after.0, missed.newest.0))
    }

    #[test]
    fn a_server_has_missed_what_was_sent_after_it_came_and_after_what_it_has() {
        assert_eq!(missed(10, None, Some(20), 15), Some((15, 20)));
        assert_eq!(missed(10, None, Some(20), 20), None);
        assert_eq!(missed(10, None, Some(20), 0), Some((10, 20)));
        assert_eq!(missed(30, None, Some(20), 0), None, "from before its time");
        assert_eq!(missed(10, None, None, 0), None);
    }

    #[test]
    fn of_a_room_it_has_left_a_server_gets_the_event_that_took_it_out_and_nothing_later() {
        assert_eq!(missed(10, Some(10), Some(20), 5), Some((9, 10)));
        assert_eq!(missed(10, Some(10), Some(20), 10), None);
    }
}
