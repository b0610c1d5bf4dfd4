//! History that other servers have: asked for when somebody walks to where it is missing.
//!
//! A gap is filled by one walker at a time; others wait for what it brings. The work goes on when whoever waits for it
//! has gone, so that what a slow server answers is not lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use ruma::{EventId, OwnedServerName, api::federation::backfill::get_backfill, uint};

use super::{Room, Rooms, past::missing_ids, receive::ReceiveError};
use crate::{
    remote::Terms,
    store::{
        StoreError,
        schema::rooms::{GapRecord, TIMELINE},
    },
};

/// How long somebody who pages waits for other servers, in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long one server has for its answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long the filling of a gap may take before the next one may try.
const FILL_MAX: Duration = Duration::from_mins(2);
/// Servers that are asked for one piece.
const SERVERS_MAX: usize = 5;
/// Predecessors that are asked for at once.
const NAMED_MAX: usize = 20;
/// A server that has failed for longer is not expected back, and is given no more than a moment.
const GONE_AFTER: Duration = Duration::from_hours(24);
/// How long such a server has for its answer.
const ANSWER_GONE_MAX: Duration = Duration::from_secs(2);
/// Events of an answer that are looked at.
const EVENTS_MAX: usize = 200;

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is more history here than before.
    More,
    /// Nobody gave any. Later somebody may.
    Nothing,
    /// Nobody gave any: those who were asked have none, or have been gone for long.
    Nowhere,
    /// There is nobody else to ask.
    Nobody,
}

impl Rooms {
    /// Asks other servers for the history before the event at `order`, of which `gap` was seen to be missing. Waits no
    /// longer than `wait`.
    pub(super) async fn fill_gap(&self, room: &Arc<Room>, (order, gap): (i64, GapRecord), wait: Duration) -> Filled {
        if wait.is_zero() {
            return Filled::Nothing;
        }
        let (rooms, room) = (self.clone(), room.clone());
        let filling = tokio::spawn(async move {
            let _turn = rooms.reading.turn((room.number, order)).await;
            match room.gap_at(order) {
                Some(now) if now == gap => {}
                // Whoever was here before has brought something.
                _ => return Filled::More,
            }
            let clock = rooms.parts.clock.clone();
            clock
                .timeout(FILL_MAX, Box::pin(rooms.ask_for_history(&room, order, &gap)))
                .await
                .unwrap_or(Filled::Nothing)
        });
        match self.parts.clock.timeout(wait, filling).await {
            Some(Ok(filled)) => filled,
            _ => Filled::Nothing,
        }
    }

    async fn ask_for_history(&self, room: &Arc<Room>, order: i64, gap: &GapRecord) -> Filled {
        // The state at old events is all but the one that is being fetched already.
        self.until_whole(room).await;
        let servers = match self.servers_with_history(room, order).await {
            Ok(servers) => servers,
            Err(error) => {
                tracing::error!(room = %room.id, %error, "the servers of a room cannot be read");
                return Filled::Nothing;
            }
        };
        if servers.is_empty() {
            return Filled::Nobody;
        }
        let mut outcome = Filled::Nowhere;
        for server in servers {
            let gone = self.is_gone(&server).await;
            let patience = if gone { ANSWER_GONE_MAX } else { ANSWER_MAX };
            match self.history_from(room, &server, (order, gap), patience).await {
                Ok(true) => return Filled::More,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(room = %room.id, %server, %error, "history cannot be had");
                    if !gone && may_pass(&error) {
                        outcome = Filled::Nothing;
                    }
                }
            }
        }
        outcome
    }

    /// Whether a server has not answered for so long that nobody waits for it.
    async fn is_gone(&self, server: &OwnedServerName) -> bool {
        let Ok(known) = self.parts.remote.destinations().get(server).await else { return false };
        let long = u64::try_from(GONE_AFTER.as_millis()).unwrap_or(u64::MAX);
        known.failing_since_ms > 0 && self.parts.clock.now_ms().saturating_sub(known.failing_since_ms) > long
    }

    async fn history_from(
        &self,
        room: &Arc<Room>,
        server: &OwnedServerName,
        (order, gap): (i64, &GapRecord),
        patience: Duration,
    ) -> Result<bool, ReceiveError> {
        let mut missing = missing_ids(gap);
        missing.truncate(NAMED_MAX);
        let request = get_backfill::v1::Request::new(room.id.clone(), missing, uint!(100));
        // Somebody waits: also a server that failed before is asked.
        let answer = self.parts.remote.send_with(server, request, Terms::anyway().within(patience)).await?;
        let texts = answer.pdus.iter().take(EVENTS_MAX).map(|event| event.get());
        let checked = self.verify(&room.id, &room.rules, texts).await;
        self.receive_history(room, server, order, checked.into_iter().filter_map(Result::ok).collect()).await
    }

    /// Whom to ask for history: who sent the event behind the gap, then others in the room.
    async fn servers_with_history(&self, room: &Room, order: i64) -> Result<Vec<OwnedServerName>, StoreError> {
        let mut servers: Vec<OwnedServerName> = Vec::new();
        if let Some(number) = self.store().get(&TIMELINE, &(room.number, order)).await? {
            let event = self.events().require(room.number, number).await?;
            servers.push(event.pdu.sender.server_name().to_owned());
        }
        servers.extend(self.other_servers_in(room, SERVERS_MAX).await?);
        let mut seen = HashSet::new();
        servers.retain(|server| *server != self.parts.server_name && seen.insert(server.clone()));
        servers.truncate(SERVERS_MAX);
        Ok(servers)
    }

    /// Other servers in a room, those with the most members first.
    pub(super) async fn other_servers_in(&self, room: &Room, limit: usize) -> Result<Vec<OwnedServerName>, StoreError> {
        let mut numbers = room.view().servers.to_vec();
        numbers.sort_by_key(|(number, members)| (std::cmp::Reverse(*members), *number));
        let mut servers = Vec::with_capacity(limit);
        for (number, _) in numbers.into_iter().take(limit) {
            servers.push(self.store().server_name(number).await?);
        }
        Ok(servers)
    }

    /// Fetches history until an event is here, as far as that is soon.
    pub(super) async fn fetch_back_to(&self, room: &Arc<Room>, id: &EventId, wait: Duration) -> Result<(), StoreError> {
        let end = self.parts.clock.elapsed() + wait;
        let mut place = i64::MAX;
        loop {
            if self.events().in_room(room.number, id).await?.is_some_and(|event| event.order != i64::MAX) {
                return Ok(());
            }
            let Some(gap) = room.gap_before(place) else { return Ok(()) };
            let wait = end.saturating_sub(self.parts.clock.elapsed());
            let floor = gap.1.floor.saturating_sub(1);
            if self.fill_gap(room, gap, wait).await != Filled::More {
                if wait.is_zero() {
                    return Ok(());
                }
                place = floor;
            }
        }
    }
}

/// Whether what went wrong says nothing about the history: the same server may give it later.
fn may_pass(error: &ReceiveError) -> bool {
    match error {
        ReceiveError::Remote(error) => error.is_down(),
        ReceiveError::Store(_) | ReceiveError::Rooms(_) => true,
        _ => false,
    }
}
