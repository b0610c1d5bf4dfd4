//! The event nearest to a time, in history that other servers may have (spec v1.19, client-server API,
//! `GET …/timestamp_to_event`).

use std::time::Duration;

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, UInt, api::Direction, api::federation::event::get_event_by_timestamp,
};

use super::{Reader, Rooms, RoomsError, backfill::PATIENCE};
use crate::{remote::Terms, store::Event};

/// Servers that are asked.
const SERVERS_MAX: usize = 3;
/// How long one of them may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// An event and its time.
pub struct Nearest {
    /// The event.
    pub id: OwnedEventId,
    /// When it was sent, by its sender's clock.
    pub ts: MilliSecondsSinceUnixEpoch,
}

impl Nearest {
    fn of(event: &Event) -> Self {
        Self { id: event.pdu.event_id.clone(), ts: event.pdu.origin_server_ts }
    }

    /// Whether this one is nearer to a time than another.
    fn beats(&self, other: Option<&Self>, ts: u64, direction: Direction) -> bool {
        let at = u64::from(self.ts.get());
        let right_side = if direction == Direction::Forward { at >= ts } else { at <= ts };
        right_side && other.is_none_or(|other| at.abs_diff(ts) < u64::from(other.ts.get()).abs_diff(ts))
    }
}

impl Rooms {
    /// The visible event nearest to a time. Where history is missing here, other servers are asked too, and the history
    /// back to what they name is fetched.
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when there is none.
    pub async fn nearest_event(&self, reader: &Reader, ts: u64, direction: Direction) -> Result<Nearest, RoomsError> {
        let here = match self.event_at_time(reader, ts, direction).await {
            Ok(event) => Some(Nearest::of(&event)),
            Err(RoomsError::NoEvent) => None,
            Err(error) => return Err(error),
        };
        let room = &reader.room;
        if room.gap_before(i64::MAX).is_none() || !reader.has_joined() {
            return here.ok_or(RoomsError::NoEvent);
        }
        let asked_for = MilliSecondsSinceUnixEpoch(UInt::new_saturating(ts));
        for server in self.other_servers_in(room, SERVERS_MAX).await? {
            let request = get_event_by_timestamp::v1::Request::new(room.id.clone(), asked_for, direction);
            let answer = match self.parts.remote.send_with(&server, request, Terms::anyway().within(ANSWER_MAX)).await {
                Ok(answer) => Nearest { id: answer.event_id, ts: answer.origin_server_ts },
                Err(error) => {
                    tracing::debug!(room = %room.id, %server, %error, "no event near a time");
                    continue;
                }
            };
            if !answer.beats(here.as_ref(), ts, direction) {
                break;
            }
            self.fetch_back_to(room, &answer.id, PATIENCE).await?;
            // What the server says counts once the event is here and shows that it is so.
            if let Ok(event) = self.visible_event(reader, &answer.id).await {
                let found = Nearest::of(&event);
                if found.beats(here.as_ref(), ts, direction) {
                    return Ok(found);
                }
            }
            break;
        }
        here.ok_or(RoomsError::NoEvent)
    }
}
