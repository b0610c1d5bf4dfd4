//! Receipts: how far each user has read (specification v1.19, client-server API, "Receipts", "Read and unread markers").
//!
//! A receipt is one row per (room, user, type, thread), and one row of a log by position, which is what `/sync` reads.
//! One user's receipts in one room are kept in memory as [`Marks`], because unread counts ask for them on every answer.

mod changes;
mod early;
mod marks;
mod receive;

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, events::receipt::ReceiptThread};

pub(super) use self::{early::EarlyReceipts, marks::Marks};
use super::{
    Room, Rooms, RoomsError,
    unread::{Facts, in_thread},
};
use crate::{
    notify::Concerned,
    store::{
        Batch, Event, Order, Position, RoomNo, StoreError, UserNo,
        schema::rooms::{RECEIPT_LOG, RECEIPTS, ReceiptRecord},
    },
    users::{AccountData, FULLY_READ, UsersError},
};

/// Pairs of user and room whose receipts are kept in memory.
const MARKS_KEPT: usize = 50_000;
/// What they weigh at most: receipts, some 300 bytes each.
const MARKS_WEIGHT: u64 = 250_000;
/// Receipts of one user in one room: one per thread and type. More are not read back.
const MARKS_MAX: usize = 4_096;
/// Locks that the pairs of user and room are spread over.
const LOCKS: usize = 256;

/// A public receipt.
pub(super) const READ: &str = "m.read";
/// A receipt that only its owner knows of.
pub(super) const READ_PRIVATE: &str = "m.read.private";

/// What a receipt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `m.read`: everybody in the room sees it.
    Read,
    /// `m.read.private`: only its owner sees it.
    ReadPrivate,
    /// `m.fully_read`: not a receipt but account data of the room.
    FullyRead,
}

/// A receipt to be recorded.
#[derive(Debug, Clone)]
pub struct NewReceipt {
    /// What it is for.
    pub marker: Marker,
    /// The event read up to.
    pub event_id: OwnedEventId,
    /// Which part of the room it is about.
    pub thread: ReceiptThread,
}

