//! Events as stored, and the bounded cache of those in use.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use ruma::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};

use super::{
    Batch, EventNo, RoomNo, Rows, Store, StoreError, UserNo,
    codec::Value,
    schema::rooms::{EVENT_IDS, EVENTS},
    state_tree::StateRoot,
};
use crate::event::{ClientEvent, Pdu};

mod refused;

const VERSION: u8 = 1;

/// What this server knows of an event beside its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The event's id.
    pub event_id: String,
    /// The sender.
    pub sender: UserNo,
    /// The room's state before the event.
    pub state_before: StateRoot,
    /// The room's state after it: the same unless it is a state event.
    pub state_after: StateRoot,
    /// Whether and why it does not count.
    pub verdict: Verdict,
    /// The redaction that emptied it.
    pub redacted_by: Option<EventNo>,
    /// The state event that it replaced.
    pub replaces_state: Option<EventNo>,
    /// The device and transaction id it was sent with, told to that device only.
    pub transaction: Option<(String, String)>,
}

/// The outcome of the checks on receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It counts.
    Accepted,
    /// Not allowed by the room's current state: kept, not shown, not built upon.
    SoftFailed(String),
    /// Not allowed: kept so that it is recognised, with the reason.
    Rejected(String),
    /// Allowed by its auth events; where it stands in the room, and the state there, is not known. It came as part of
    /// another event's state or auth chain.
    Outlier,
}

/// An event's row: version, order (8 bytes, so that the committer can set it), header, JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub(super) order: i64,
    pub(super) header: Header,
    pub(super) json: Box<str>,
}

impl Value for StoredEvent {
    fn encode(&self) -> Vec<u8> {
        encode(self.order, &self.header, &self.json)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (order, rest) = rest.split_first_chunk::<8>()?;
        if *version != VERSION {
            return None;
        }
        let (header, json) = postcard::take_from_bytes(rest).ok()?;
        Some(Self { order: i64::from_be_bytes(*order), header, json: std::str::from_utf8(json).ok()?.into() })
    }
}

fn encode(order: i64, header: &Header, json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + 192);
    out.push(VERSION);
    out.extend_from_slice(&order.to_be_bytes());
    // As in `codec`: a header that postcard could not express would leave a row that decodes as damaged.
    let mut out = postcard::to_extend(header, out).unwrap_or_default();
    out.extend_from_slice(json.as_bytes());
    out
}

/// The room's states around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatesAt {
    /// Before it.
    pub before: StateRoot,
    /// After it.
    pub after: StateRoot,
    /// The event it replaces, if it is state.
    pub replaces: Option<EventNo>,
}

/// An event at hand. Shared between the cache and everyone who reads it.
#[derive(Debug)]
pub struct Event {
    /// Its number.
    pub number: EventNo,
    /// Its room.
    pub room: RoomNo,
    /// Its place in the timeline; [`Event::UNPLACED`] for one that has none or is not committed yet.
    pub order: i64,
    /// What is known beside the JSON.
    pub header: Header,
    /// The event.
    pub pdu: Arc<Pdu>,
    /// The reader-independent part of its client form.
    pub client: ClientEvent,
    /// Whether other events relate to it: 0 unknown, 1 no, 2 yes.
    children: AtomicU8,
}

impl Event {
    /// The order of an event that stands in no timeline.
    pub const UNPLACED: i64 = i64::MAX;

    /// An event just built, before its commit.
    pub fn new(number: EventNo, room: RoomNo, header: Header, mut pdu: Pdu) -> Result<Self, StoreError> {
        pdu.rejected = matches!(header.verdict, Verdict::Rejected(_));
        let client = ClientEvent::from_pdu(&pdu).map_err(|_| corrupt("the event's JSON"))?;
        Ok(Self { number, room, order: Self::UNPLACED, header, pdu: Arc::new(pdu), client, children: AtomicU8::new(1) })
    }

    /// Whether other events relate to this one, as far as memory knows.
    pub fn has_children(&self) -> Option<bool> {
        match self.children.load(Ordering::Relaxed) {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        }
    }

