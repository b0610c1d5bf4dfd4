//! Transactions: `PUT /_matrix/federation/v1/send/{txnId}`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{super::devices::Devices, inbox::Inbox};
use crate::{
    clock::Clock,
    event::Pdu,
    rooms::{Presence, Receipts, Room, Rooms, Typing},
    store::{
        Batch, Order, ServerNo, StoreError,
        schema::federation::{INBOUND_TRANSACTIONS, INBOX, InboxRecord},
    },
};

/// Events of one transaction (spec v1.19, "Transactions").
const PDUS_MAX: usize = 50;
/// Transactions whose answers are kept for servers that did not get them.
const ANSWERS_KEPT: usize = 4_096;
/// How long it is remembered that a transaction was taken in, in milliseconds.
const REMEMBERED_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often old ones are forgotten.
const TIDIED: Duration = Duration::from_hours(1);
/// Rows that a sweep looks at in one go.
const SWEEP_PAGE: usize = 1_000;

/// What the answer says of each event: nothing, or why it was not taken.
pub type Answers = BTreeMap<OwnedEventId, Result<(), String>>;

/// Why a transaction is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It holds more than a transaction may.
    #[error("a transaction holds at most {PDUS_MAX} events")]
    TooMany,
    /// Too much of this server waits already for a room; it is to come back.
    #[error("too many events wait to be received")]
    Full,
}

/// What [`Inbound`] is built from.
pub struct InboundParts {
    /// Rooms and their events.
    pub rooms: Rooms,
    /// Who types.
    pub typing: Typing,
    /// Who has read what.
    pub receipts: Receipts,
    /// Who is there.
    pub presence: Presence,
    /// What others tell of devices.
    pub devices: Devices,
    /// The time.
    pub clock: Clock,
    /// Ends the workers.
    pub stopping: CancellationToken,
}

/// Takes in what other servers send. Cheap to clone.
#[derive(Clone)]
pub struct Inbound {
    pub(super) rooms: Rooms,
    pub(super) typing: Typing,
    pub(super) receipts: Receipts,
    pub(super) presence: Presence,
    pub(super) devices: Devices,
    clock: Clock,
    pub(super) inbox: Inbox,
    /// A server's transactions come one after the other.
    locks: Arc<Mutex<HashMap<OwnedServerName, Weak<tokio::sync::Mutex<()>>>>>,
    answers: Arc<Cache<(OwnedServerName, String), Arc<Answers>>>,
}

/// What of an event says where it belongs.
#[derive(Deserialize)]
struct Address {
    room_id: Option<OwnedRoomId>,
}

/// An event of a transaction.
enum Item {
    /// To be received.
    Waits { room: Arc<Room>, json: String },
    /// Not of this server's business, or here already.
    Settled,
}

impl Inbound {
    /// Over these parts.
    pub fn new(parts: InboundParts) -> Self {
        let InboundParts { rooms, typing, receipts, presence, devices, clock, stopping } = parts;
        let inbox = Inbox::new(rooms.clone(), clock.clone(), stopping);
        let answers = Arc::new(Cache::new(ANSWERS_KEPT));
        Self { rooms, typing, receipts, presence, devices, clock, inbox, locks: Arc::default(), answers }
    }

    /// Goes on with what was left in the inbox, and forgets what is old from time to time. Never ends by itself.
    pub async fn run(self) {
        if let Err(error) = self.inbox.open().await {
            tracing::error!(%error, "what was left in the inbox cannot be read");
        }
        loop {
            self.clock.sleep(TIDIED).await;
            if let Err(error) = self.tidy().await {
                tracing::error!(%error, "old transactions cannot be forgotten");
            }
        }
    }

    /// Takes the events of a transaction into the inbox. Its ephemeral items are dealt with by the caller, first; `new`
    /// is `false` for a transaction that was taken in before.
    ///
    /// # Errors
    /// [`TransactionError::TooMany`], [`TransactionError::Full`].
    pub async fn transaction(
        &self,
        origin: &ServerName,
        transaction_id: &str,
        pdus: &[Box<RawValue>],
    ) -> Result<Arc<Answers>, TransactionError> {
        if pdus.len() > PDUS_MAX {
            return Err(TransactionError::TooMany);
        }
        let key = (origin.to_owned(), transaction_id.to_owned());
        let lock = self.lock_of(origin);
        let _one_at_a_time = lock.lock().await;
        if let Some(answer) = self.answers.get(&key) {
            return Ok(answer);
        }
        let mut answers = Answers::new();
        if !pdus.is_empty() && !self.was_taken(origin, transaction_id).await? {
            self.take(origin, transaction_id, pdus, &mut answers).await?;
        }
        let answers = Arc::new(answers);
        self.answers.insert(key, answers.clone());
        Ok(answers)
    }