/// Why a receipt was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// The room or the event.
    #[error(transparent)]
    Rooms(#[from] RoomsError),
    /// The thread is none, or not the event's (`M_INVALID_PARAM`).
    #[error("{0}")]
    Thread(&'static str),
}

impl From<StoreError> for ReceiptsError {
    fn from(error: StoreError) -> Self {
        Self::Rooms(error.into())
    }
}

impl From<UsersError> for ReceiptsError {
    fn from(error: UsersError) -> Self {
        Self::Rooms(super::unread::from_users(error).into())
    }
}

/// Records and reads receipts. Cheap to clone.
#[derive(Clone)]
pub struct Receipts {
    inner: Arc<Inner>,
}

/// Weighs the receipts of a user in a room by their number.
#[derive(Clone)]
struct Marked;

impl Weighter<(UserNo, RoomNo), Arc<Marks>> for Marked {
    fn weight(&self, _: &(UserNo, RoomNo), marks: &Arc<Marks>) -> u64 {
        marks.rows().len() as u64 + 1
    }
}

struct Inner {
    rooms: Rooms,
    account_data: AccountData,
    marks: Arc<Cache<(UserNo, RoomNo), Arc<Marks>, Marked>>,
    /// Held from reading a pair's marks until their change is durable, so that no row of the log is forgotten.
    locks: Box<[Arc<tokio::sync::Mutex<()>>]>,
}

impl Receipts {
    /// Receipts over these parts.
    pub fn new(rooms: Rooms, account_data: AccountData) -> Self {
        let marks = Arc::new(Cache::with_weighter(MARKS_KEPT, MARKS_WEIGHT, Marked));
        let locks = (0..LOCKS).map(|_| Arc::default()).collect();
        Self { inner: Arc::new(Inner { rooms, account_data, marks, locks }) }
    }

    /// Records receipts of a user in one batch. One that does not go forward changes nothing.
    ///
    /// # Errors
    /// `Forbidden` for a room the user is not in, [`RoomsError::NoEvent`] for an event that is not in the room,
    /// [`ReceiptsError::Thread`].
    pub async fn set(&self, user: UserNo, room_id: &RoomId, new: &[NewReceipt]) -> Result<(), ReceiptsError> {
        let room = self.inner.rooms.joined_room(room_id, user).await?;
        let mut wanted = Vec::with_capacity(new.len());
        for receipt in new {
            let event = self.event(&room, &receipt.event_id).await?;
            let thread = self.thread(&room, &event, receipt).await?;
            wanted.push((receipt.marker, event, thread));
        }
        let lock = self.lock(room.number, user).await;
        let marks = self.load_marks(room.number, user).await?;
        let mut batch = Batch::new();
        let changed = Arc::new(Mutex::new(Vec::new()));
        let mut public = false;
        let (mut markers, mut told) = (Vec::new(), Vec::new());
        let now = self.inner.rooms.parts.clock.now();
        for (marker, event, thread) in wanted {
            let kind = match marker {
                Marker::Read => READ,
                Marker::ReadPrivate => READ_PRIVATE,
                Marker::FullyRead => {
                    markers.push(event);
                    continue;
                }
            };
            let kind = format!("{kind}\0{thread}");
            if Self::stage(&room, user, kind, (&event, now), &marks, &mut batch, &changed) && marker == Marker::Read {
                public = true;
                told.push((event.pdu.event_id.clone(), thread));
            }
        }
        if !batch.is_empty() {
            self.publish(&room, user, public, marks, changed, &mut batch);
            batch.on_publish(move |_| drop(lock));
        }
        self.commit(&room, user, markers, batch).await?;
        self.tell_servers(&room, user, told, now).await?;
        Ok(())
    }

    /// Where a user has read to in a room.
    pub(super) async fn marks(&self, room: RoomNo, user: UserNo) -> Result<Arc<Marks>, StoreError> {
        if let Some(marks) = self.inner.marks.get(&(user, room)) {
            return Ok(marks);
        }
        let _loading = self.lock(room, user).await;
        self.load_marks(room, user).await
    }

    /// The caller holds the pair's lock: what is read cannot be replaced meanwhile.
    async fn load_marks(&self, room: RoomNo, user: UserNo) -> Result<Arc<Marks>, StoreError> {
        if let Some(marks) = self.inner.marks.get(&(user, room)) {
            return Ok(marks);
        }
        let rows = self.inner.rooms.store().prefix(&RECEIPTS, &(room, user), Order::Ascending, MARKS_MAX).await?;
        let marks = Arc::new(Marks::new(rows.into_iter().map(|((_, _, kind), record)| (kind, record)).collect()));
        self.inner.marks.insert((user, room), marks.clone());
        Ok(marks)
    }

    async fn lock(&self, room: RoomNo, user: UserNo) -> tokio::sync::OwnedMutexGuard<()> {
        let slot = usize::try_from(room.0.wrapping_mul(31).wrapping_add(user.0)).unwrap_or_default() % LOCKS;
        match self.inner.locks.get(slot) {
            Some(lock) => lock.clone().lock_owned().await,
            None => Arc::<tokio::sync::Mutex<()>>::default().lock_owned().await,
        }
    }

    async fn event(&self, room: &Room, id: &EventId) -> Result<Arc<Event>, ReceiptsError> {
        let event = self.inner.rooms.events().in_room(room.number, id).await?;
        Ok(event.ok_or(RoomsError::NoEvent)?)
    }

    /// The thread part of the receipt's key, after checking that it fits the event.
    async fn thread(&self, room: &Room, event: &Arc<Event>, receipt: &NewReceipt) -> Result<String, ReceiptsError> {
        if receipt.marker == Marker::FullyRead && receipt.thread != ReceiptThread::Unthreaded {
            return Err(ReceiptsError::Thread("A fully read marker has no thread_id"));
        }
        match &receipt.thread {
            ReceiptThread::Unthreaded => Ok(String::new()),
            ReceiptThread::Main => match Facts::root_of(self.inner.rooms.events(), room.number, event).await? {
                None => Ok("main".to_owned()),
                Some(_) => Err(ReceiptsError::Thread("The event is in a thread, not in the main timeline")),
            },
            ReceiptThread::Thread(thread) => {
                if in_thread(self.inner.rooms.events(), room.number, event, thread).await? {
                    Ok(thread.to_string())
                } else {
                    Err(ReceiptsError::Thread("The event is not related to this thread"))
                }
            }
            _ => Err(ReceiptsError::Thread("thread_id is neither \"main\" nor an event id")),
        }
    }

    /// Adds a receipt's rows, if it goes forward.
    fn stage(
        room: &Room,
        user: UserNo,
        kind: String,
        (event, ts): (&Event, MilliSecondsSinceUnixEpoch),
        marks: &Marks,
        batch: &mut Batch,
        changed: &Arc<Mutex<Vec<(String, ReceiptRecord)>>>,
    ) -> bool {
        let order = (event.order != Event::UNPLACED).then_some(event.order);
        let old = marks.get(&kind);
        if old.is_some_and(|old| order <= old.order) {
            return false;
        }
        let old = old.map(|old| old.position);
        let (event_id, ts) = (event.pdu.event_id.to_string(), u64::from(ts.get()));
        let (room, changed) = (room.number, changed.clone());
        batch.at_position(move |position, rows| {
            if let Some(old) = old {
                rows.delete(&RECEIPT_LOG, &(room, old));
            }
            let record = ReceiptRecord { event_id, order, ts, position };
            rows.put(&RECEIPTS, &(room, user, kind.clone()), &record);
            rows.put(&RECEIPT_LOG, &(room, position), &(user, kind.clone()));
            changed.lock().push((kind, record));
        });
        true
    }

    /// What happens once the receipts are durable.
    fn publish(
        &self,
        room: &Arc<Room>,
        user: UserNo,
        public: bool,
        marks: Arc<Marks>,
        changed: Arc<Mutex<Vec<(String, ReceiptRecord)>>>,
        batch: &mut Batch,
    ) {
        let (room, present, kept) = (room.clone(), room.clone(), self.inner.marks.clone());
        let notifier = self.inner.rooms.parts.notifier.clone();
        batch.on_publish(move |position| {
            let changed = std::mem::take(&mut *changed.lock());
            kept.insert((user, room.number), Arc::new(marks.with(&changed)));
            room.set_receipts_position(position);
        });
        batch.on_visible(move || {
            notifier.wake(Concerned::User(user.0));
            if public {
                notifier.wake(Concerned::Users(present.view().joined.clone()));
            }
        });
    }

    /// Adds the fully-read marker to the batch, and commits.
    async fn commit(
        &self,
        room: &Room,
        user: UserNo,
        markers: Vec<Arc<Event>>,
        mut batch: Batch,
    ) -> Result<(), ReceiptsError> {
        let data = &self.inner.account_data;
        let store = self.inner.rooms.store();
        let Some(marker) = markers.into_iter().max_by_key(|event| event.order) else {
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
            return Ok(());
        };
        let _guard = data.lock(user).await;
        if self.fully_read_order(room, user).await?.is_none_or(|old| marker.order > old) {
            let content = serde_json::json!({ "event_id": marker.pdu.event_id });
            let content = serde_json::value::to_raw_value(&content).map_err(|_| RoomsError::NoEvent)?;
            data.stage(&mut batch, user, Some(room.number), FULLY_READ, &content).await?;
        }
        if !batch.is_empty() {
            store.commit(batch).await?;
        }
        Ok(())
    }

    /// Where the fully-read marker stands, if it stands at an event this server knows.
    async fn fully_read_order(&self, room: &Room, user: UserNo) -> Result<Option<i64>, ReceiptsError> {
        #[derive(serde::Deserialize)]
        struct Content {
            event_id: OwnedEventId,
        }
        let Some(content) = self.inner.account_data.get(user, Some(room.number), FULLY_READ).await? else {
            return Ok(None);
        };
        let Ok(content) = serde_json::from_str::<Content>(content.get()) else { return Ok(None) };
        Ok(self.inner.rooms.events().in_room(room.number, &content.event_id).await?.map(|event| event.order))
    }

    /// The newest receipt of a room. Read from the log once after a start, from memory then.
    async fn newest(&self, room: &Room) -> Result<Position, StoreError> {
        let known = room.receipts_position();
        if known != Position::ZERO {
            return Ok(known);
        }
        let rows = self.inner.rooms.store().prefix(&RECEIPT_LOG, &room.number, Order::Descending, 1).await?;
        // Position 1 is older than any room: it stands for "there is none".
        let newest = rows.first().map_or(Position(1), |((_, position), _)| *position);
        room.set_receipts_position(newest);
        Ok(newest)
    }
}
