//! The inbox: events that were acknowledged and wait to be received, and a worker for each room that has some.
//!
//! A worker takes what waits in the order of arrival, verifies many events at once and adds those that lack nothing
//! under one lock. The others are parked: what they need is fetched beside, so that a server that does not answer
//! delays neither the room nor another server.
//!
//! What waits is counted by room and by whose it is (`pot`), from before it is written until its row has gone; what is
//! there when the server starts is counted before anything is taken in.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::ServerName;
use tokio::{
    runtime::Handle,
    sync::{OnceCell, Semaphore, SemaphorePermit},
};
use tokio_util::sync::CancellationToken;

use super::{parked::Lane, pot::Pot, taken::Taken};
use crate::{
    clock::Clock,
    places::{Holder, Place, Places},
    rooms::{
        Room, Rooms,
        receive::{Outcome, ReceiveError, Refusal, Verified},
    },
    store::{
        Batch, Order, Position, RoomNo, StoreError,
        schema::federation::{INBOX, InboxRecord},
    },
};

/// Events of one server that are put aside for a room, lacking something. From a part of that on it is asked to come back
/// (`taken`), but what was taken in before is put aside too.
const PARKED_MAX: usize = 20_000;
/// Events that are received under one lock.
const CHUNK: usize = 50;
/// Rooms at work at the same time: what they wait for is this machine, not others.
const ROOMS_AT_ONCE: usize = 8;
/// Events that are fetched for at the same time, over all rooms and servers.
const FETCHES_MAX: usize = 64;
/// Of these, events of one server: one that is in many rooms, and gives nothing, must leave places to others.
const FETCHES_OF_ONE_MAX: usize = 8;
/// Rows that are read at once when the server starts.
const PAGE: usize = 200;

/// The inbox. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inbox(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) rooms: Rooms,
    pub(super) clock: Clock,
    pub(super) stopping: CancellationToken,
    places: Semaphore,
    /// Fetching for parked events.
    fetches: Semaphore,
    origins: Places<Holder>,
    pub(super) workers: Mutex<HashMap<RoomNo, Worker>>,
    /// What was left in the inbox is counted.
    opened: OnceCell<()>,
}

/// What is known of a room with a non-empty inbox.
#[derive(Default)]
pub(super) struct Worker {
    /// A task is at work.
    running: bool,
    /// More has come since the task looked.
    again: bool,
    /// Rows that wait, and those that are about to be written; those that are parked are counted by lane.
    pub(super) waiting: Pot,
    /// Rows that are fetched for.
    parked: HashSet<Position>,
    /// Whose events those are.
    pub(super) lanes: HashMap<Holder, Lane>,
}

impl Worker {
    /// Nothing is known that has to be remembered.
    pub(super) fn is_idle(&self) -> bool {
        !self.running && self.waiting.is_empty() && self.parked.is_empty()
    }
}

impl Inner {
    /// Rows of these wait no more.
    pub(super) fn give_back<'a>(&self, room: RoomNo, holders: impl Iterator<Item = &'a Holder>) {
        let mut workers = self.workers.lock();
        let Some(worker) = workers.get_mut(&room) else { return };
        holders.for_each(|holder| worker.waiting.give_back(holder));
        if worker.is_idle() {
            workers.remove(&room);
        }
    }
}

/// A row of the inbox.
pub(super) struct Waiting {
    pub(super) at: Position,
    pub(super) record: InboxRecord,
}

impl Inbox {
    pub(super) fn new(rooms: Rooms, clock: Clock, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            rooms,
            clock,
            stopping,
            places: Semaphore::new(ROOMS_AT_ONCE),
            fetches: Semaphore::new(FETCHES_MAX),
            origins: Places::new(FETCHES_OF_ONE_MAX),
            workers: Mutex::default(),
            opened: OnceCell::new(),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Counts what was left in the inbox and starts the workers of its rooms, once. Before, nothing is taken in.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
        self.0.opened.get_or_try_init(|| self.resume()).await.map(drop)
    }

