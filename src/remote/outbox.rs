//! What other servers are to be told besides events.
//!
//! Messages from device to device, device lists and signing keys are durable: they are rows in the batch of whoever makes
//! them, and go out in their order. Receipts, typing and presence live in memory, the newest of each only. Who sends all
//! of it is the outbound side of the federation, which takes it from here.

mod durable;
mod fleeting;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedServerName, OwnedTransactionId, RoomId, ServerName, UserId,
    api::federation::transactions::edu::{
        DeviceListUpdateContent, DirectDeviceContent, DirectDeviceMessages, Edu, PresenceUpdate,
        SigningKeyUpdateContent,
    },
    events::{ToDeviceEventType, receipt::ReceiptThread},
};
use tokio::sync::Notify;

pub use self::fleeting::Taken;
use self::fleeting::{Fleeting, Item, Subject, WAITING_MAX};
use crate::{
    clock::Clock,
    config::Federation,
    ids::Ids,
    store::{
        Batch, ServerNo, Store, StoreError, UserNo,
        schema::federation::{DEVICE_STREAMS, OUTBOX, OutboxRecord},
    },
};

/// Characters of a message's id; the specification allows 32.
const MESSAGE_ID_LENGTH: usize = 24;
/// Messages to devices in one EDU, and their bytes, roughly: a transaction has its own bounds, and an EDU is not divided
/// there any more.
const MESSAGES_MAX: usize = 100;
const MESSAGES_BYTES_MAX: usize = 128 * 1024;
/// Users whose `stream_id`s are being raised, before those that are done are swept out.
const STREAMS_SWEEP: usize = 1_024;

/// The newest `stream_id` of a user that was handed to the committer.
type StreamPlace = Arc<Mutex<u64>>;

/// What an outbox is made of.
pub struct OutboxParts {
    /// Tables and the committer.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Message ids.
    pub ids: Ids,
    /// This server's name.
    pub server_name: OwnedServerName,
    /// Who may be told anything.
    pub federation: Federation,
}

/// Takes what is to be sent. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    parts: OutboxParts,
    streams: Mutex<HashMap<UserNo, Weak<Mutex<u64>>>>,
    waiting: Mutex<Waiting>,
    woken: Notify,
}

#[derive(Default)]
struct Waiting {
    fleeting: HashMap<ServerNo, Fleeting>,
    /// Items in all of `fleeting`.
    items: usize,
    /// Servers with something new.
    woken: BTreeSet<ServerNo>,
    /// Servers that do not work: what is only of interest at the moment is not kept for them.
    down: HashSet<ServerNo>,
}

