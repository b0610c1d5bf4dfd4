//! Events that were received and do not count.

use super::{Events, Verdict};
use crate::store::{EventNo, Order, RoomNo, StoreError, schema::rooms::EVENTS};

impl Verdict {
    /// Whether the event does not count, though it was received.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::SoftFailed(_) | Self::Rejected(_))
    }
}

impl Events {
    /// Those of a room's events from a number on that were found not to count. At most `limit` events are looked at; the
    /// number to go on from, while there may be more.
    pub async fn refused_from(
        &self,
        room: RoomNo,
        from: EventNo,
        limit: usize,
    ) -> Result<(Vec<EventNo>, Option<EventNo>), StoreError> {
        let end = (room, EventNo(u64::MAX));
        let rows = self.store.range(&EVENTS, &(room, from), &end, Order::Ascending, limit).await?;
        let next = rows.last().and_then(|((_, last), _)| last.0.checked_add(1)).map(EventNo);
        let refused = rows.into_iter().filter(|(_, stored)| stored.header.verdict.is_refusal());
        Ok((refused.map(|((_, number), _)| number).collect(), next))
    }
}