    /// Remembers whether other events relate to this one.
    pub fn set_has_children(&self, has: bool) {
        let value = if has { 2 } else { 1 };
        if has {
            self.children.store(value, Ordering::Relaxed);
        } else {
            // A child may have arrived while the reader looked: "yes" is never taken back.
            let _ = self.children.compare_exchange(0, value, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn placed(&self, order: i64) -> Self {
        Self {
            number: self.number,
            room: self.room,
            order,
            header: self.header.clone(),
            pdu: self.pdu.clone(),
            client: self.client.clone(),
            children: AtomicU8::new(self.children.load(Ordering::Relaxed)),
        }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<(RoomNo, EventNo), Arc<Event>> for Weight {
    fn weight(&self, _: &(RoomNo, EventNo), event: &Arc<Event>) -> u64 {
        // JSON, content and client form, and about a kilobyte of identifiers and bookkeeping.
        (event.pdu.json.len() + event.pdu.content.get().len() + event.client.bytes.len() + 1024) as u64
    }
}

/// Events that are built and not yet durable.
#[derive(Default)]
struct Pending {
    events: HashMap<(RoomNo, EventNo), Arc<Event>>,
    ids: HashMap<OwnedEventId, (RoomNo, EventNo)>,
}

/// Reads and writes events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    store: Store,
    cache: Arc<Cache<(RoomNo, EventNo), Arc<Event>, Weight>>,
    /// Built, not yet durable: found by number like any other, because a room's next event stands on them.
    pending: Arc<Mutex<Pending>>,
}

impl Events {
    /// Keeps at most `cache_bytes` of events in memory.
    pub fn new(store: Store, cache_bytes: usize) -> Self {
        let cache = Cache::with_weighter(cache_bytes / 2048, cache_bytes as u64, Weight);
        Self { store, cache: Arc::new(cache), pending: Arc::default() }
    }

    /// An event by number.
    pub async fn get(&self, room: RoomNo, number: EventNo) -> Result<Option<Arc<Event>>, StoreError> {
        let key = (room, number);
        if let Some(event) = self.in_memory(key) {
            return Ok(Some(event));
        }
        let Some(stored) = self.store.get(&EVENTS, &key).await? else { return Ok(None) };
        self.keep_read(key, load(key, stored)?).map(Some)
    }

    /// Keeps an event that was read, unless the cache has one: it may have been redacted since it was read.
    fn keep_read(&self, key: (RoomNo, EventNo), event: Event) -> Result<Arc<Event>, StoreError> {
        self.cache.get_or_insert_with(&key, || Ok(Arc::new(event)))
    }

    /// An event that must exist, because another row names it.
    pub async fn require(&self, room: RoomNo, number: EventNo) -> Result<Arc<Event>, StoreError> {
        self.get(room, number).await?.ok_or_else(|| corrupt("an event that other rows name is missing"))
    }

    /// Many events of a room that must exist, in the order of the numbers; those not in memory are read in one go.
    pub async fn require_many(&self, room: RoomNo, numbers: &[EventNo]) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut found: Vec<_> = numbers.iter().map(|number| self.in_memory((room, *number))).collect();
        let missing: Vec<_> =
            found.iter().zip(numbers).filter(|(event, _)| event.is_none()).map(|(_, no)| (room, *no)).collect();
        if !missing.is_empty() {
            let mut read = self.store.multi_get(&EVENTS, &missing).await?.into_iter().zip(missing);
            for place in found.iter_mut().filter(|place| place.is_none()) {
                let Some((Some(stored), key)) = read.next() else { continue };
                *place = Some(self.keep_read(key, load(key, stored)?)?);
            }
        }
        let missing = || corrupt("an event that other rows name is missing");
        found.into_iter().map(|event| event.ok_or_else(missing)).collect()
    }

    /// An event by id, of whatever room; callers must bind it to the room they were asked about.
    pub async fn by_id(&self, id: &EventId) -> Result<Option<Arc<Event>>, StoreError> {
        match self.number_of(id).await? {
            Some((room, number)) => self.get(room, number).await,
            None => Ok(None),
        }
    }

    /// The room and number of an event by id.
    pub async fn number_of(&self, id: &EventId) -> Result<Option<(RoomNo, EventNo)>, StoreError> {
        let pending = self.pending.lock().ids.get(id).copied();
        match pending {
            Some(found) => Ok(Some(found)),
            None => self.store.get(&EVENT_IDS, &id.as_str().to_owned()).await,
        }
    }

    /// An event of this room by id; an event of another room is not found.
    pub async fn in_room(&self, room: RoomNo, id: &EventId) -> Result<Option<Arc<Event>>, StoreError> {
        Ok(self.by_id(id).await?.filter(|event| event.room == room))
    }

    /// Adds a new event's rows to a batch. `rows` runs with the event's order, to make the rows that contain it.
    pub fn add(&self, event: &Arc<Event>, batch: &mut Batch, rows: impl FnOnce(i64, &mut Rows) + Send + 'static) {
        self.add_after(0, event, batch, rows);
    }

    /// The same, leaving `skip` orders free before it: room for history that is fetched later.
    pub fn add_after(
        &self,
        skip: u64,
        event: &Arc<Event>,
        batch: &mut Batch,
        rows: impl FnOnce(i64, &mut Rows) + Send + 'static,
    ) {
        let key = (event.room, event.number);
        let guard = self.make_findable(event, batch);
        let mut value = encode(0, &event.header, &event.pdu.json);
        let (adding, cache) = (event.clone(), self.cache.clone());
        batch.at_position_after(skip, move |at, made| {
            let order = i64::try_from(at.0).unwrap_or(i64::MAX);
            if let Some(slot) = value.get_mut(1..9) {
                slot.copy_from_slice(&order.to_be_bytes());
            }
            made.put_encoded(&EVENTS, &key, value);
            rows(order, made);
            cache.insert(key, Arc::new(adding.placed(order)));
        });
        batch.on_publish(move |_| drop(guard));
    }

    /// Makes an event findable before its rows are in the batch, for as long as the batch is not given up: what decides
    /// where it stands has to look at it.
    pub fn hold(&self, event: &Arc<Event>, batch: &mut Batch) {
        let guard = self.make_findable(event, batch);
        batch.on_publish(move |_| drop(guard));
    }

    /// Adds the rows of an event whose order is known: [`Event::UNPLACED`] for one without a place in the timeline, and
    /// a free order below its neighbour for history that was fetched later.
    pub fn add_at(&self, order: i64, event: &Event, batch: &mut Batch) {
        let placed = Arc::new(event.placed(order));
        let key = (placed.room, placed.number);
        let guard = self.make_findable(&placed, batch);
        batch.put_encoded(&EVENTS, &key, encode(order, &placed.header, &placed.pdu.json));
        let cache = self.cache.clone();
        batch.on_publish(move |_| {
            cache.insert(key, placed);
            drop(guard);
        });
    }

    /// An event's id leads to it from now on, though it is not durable yet.
    fn make_findable(&self, event: &Arc<Event>, batch: &mut Batch) -> PendingGuard {
        let key = (event.room, event.number);
        batch.put(&EVENT_IDS, &event.header.event_id, &key);
        // It may have been an outlier until now.
        self.cache.remove(&key);
        let mut pending = self.pending.lock();
        pending.events.insert(key, event.clone());
        pending.ids.insert(event.pdu.event_id.clone(), key);
        PendingGuard { pending: self.pending.clone(), key, id: event.pdu.event_id.clone() }
    }

    /// Replaces an event by its redacted form.
    pub fn redact(&self, event: &Event, redacted: Pdu, by: EventNo, batch: &mut Batch) -> Result<(), StoreError> {
        let header = Header { redacted_by: Some(by), ..event.header.clone() };
        let changed = Event::new(event.number, event.room, header, redacted)?;
        self.replace(event, Event { order: event.order, ..changed }, batch);
        Ok(())
    }

    /// Replaces what is known of the states at an event, and of what it replaced there.
    pub fn restate(&self, event: &Event, states: StatesAt, batch: &mut Batch) {
        let StatesAt { before, after, replaces } = states;
        let states = Header { state_before: before, state_after: after, ..event.header.clone() };
        let header = Header { replaces_state: replaces, ..states };
        self.replace(event, Event { header, ..event.placed(event.order) }, batch);
    }

    /// An event that was rejected is soft-failed from now on.
    pub fn acquit(&self, event: &Event, batch: &mut Batch) {
        let Verdict::Rejected(reason) = &event.header.verdict else { return };
        let mut changed = event.placed(event.order);
        changed.header.verdict = Verdict::SoftFailed(reason.clone());
        Arc::make_mut(&mut changed.pdu).rejected = false;
        self.replace(event, changed, batch);
    }

    fn replace(&self, event: &Event, mut changed: Event, batch: &mut Batch) {
        let key = (event.room, event.number);
        changed.children = AtomicU8::new(0);
        batch.put_encoded(&EVENTS, &key, encode(event.order, &changed.header, &changed.pdu.json));
        let (cache, changed) = (self.cache.clone(), Arc::new(changed));
        batch.on_publish(move |_| cache.insert(key, changed));
    }

    /// Remembers that something relates to an event from now on.
    pub fn related(&self, room: RoomNo, parent: EventNo) {
        if let Some(event) = self.in_memory((room, parent)) {
            event.set_has_children(true);
        }
    }

    fn in_memory(&self, key: (RoomNo, EventNo)) -> Option<Arc<Event>> {
        self.cache.get(&key).or_else(|| self.pending.lock().events.get(&key).cloned())
    }
}

/// Takes an event out of the pending ones once it is durable, or once its batch is dropped.
struct PendingGuard {
    pending: Arc<Mutex<Pending>>,
    key: (RoomNo, EventNo),
    id: OwnedEventId,
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        let mut pending = self.pending.lock();
        pending.events.remove(&self.key);
        pending.ids.remove(&self.id);
    }
}

fn load((room, number): (RoomNo, EventNo), stored: StoredEvent) -> Result<Event, StoreError> {
    let id = OwnedEventId::try_from(stored.header.event_id.as_str()).map_err(|_| corrupt("the event id"))?;
    let pdu = Pdu::from_stored(id, stored.json).map_err(|_| corrupt("the event's JSON"))?;
    let mut event = Event::new(number, room, stored.header, pdu)?;
    event.order = stored.order;
    event.children = AtomicU8::new(0);
    Ok(event)
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt { table: EVENTS.name, what }
}