impl Outbox {
    /// Nothing waits but what the tables hold.
    pub fn new(parts: OutboxParts) -> Self {
        let (streams, waiting) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { parts, streams, waiting, woken: Notify::new() }))
    }

    /// Whether a server may be told anything.
    pub fn allows(&self, server: &ServerName) -> bool {
        server != self.0.parts.server_name && self.0.parts.federation.allows(server)
    }

    /// Sends messages to devices of a server's users, when `batch` is committed. They arrive once, in the order of the
    /// commits. Nothing happens for a server that this one does not talk to.
    ///
    /// # Errors
    /// The store failed, or a message is not JSON.
    pub async fn to_device(
        &self,
        batch: &mut Batch,
        server: &ServerName,
        sender: &UserId,
        kind: &ToDeviceEventType,
        messages: DirectDeviceMessages,
    ) -> Result<(), StoreError> {
        if !self.allows(server) || messages.is_empty() {
            return Ok(());
        }
        let number = self.0.parts.store.mint_server(server, batch).await?;
        for part in divide(messages) {
            let id = OwnedTransactionId::from(self.0.parts.ids.opaque(MESSAGE_ID_LENGTH));
            let mut content = DirectDeviceContent::new(sender.to_owned(), kind.clone(), id);
            content.messages = part;
            let edu = text(&Edu::DirectToDevice(content))?;
            let record = OutboxRecord { made_ms: self.0.parts.clock.now_ms(), about: String::new(), edu };
            batch.at_position(move |at, rows| rows.put(&OUTBOX, &(number, at), &record));
        }
        self.wake_when_visible(batch, vec![number]);
        Ok(())
    }

    /// Tells servers of a change of a local user's device, when `batch` is committed. `stream_id` and `prev_id` of the
    /// content are set here. To be called for every change, also when no server is to be told: the next one must not seem
    /// to follow what they know.
    ///
    /// # Errors
    /// The store failed.
    pub async fn device_list(
        &self,
        batch: &mut Batch,
        servers: &[ServerNo],
        user: UserNo,
        content: DeviceListUpdateContent,
    ) -> Result<(), StoreError> {
        let servers = self.allowed(servers).await?;
        let place = self.stream_place(user).await?;
        let about = format!("device\0{}\0{}", content.user_id, content.device_id);
        let (made_ms, told) = (self.0.parts.clock.now_ms(), servers.clone());
        let held = place.clone();
        batch.at_position(move |at, rows| {
            let mut newest = place.lock();
            let (before, stream) = (*newest, newest.saturating_add(1));
            *newest = stream;
            rows.put(&DEVICE_STREAMS, &user, &stream);
            let mut content = content;
            content.stream_id = ruma::UInt::new_saturating(stream);
            content.prev_id = if before == 0 { Vec::new() } else { vec![ruma::UInt::new_saturating(before)] };
            // Made of texts and numbers: it can be written.
            let Ok(edu) = text(&Edu::DeviceListUpdate(content)) else { return };
            let record = OutboxRecord { made_ms, about, edu };
            for server in told {
                rows.put(&OUTBOX, &(server, at), &record);
            }
        });
        batch.on_publish(move |_| drop(held));
        self.wake_when_visible(batch, servers);
        Ok(())
    }

    /// The `stream_id` of the newest change of a local user's devices: what `GET /user/devices` answers.
    ///
    /// # Errors
    /// The store failed.
    pub async fn device_stream(&self, user: UserNo) -> Result<u64, StoreError> {
        Ok(self.0.parts.store.get(&DEVICE_STREAMS, &user).await?.unwrap_or_default())
    }

    /// Tells servers of new cross-signing keys of a local user, when `batch` is committed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn signing_keys(
        &self,
        batch: &mut Batch,
        servers: &[ServerNo],
        content: SigningKeyUpdateContent,
    ) -> Result<(), StoreError> {
        let servers = self.allowed(servers).await?;
        if servers.is_empty() {
            return Ok(());
        }
        let about = format!("keys\0{}", content.user_id);
        let record =
            OutboxRecord { made_ms: self.0.parts.clock.now_ms(), about, edu: text(&Edu::SigningKeyUpdate(content))? };
        let told = servers.clone();
        batch.at_position(move |at, rows| {
            for server in told {
                rows.put(&OUTBOX, &(server, at), &record);
            }
        });
        self.wake_when_visible(batch, servers);
        Ok(())
    }

    /// Tells servers how far a user has read in public (`m.read`; a private receipt never comes here). `servers` are those
    /// in the room. Waits for nothing: it may be called while a batch is published.
    pub fn receipt(
        &self,
        servers: impl IntoIterator<Item = ServerNo>,
        (room, user): (&RoomId, &UserId),
        event: &EventId,
        thread: ReceiptThread,
        ts: MilliSecondsSinceUnixEpoch,
    ) {
        let name = thread.as_str().unwrap_or_default().to_owned();
        let subject = Subject::Receipt(room.to_owned(), user.to_owned(), name);
        self.add(servers, subject, Item::Receipt { event: event.to_owned(), thread, ts });
    }

    /// Tells servers in a room whether somebody is typing there: until `until` on the clock's `elapsed`, or not any more.
    pub fn typing(
        &self,
        servers: impl IntoIterator<Item = ServerNo>,
        (room, user): (&RoomId, &UserId),
        until: Option<Duration>,
    ) {
        self.add(servers, Subject::Typing(room.to_owned(), user.to_owned()), Item::Typing { until });
    }

    /// Tells servers of somebody's presence. `servers` are those with users that may see it.
    pub fn presence(&self, servers: impl IntoIterator<Item = ServerNo>, update: PresenceUpdate) {
        let subject = Subject::Presence(update.user_id.clone());
        self.add(servers, subject, Item::Presence { update: Box::new(update), at: self.0.parts.clock.elapsed() });
    }

    fn add(&self, servers: impl IntoIterator<Item = ServerNo>, subject: Subject, item: Item) {
        if !self.0.parts.federation.is_on() {
            return;
        }
        let (subject, item) = (Arc::new(subject), Arc::new(item));
        let mut waiting = self.0.waiting.lock();
        for server in servers {
            waiting.add(server, &subject, &item);
        }
        let woken = !waiting.woken.is_empty();
        drop(waiting);
        if woken {
            self.0.woken.notify_one();
        }
    }

    async fn allowed(&self, servers: &[ServerNo]) -> Result<Vec<ServerNo>, StoreError> {
        let mut allowed = Vec::with_capacity(servers.len());
        for server in servers {
            if self.allows(&self.0.parts.store.server_name(*server).await?) {
                allowed.push(*server);
            }
        }
        Ok(allowed)
    }

    fn wake_when_visible(&self, batch: &mut Batch, servers: Vec<ServerNo>) {
        // The outbox holds the store, and what runs once a batch is visible must not be the last to do so.
        let inner = Arc::downgrade(&self.0);
        batch.on_visible(move || {
            if let Some(inner) = inner.upgrade() {
                inner.waiting.lock().woken.extend(servers);
                inner.woken.notify_one();
            }
        });
    }

    /// Where a user's stream stands, for a writer that raises it: held until that is durable, so that two batches of one
    /// user do not take the same number.
    async fn stream_place(&self, user: UserNo) -> Result<StreamPlace, StoreError> {
        let known = self.0.streams.lock().get(&user).and_then(Weak::upgrade);
        if let Some(place) = known {
            return Ok(place);
        }
        let stored = self.device_stream(user).await?;
        let mut streams = self.0.streams.lock();
        if let Some(place) = streams.get(&user).and_then(Weak::upgrade) {
            return Ok(place);
        }
        let place = Arc::new(Mutex::new(stored));
        if streams.len() >= STREAMS_SWEEP {
            streams.retain(|_, place| place.strong_count() > 0);
        }
        streams.insert(user, Arc::downgrade(&place));
        Ok(place)
    }

    /// Waits until there is something new for a server. For one listener.
    pub async fn woken(&self) {
        self.0.woken.notified().await;
    }

    /// The servers for which there is something new, each once.
    pub fn take_woken(&self) -> BTreeSet<ServerNo> {
        std::mem::take(&mut self.0.waiting.lock().woken)
    }

    /// Notes whether a server works. What is only of interest at the moment is dropped for one that does not.
    pub fn set_down(&self, server: ServerNo, down: bool) {
        let mut waiting = self.0.waiting.lock();
        if !down {
            waiting.down.remove(&server);
        } else if waiting.down.insert(server) {
            waiting.change(server, Fleeting::drop_momentary);
        }
    }

    /// Drops what waits in memory for a server: one that this server does not talk to.
    pub fn forget(&self, server: ServerNo) {
        self.0.waiting.lock().change(server, |fleeting| *fleeting = Fleeting::default());
    }
}