    /// Whether a transaction has been taken in, as far as memory knows: its ephemeral items are not wanted twice.
    pub fn is_repeated(&self, origin: &ServerName, transaction_id: &str) -> bool {
        self.answers.get(&(origin.to_owned(), transaction_id.to_owned())).is_some()
    }

    async fn take(
        &self,
        origin: &ServerName,
        transaction_id: &str,
        pdus: &[Box<RawValue>],
        answers: &mut Answers,
    ) -> Result<(), TransactionError> {
        self.inbox.open().await?;
        let store = self.rooms.store();
        let known = store.server(origin).await?;
        let mut batch = Batch::new();
        let mut taken = self.inbox.taking(origin);
        for pdu in pdus {
            let Item::Waits { room, json } = self.item(origin, pdu, answers).await? else { continue };
            let is_in_room = known.is_some_and(|known| room.view().has_server(known));
            if !taken.add(room.number, is_in_room) {
                return Err(TransactionError::Full);
            }
            let (number, record) = (room.number, InboxRecord { origin: origin.to_string(), json });
            batch.at_position(move |at, rows| rows.put(&INBOX, &(number, at), &record));
        }
        // What is of no room of ours leaves nothing behind, and is found to be that once more if it comes again.
        if taken.is_empty() {
            return Ok(());
        }
        let server = store.mint_server(origin, &mut batch).await?;
        batch.put(&INBOUND_TRANSACTIONS, &(server, transaction_id.to_owned()), &self.clock.now_ms());
        // Whether anybody waits for the answer or not: what is written is counted and worked off.
        let runtime = Handle::current();
        batch.on_visible(move || taken.arrived(&runtime));
        store.commit(batch).await?;
        Ok(())
    }

    /// Looks at an event: is it one, of a room in which somebody of this server is, and may its server send there?
    async fn item(&self, origin: &ServerName, pdu: &RawValue, answers: &mut Answers) -> Result<Item, StoreError> {
        // Events of unknown rooms cannot be named in the answer: their ids depend on the room's version.
        let Ok(Address { room_id: Some(room_id) }) = serde_json::from_str(pdu.get()) else { return Ok(Item::Settled) };
        let Some(room) = self.rooms.by_id(&room_id).await? else {
            // It may end what somebody here is to the room from outside.
            self.rooms.hear_outside(&room_id, pdu.get()).await?;
            return Ok(Item::Settled);
        };
        // The canonical form waits: what comes may be padded with whitespace and `unsigned` to any length.
        let Pdu { event_id, json, .. } = match Pdu::parse(pdu.get().as_bytes(), &room.rules) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::debug!(%origin, room = %room.id, %error, "what came is no event of this room version");
                return Ok(Item::Settled);
            }
        };
        let view = room.view();
        let refusal = if view.joined.is_empty() && self.rooms.hear_outside(&room_id, pdu.get()).await? {
            answers.insert(event_id, Ok(()));
            return Ok(Item::Settled);
        } else if view.joined.is_empty() {
            Some("nobody of this server is in the room")
        } else if !view.admits(origin) {
            Some("the room does not admit this server")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            answers.insert(event_id, Err(refusal.to_owned()));
            return Ok(Item::Settled);
        }
        answers.insert(event_id, Ok(()));
        Ok(Item::Waits { room, json: json.into() })
    }

    async fn was_taken(&self, origin: &ServerName, transaction_id: &str) -> Result<bool, StoreError> {
        let store = self.rooms.store();
        let Some(server) = store.server(origin).await? else { return Ok(false) };
        Ok(store.get(&INBOUND_TRANSACTIONS, &(server, transaction_id.to_owned())).await?.is_some())
    }

    fn lock_of(&self, origin: &ServerName) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock();
        if let Some(lock) = locks.get(origin).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(origin.to_owned(), Arc::downgrade(&lock));
        lock
    }

    /// Forgets transactions of long ago.
    async fn tidy(&self) -> Result<(), StoreError> {
        let store = self.rooms.store();
        let old = self.clock.now_ms().saturating_sub(REMEMBERED_MS);
        let (mut from, end) = ((ServerNo(0), String::new()), (ServerNo(u64::MAX), String::new()));
        loop {
            let rows = store.range(&INBOUND_TRANSACTIONS, &from, &end, Order::Ascending, SWEEP_PAGE).await?;
            let Some(((server, id), _)) = rows.last() else { return Ok(()) };
            // The next possible key.
            from = (*server, format!("{id}\0"));
            let mut batch = Batch::new();
            for (key, _) in rows.iter().filter(|(_, at)| *at < old) {
                batch.delete(&INBOUND_TRANSACTIONS, key);
            }
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
        }
    }
}
