//! The inbox: events that were acknowledged and wait to be received, and a worker for each room that has some.
//!
//! A worker takes what waits in the order of arrival, verifies many events at once and adds those that lack nothing
//! under one lock. The others are parked: what they need is fetched beside, so that a server that does not answer
//! delays neither the room nor another server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::{parked::Lane, transaction::InboundParts};
use crate::{
    clock::Clock,
    places::{Place, Places},
    rooms::{
        Room, Rooms,
        receive::{Outcome, ReceiveError, Refusal, Verified},
    },
    store::{
        Batch, Order, Position, RoomNo, StoreError,
        schema::federation::{INBOX, InboxRecord},
    },
};

/// Events that may wait for one room; beyond, servers are asked to come back.
const WAITING_MAX: usize = 20_000;
/// Events of one server that are put aside for a room, lacking something; beyond, that server is asked to come back, and
/// nobody else. What was taken in before is put aside all the same, up to [`WAITING_MAX`].
const LANE_MAX: usize = 1_000;
/// Events that are received under one lock.
const CHUNK: usize = 50;
/// Rooms at work at the same time: what they wait for is this machine, not others.
const ROOMS_AT_ONCE: usize = 8;
/// Events that are fetched for at the same time, over all rooms and servers.
const FETCHES_MAX: usize = 64;
/// Of these, events of one server: one that is in many rooms, and gives nothing, must leave places to others.
const FETCHES_OF_ONE_MAX: usize = 8;
/// Rooms whose inbox is looked at when the server starts.
const ROOMS_MAX: usize = 1_000_000;

/// The inbox. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Inner>);

pub(super) struct Inner {
    pub(super) rooms: Rooms,
    pub(super) clock: Clock,
    pub(super) stopping: CancellationToken,
    places: Semaphore,
    /// Fetching for parked events.
    fetches: Semaphore,
    origins: Places<OwnedServerName>,
    workers: Mutex<HashMap<RoomNo, Worker>>,
}

/// What is known of a room with a non-empty inbox.
#[derive(Default)]
struct Worker {
    /// A task is at work.
    running: bool,
    /// More has come since the task looked.
    again: bool,
    /// Rows that wait, as far as they came since the start; those that are parked are counted by lane.
    waiting: usize,
    /// Rows that are fetched for.
    parked: HashSet<Position>,
    /// The servers whose events are.
    lanes: HashMap<OwnedServerName, Lane>,
}

/// A row of the inbox.
pub(super) struct Waiting {
    pub(super) at: Position,
    pub(super) record: InboxRecord,
}