    async fn resume(&self) -> Result<(), StoreError> {
        let store = self.0.rooms.store();
        let mut found = HashMap::<RoomNo, Worker>::new();
        let (mut from, end) = ((RoomNo(0), Position::ZERO), (RoomNo(u64::MAX), Position::ZERO));
        loop {
            let rows = store.range(&INBOX, &from, &end, Order::Ascending, PAGE).await?;
            let Some(((room, at), _)) = rows.last() else { break };
            from = (*room, Position(at.0 + 1));
            for ((room, _), record) in rows {
                found.entry(room).or_default().waiting.add(&Holder::of(record.origin));
            }
        }
        let rooms: Vec<RoomNo> = found.keys().copied().collect();
        // Nobody else has been here yet.
        *self.0.workers.lock() = found;
        self.start(rooms, &Handle::current());
        Ok(())
    }

    /// Room for events of a server: none so far.
    pub(super) fn taking(&self, origin: &ServerName) -> Taken {
        Taken::new(&self.0, Holder::of(origin))
    }

    /// Has rooms worked off into whose inbox something has come.
    pub(super) fn start(&self, rooms: Vec<RoomNo>, runtime: &Handle) {
        let mut workers = self.0.workers.lock();
        for room in rooms {
            let worker = workers.entry(room).or_default();
            worker.again = true;
            if !worker.running {
                worker.running = true;
                let inbox = self.clone();
                runtime.spawn(async move { inbox.work(room).await });
            }
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
                if worker.is_idle() {
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
                None => self.done(number, &rows).await?,
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
                    done.push(row);
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
                _ => done.push(row),
            }
        }
        self.done(room.number, &done).await?;
        let left_out: Vec<_> = lacking.iter().filter(|row| !self.park(room, row)).map(|row| row.at).collect();
        self.delete(room.number, left_out.into_iter()).await
    }

    /// Rows that waited are dealt with.
    async fn done(&self, room: RoomNo, rows: &[Waiting]) -> Result<(), StoreError> {
        self.delete(room, rows.iter().map(|row| row.at)).await?;
        let holders: Vec<_> = rows.iter().map(|row| Holder::of(&row.record.origin)).collect();
        self.0.give_back(room, holders.iter());
        Ok(())
    }

    /// Deletes rows.
    pub(super) async fn delete(&self, room: RoomNo, rows: impl Iterator<Item = Position>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for at in rows {
            batch.delete(&INBOX, &(room, at));
        }
        if !batch.is_empty() {
            self.0.rooms.store().commit(batch).await?;
        }
        Ok(())
    }

    /// Puts a row aside, to be received with what another server has to be asked for. It waits no more. `false` if its
    /// server has too many there already: such a row is dropped, or the inbox of a room would be filled for all.
    fn park(&self, room: &Arc<Room>, row: &Waiting) -> bool {
        let holder = Holder::of(&row.record.origin);
        let mut workers = self.0.workers.lock();
        let worker = workers.entry(room.number).or_default();
        worker.waiting.give_back(&holder);
        let lane = worker.lanes.entry(holder.clone()).or_default();
        if lane.len() >= PARKED_MAX {
            let origin = &row.record.origin;
            tracing::warn!(room = %room.id, %origin, "an event is dropped: too many of its server lack something");
            return false;
        }
        worker.parked.insert(row.at);
        if lane.push(row.at) {
            let (inbox, room) = (self.clone(), room.clone());
            tokio::spawn(async move { inbox.work_lane(&room, &holder).await });
        }
        true
    }

    /// The next parked row of a server; without one, its lane ends.
    pub(super) fn next_parked(&self, room: RoomNo, holder: &Holder) -> Option<Position> {
        let mut workers = self.0.workers.lock();
        let worker = workers.get_mut(&room)?;
        let next = worker.lanes.get_mut(holder).and_then(Lane::next);
        if next.is_none() {
            worker.lanes.remove(holder);
            if worker.is_idle() {
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

    /// Waits until something may be fetched for an event of theirs.
    pub(super) async fn may_fetch(&self, holder: &Holder) -> (Place, Option<SemaphorePermit<'_>>) {
        let place = self.0.origins.enter(holder.clone()).await;
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

#[cfg(test)]
mod tests;
