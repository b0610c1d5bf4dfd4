//! What is known of each other server: whether it answers, since when not, when it is tried again, and how far it was
//! told of this server's events. One record for all requests and for the outbound task.
//!
//! The record in memory is the truth; rows are made from it when their batch takes its place in the order of commits, so
//! the last row written is always the newest. Servers that have no number (this server shares no room with them) are
//! kept in memory only: strangers' names must not fill the disk.

mod entry;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::broadcast;

pub(super) use self::entry::Attempt;
use self::entry::Entry;
use crate::{
    clock::Clock,
    ids::Ids,
    store::{
        Batch, Order, Position, Store, StoreError,
        schema::federation::{DESTINATIONS, DestinationRecord},
    },
};

/// Servers kept in memory, some 300 bytes each. Beyond that, those that nobody is using are dropped; what matters of
/// them is on disk.
const KEPT_MAX: usize = 20_000;
/// Names waiting for a slow listener of [`Destinations::returned`].
const RETURNED_MAX: usize = 1_024;

/// All other servers. Cheap to clone.
#[derive(Clone)]
pub struct Destinations(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    ids: Ids,
    entries: Mutex<HashMap<OwnedServerName, Arc<Entry>>>,
    returned: broadcast::Sender<OwnedServerName>,
}

impl Destinations {
    pub(super) fn new(store: Store, clock: Clock, ids: Ids) -> Self {
        let returned = broadcast::Sender::new(RETURNED_MAX);
        Self(Arc::new(Inner { store, clock, ids, entries: Mutex::default(), returned }))
    }

    /// What is known of a server.
    pub async fn get(&self, server: &ServerName) -> Result<DestinationRecord, StoreError> {
        Ok(self.entry(server).await?.record())
    }

    /// Until when the server is to be left alone, Unix milliseconds; `None` if it may be asked now.
    pub async fn pausing(&self, server: &ServerName) -> Result<Option<u64>, StoreError> {
        Ok(self.entry(server).await?.pausing(self.0.clock.now_ms()))
    }

    /// Waits until the server may be asked: at once, when its pause has passed, or when it was heard from.
    pub async fn until_due(&self, server: &ServerName) -> Result<(), StoreError> {
        let entry = self.entry(server).await?;
        let mut changes = entry.changes();
        loop {
            let now_ms = self.0.clock.now_ms();
            let Some(until_ms) = entry.pausing(now_ms) else { return Ok(()) };
            let pause = self.0.clock.sleep(Duration::from_millis(until_ms.saturating_sub(now_ms)));
            tokio::select! {
                () = pause => {}
                // The entry is held here, so its sender lives.
                _ = changes.changed() => {}
            }
        }
    }

    /// Names of servers that work again after they had failed: they answered, or asked something. A listener that
    /// lags has to look at all servers it waits for.
    pub fn returned(&self) -> broadcast::Receiver<OwnedServerName> {
        self.0.returned.subscribe()
    }

    /// A request came from the server, with a valid signature: it is up again, so its pause ends. If asking it fails
    /// nevertheless, the next requests of it end no pause for a while.
    pub async fn heard_from(&self, server: &ServerName) -> Result<(), StoreError> {
        let entry = self.entry(server).await?;
        if entry.heard_from(self.0.clock.now_ms()) {
            self.tell(&entry);
            self.write(&entry).await;
        }
        Ok(())
    }

    /// Notes that everything of [`OUTGOING`](crate::store::schema::federation::OUTGOING) up to `sent` has reached the
    /// server, in the caller's batch. It never goes backwards.
    pub async fn stage_sent(&self, server: &ServerName, sent: Position, batch: &mut Batch) -> Result<(), StoreError> {
        let number = self.0.store.mint_server(server, batch).await?;
        let entry = self.entry(server).await?;
        batch.rows_later(move |rows| rows.put(&DESTINATIONS, &number, &entry.set_sent(sent)));
        Ok(())
    }

    /// The same as a commit of its own.
    pub async fn set_sent(&self, server: &ServerName, sent: Position) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        self.stage_sent(server, sent, &mut batch).await?;
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Every server with a row, at most `limit`, in the order in which they were met.
    pub async fn list(&self, limit: usize) -> Result<Vec<(OwnedServerName, DestinationRecord)>, StoreError> {
        let rows = self.0.store.prefix(&DESTINATIONS, &(), Order::Ascending, limit).await?;
        let mut found = Vec::with_capacity(rows.len());
        for (number, stored) in rows {
            let name = self.0.store.server_name(number).await?;
            let kept = self.0.entries.lock().get(&name).map(|entry| entry.record());
            found.push((name, kept.unwrap_or(stored)));
        }
        Ok(found)
    }

    /// Before a request: what [`Destinations::record_failure`] needs.
    pub(super) async fn attempt(&self, server: &ServerName) -> Result<Attempt, StoreError> {
        let entry = self.entry(server).await?;
        Ok(Attempt::new(entry, self.0.clock.now_ms()))
    }

    /// The server answered.
    pub(super) async fn record_success(&self, attempt: &Attempt) {
        let changed = attempt.entry.succeeded(self.0.clock.now_ms());
        if changed.returned {
            self.tell(&attempt.entry);
        }
        if changed.write {
            self.write(&attempt.entry).await;
        }
    }

    /// The server is down; `asked` is how long it wants to be left alone. Requests that fail together count once.
    pub(super) async fn record_failure(&self, attempt: &Attempt, asked: Option<Duration>) {
        let chance = u32::from_be_bytes(self.0.ids.bytes());
        if attempt.entry.failed(attempt.failures, self.0.clock.now_ms(), asked, chance) {
            self.write(&attempt.entry).await;
        }
    }

    fn tell(&self, entry: &Entry) {
        entry.wake();
        // Nobody may be listening.
        let _ = self.0.returned.send(entry.name().to_owned());
    }

    async fn entry(&self, server: &ServerName) -> Result<Arc<Entry>, StoreError> {
        if let Some(entry) = self.0.entries.lock().get(server) {
            return Ok(entry.clone());
        }
        let number = self.0.store.server(server).await?;
        let stored = match number {
            Some(number) => self.0.store.get(&DESTINATIONS, &number).await?,
            None => None,
        };
        let mut entries = self.0.entries.lock();
        if entries.len() >= KEPT_MAX {
            entries.retain(|_, entry| Arc::strong_count(entry) > 1);
        }
        let fresh = || Arc::new(Entry::new(server.to_owned(), stored.unwrap_or_default()));
        Ok(entries.entry(server.to_owned()).or_insert_with(fresh).clone())
    }

    /// Makes the record durable. A store that fails says so by itself, and the request must not fail for it.
    async fn write(&self, entry: &Arc<Entry>) {
        let number = match self.0.store.server(entry.name()).await {
            Ok(Some(number)) => number,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "what is known of a server could not be kept"),
        };
        let mut batch = Batch::new();
        let source = entry.clone();
        batch.rows_later(move |rows| rows.put(&DESTINATIONS, &number, &source.record()));
        if let Err(error) = self.0.store.commit(batch).await {
            tracing::warn!(%error, "what is known of a server could not be kept");
        }
    }
}