impl Inbox {
    pub(super) fn new(parts: &InboundParts) -> Self {
        Self(Arc::new(Inner {
            rooms: parts.rooms.clone(),
            clock: parts.clock.clone(),
            stopping: parts.stopping.clone(),
            places: Semaphore::new(ROOMS_AT_ONCE),
            fetches: Semaphore::new(FETCHES_MAX),
            origins: Places::new(FETCHES_OF_ONE_MAX),
            workers: Mutex::default(),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Starts the workers of rooms whose inbox is not empty.
    pub(super) async fn resume(&self) -> Result<(), StoreError> {
        let store = self.0.rooms.store();
        let mut after = RoomNo(0);
        for _ in 0..ROOMS_MAX {
            let from = (RoomNo(after.0 + 1), Position::ZERO);
            let end = (RoomNo(u64::MAX), Position::ZERO);
            let rows = store.range(&INBOX, &from, &end, Order::Ascending, 1).await?;
            let Some(((room, _), _)) = rows.into_iter().next() else { break };
            self.arrived(room);
            after = room;
        }
        Ok(())
    }

    /// Whether a room's inbox takes so many more of a server. What is parked for others does not count.
    pub(super) fn has_space(&self, room: RoomNo, origin: &ServerName, more: usize) -> bool {
        let workers = self.0.workers.lock();
        let Some(worker) = workers.get(&room) else { return true };
        let parked = worker.lanes.get(origin).map_or(0, Lane::len);
        worker.waiting + more <= WAITING_MAX && parked + more <= LANE_MAX
    }

    /// A row was added for a room.
    pub(super) fn arrived(&self, room: RoomNo) {
        let mut workers = self.0.workers.lock();
        let worker = workers.entry(room).or_default();
        worker.waiting += 1;
        worker.again = true;
        if !worker.running {
            worker.running = true;
            let inbox = self.clone();
            tokio::spawn(async move { inbox.work(room).await });
        }
    }

    /// Works a room's inbox off, until nothing waits that is not parked.
    async fn work(&self, room: RoomNo) {
        loop {
            if let Some(worker) = self.0.workers.lock().get_mut(&room) {
                worker.again = false;
            }
            let drained = tokio::select! {
                () = self.0.stopping.cancelled() => return,
                drained = self.drain(room) => drained,
            };
            if let Err(error) = drained {
                // Writing has failed for good, or something is damaged: what waits is still there, for the next arrival
                // or the next start.
                tracing::error!(room = room.0, %error, "a room's inbox cannot be worked off");
                if let Some(worker) = self.0.workers.lock().get_mut(&room) {
                    worker.running = false;
                }
                return;
            }
            let mut workers = self.0.workers.lock();
            let Some(worker) = workers.get_mut(&room) else { return };
            if !worker.again {
                worker.running = false;
                worker.waiting = 0;
                if worker.parked.is_empty() {
                    workers.remove(&room);
                }
                return;
            }
        }
    }

    async fn drain(&self, number: RoomNo) -> Result<(), StoreError> {
        let room = self.0.rooms.get(number).await?;
        let mut after = Position::ZERO;
        loop {
            let (rows, last) = self.rows(number, after).await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
            let Ok(_place) = self.0.places.acquire().await else { return Ok(()) };
            match &room {
                Some(room) => self.receive(room, rows).await?,
                None => self.done(number, rows.iter().map(|row| row.at)).await?,
            }
        }
    }

    /// The next rows that are not parked, and the position of the last one looked at.
    async fn rows(&self, room: RoomNo, after: Position) -> Result<(Vec<Waiting>, Option<Position>), StoreError> {
        let (from, end) = ((room, Position(after.0 + 1)), (room, Position(u64::MAX)));
        let rows = self.0.rooms.store().range(&INBOX, &from, &end, Order::Ascending, CHUNK).await?;
        let last = rows.last().map(|((_, at), _)| *at);
        let workers = self.0.workers.lock();
        let parked = workers.get(&room).map(|worker| &worker.parked);
        let waiting = rows.into_iter().map(|((_, at), record)| Waiting { at, record });
        Ok((waiting.filter(|row| parked.is_none_or(|parked| !parked.contains(&row.at))).collect(), last))
    }

    /// Receives rows of a room's inbox. Their rows go once they are dealt with; those that lack something are parked.
    async fn receive(&self, room: &Arc<Room>, rows: Vec<Waiting>) -> Result<(), StoreError> {
        let texts = rows.iter().map(|row| &*row.record.json);
        // Others are asked for keys beside, where that delays only who sent what needs them.
        let verified = self.0.rooms.verify_at_hand(&room.id, &room.rules, texts).await;
        let (mut done, mut lacking, mut events, mut of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, checked) in rows.into_iter().zip(verified) {
            match checked {
                Ok(event) => {
                    events.push(event);
                    of.push(row);
                }
                Err(refusal) if refusal.is_temporary() => lacking.push(row),
                Err(refusal) => {
                    dropped(room, &row.record.origin, &refusal);
                    done.push(row.at);
                }
            }
        }
        let outcomes = match self.0.rooms.receive_ready(room, events).await {
            Ok(outcomes) => outcomes,
            Err(error @ StoreError::Corrupt { .. }) => {
                // One event that stands on damaged rows must not keep the others waiting: each goes alone.
                tracing::error!(room = %room.id, %error, "events of a room cannot be received together");
                lacking.append(&mut of);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        for (row, outcome) in of.into_iter().zip(outcomes) {
            match outcome {
                Err(ReceiveError::Incomplete) => lacking.push(row),
                _ => done.push(row.at),
            }
        }
        self.done(room.number, done.into_iter()).await?;
        let left_out: Vec<_> = lacking.iter().filter_map(|row| self.park(room, row)).collect();
        self.done(room.number, left_out.into_iter()).await
    }

    /// Deletes rows that are dealt with.
    pub(super) async fn done(&self, room: RoomNo, rows: impl Iterator<Item = Position>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for at in rows {
            batch.delete(&INBOX, &(room, at));
        }
        if !batch.is_empty() {
            self.0.rooms.store().commit(batch).await?;
        }
        Ok(())
    }

    /// Puts a row aside, to be received with what another server has to be asked for. The answer is the row's place if
    /// its server has too many there already: such a one is dropped, or it could fill the inbox of a room for all.
    fn park(&self, room: &Arc<Room>, row: &Waiting) -> Option<Position> {
        let Ok(origin) = OwnedServerName::try_from(row.record.origin.as_str()) else { return Some(row.at) };
        let mut workers = self.0.workers.lock();
        let worker = workers.entry(room.number).or_default();
        worker.waiting = worker.waiting.saturating_sub(1);
        let lane = worker.lanes.entry(origin.clone()).or_default();
        if lane.len() >= WAITING_MAX {
            tracing::warn!(room = %room.id, %origin, "an event is dropped: too many of its server lack something");
            return Some(row.at);
        }
        worker.parked.insert(row.at);
        if lane.push(row.at) {
            let (inbox, room) = (self.clone(), room.clone());
            tokio::spawn(async move { inbox.work_lane(&room, &origin).await });
        }
        None
    }

    /// The next parked row of a server; without one, its lane ends.
    pub(super) fn next_parked(&self, room: RoomNo, origin: &ServerName) -> Option<Position> {
        let mut workers = self.0.workers.lock();
        let worker = workers.get_mut(&room)?;
        let next = worker.lanes.get_mut(origin).and_then(Lane::next);
        if next.is_none() {
            worker.lanes.remove(origin);
            if !worker.running && worker.parked.is_empty() {
                workers.remove(&room);
            }
        }
        next
    }

    /// A parked row. Only its place is in memory: many may wait for long.
    pub(super) async fn parked(&self, room: RoomNo, at: Position) -> Result<Option<Waiting>, StoreError> {
        let record = self.0.rooms.store().get(&INBOX, &(room, at)).await?;
        Ok(record.map(|record| Waiting { at, record }))
    }

    /// Waits until something may be fetched for an event of this server.
    pub(super) async fn may_fetch(&self, origin: &ServerName) -> (Place, Option<SemaphorePermit<'_>>) {
        let place = self.0.origins.enter(origin.to_owned()).await;
        // Nobody closes it.
        (place, self.0.fetches.acquire().await.ok())
    }

    /// A parked row is dealt with.
    pub(super) fn unpark(&self, room: RoomNo, at: Position) {
        if let Some(worker) = self.0.workers.lock().get_mut(&room) {
            worker.parked.remove(&at);
        }
    }

    /// Receives a parked event once more without asking anybody: what it lacked may have come meanwhile.
    pub(super) async fn receive_alone(
        &self,
        room: &Arc<Room>,
        event: Verified,
    ) -> Result<Result<Outcome, ReceiveError>, StoreError> {
        let outcome = self.0.rooms.receive_ready(room, vec![event]).await?.pop();
        Ok(outcome.unwrap_or(Err(ReceiveError::Incomplete)))
    }
}

pub(super) fn dropped(room: &Room, origin: &str, refusal: &Refusal) {
    tracing::info!(room = %room.id, %origin, %refusal, "an event is dropped");
}