impl Waiting {
    fn add(&mut self, server: ServerNo, subject: &Arc<Subject>, item: &Arc<Item>) {
        if item.is_momentary() && self.down.contains(&server) {
            return;
        }
        let crowded = self.items >= WAITING_MAX;
        self.change(server, |fleeting| fleeting.add(subject.clone(), item.clone(), crowded));
        self.woken.insert(server);
    }

    /// Changes what waits for a server, and keeps count.
    fn change<T>(&mut self, server: ServerNo, change: impl FnOnce(&mut Fleeting) -> T) -> T {
        let fleeting = self.fleeting.entry(server).or_default();
        let before = fleeting.len();
        let answer = change(fleeting);
        let after = fleeting.len();
        if after == 0 {
            self.fleeting.remove(&server);
        }
        self.items = (self.items + after).saturating_sub(before);
        answer
    }
}

/// Divides messages into EDUs of bounded size.
fn divide(messages: DirectDeviceMessages) -> Vec<DirectDeviceMessages> {
    let mut parts = vec![DirectDeviceMessages::new()];
    let (mut count, mut bytes) = (0, 0);
    for (user, devices) in messages {
        for (device, message) in devices {
            let length = message.json().get().len();
            if count > 0 && (count == MESSAGES_MAX || bytes + length > MESSAGES_BYTES_MAX) {
                parts.push(DirectDeviceMessages::new());
                (count, bytes) = (0, 0);
            }
            (count, bytes) = (count + 1, bytes + length);
            if let Some(part) = parts.last_mut() {
                part.entry(user.clone()).or_default().insert(device, message);
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// An EDU as JSON.
fn text(edu: &Edu) -> Result<String, StoreError> {
    serde_json::to_string(edu).map_err(|_| StoreError::Corrupt { table: OUTBOX.name, what: "an EDU that is no JSON" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
