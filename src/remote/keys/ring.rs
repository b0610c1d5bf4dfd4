//! Keys by server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Semaphore, watch};

use super::{
    fetch::{Asker, Pause},
    known::{Known, ServerKey},
    notary::OwnDocument,
    own::OwnKeys,
    source::KeySource,
};
use crate::{
    clock::Clock,
    config::Config,
    event::SigningKey,
    store::{
        Order, Store, StoreError,
        schema::federation::{KEY_DOCUMENTS, KeyDocumentRecord, SERVER_KEYS},
    },
};

/// Servers whose keys are kept in memory, and keys of all of them, some 400 bytes each.
const SERVERS_CACHED: usize = 10_000;
const KEYS_CACHED: u64 = 40_000;
/// Documents of servers that only strangers have named, and bytes of all of them.
const DOCUMENTS_CACHED: usize = 1_000;
const DOCUMENT_BYTES_CACHED: u64 = 16 << 20;
/// Servers whose failures are remembered.
const PAUSES_CACHED: usize = 10_000;
/// The most keys of one server that are kept. A server that changes its key every week has five years.
pub(super) const KEYS_KEPT_MAX: usize = 256;
/// Documents fetched at once, all together.
const FETCHES_MAX: usize = 64;
/// Documents fetched at once that nobody needs who has proved who they are: anybody may name servers that do not answer.
pub(super) const STRANGERS_MAX: usize = 8;

/// What a [`KeyRing`] is made of.
pub struct KeyRingParts {
    /// Gets the documents of others.
    pub source: Arc<dyn KeySource>,
    /// Keeps what was fetched over restarts.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// This server's keys.
    pub own: Arc<OwnKeys>,
    /// Who is talked to, and which notaries are trusted.
    pub config: Arc<Config>,
}

/// The keys of all servers. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing(pub(super) Arc<Ring>);

pub(super) struct Ring {
    pub(super) source: Arc<dyn KeySource>,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) own: Arc<OwnKeys>,
    pub(super) own_known: Arc<Known>,
    pub(super) own_document: Mutex<Option<OwnDocument>>,
    pub(super) config: Arc<Config>,
    pub(super) servers: Cache<OwnedServerName, Arc<Known>, Keys>,
    /// Documents that are not in the store.
    pub(super) documents: Cache<OwnedServerName, Arc<KeyDocumentRecord>, Bytes>,
    /// Until when a server is not asked again, by [`Clock::elapsed`].
    pub(super) pauses: Cache<OwnedServerName, Pause>,
    /// Fetches under way. Bounded by who waits for them and by `fetches`.
    pub(super) flights: Mutex<HashMap<(OwnedServerName, Asker), watch::Receiver<bool>>>,
    pub(super) fetches: Semaphore,
    /// The same for [`Asker::Stranger`].
    pub(super) strange_fetches: Semaphore,
    /// Threads that check signatures.
    pub(super) checkers: Arc<Semaphore>,
}

/// Weighs servers by their keys.
#[derive(Clone)]
pub(super) struct Keys;

impl Weighter<OwnedServerName, Arc<Known>> for Keys {
    fn weight(&self, _: &OwnedServerName, known: &Arc<Known>) -> u64 {
        known.keys.len() as u64 + 1
    }
}

/// Weighs documents by their bytes.
#[derive(Clone)]
pub(super) struct Bytes;

impl Weighter<OwnedServerName, Arc<KeyDocumentRecord>> for Bytes {
    fn weight(&self, _: &OwnedServerName, document: &Arc<KeyDocumentRecord>) -> u64 {
        document.json.len() as u64 + 256
    }
}

impl KeyRing {
    /// A ring over what is stored.
    pub fn new(parts: KeyRingParts) -> Self {
        let KeyRingParts { source, store, clock, own, config } = parts;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Ring {
            source,
            store,
            clock,
            own_known: Arc::new(own.known()),
            own,
            own_document: Mutex::default(),
            config,
            servers: Cache::with_weighter(SERVERS_CACHED, KEYS_CACHED, Keys),
            documents: Cache::with_weighter(DOCUMENTS_CACHED, DOCUMENT_BYTES_CACHED, Bytes),
            pauses: Cache::new(PAUSES_CACHED),
            flights: Mutex::default(),
            fetches: Semaphore::new(FETCHES_MAX),
            strange_fetches: Semaphore::new(STRANGERS_MAX),
            checkers: Arc::new(Semaphore::new(cores)),
        }))
    }

    /// The key this server signs with.
    pub fn signing_key(&self) -> &Arc<SigningKey> {
        self.0.own.current()
    }

    /// This server's name.
    pub fn server_name(&self) -> &ServerName {
        self.0.own.server_name()
    }

    /// Forgets that a server did not answer: it has just been heard from.
    pub fn heard_from(&self, server: &ServerName) {
        if self.0.pauses.peek(server).is_some_and(|pause| pause.failures > 0) {
            self.0.pauses.remove(server);
        }
    }
}

impl Ring {
    /// What is known of a server's keys without asking anybody.
    pub(super) async fn known(&self, server: &ServerName) -> Result<Arc<Known>, StoreError> {
        if server == self.own.server_name() {
            return Ok(self.own_known.clone());
        }
        if let Some(known) = self.servers.get(server) {
            return Ok(known);
        }
        let name = server.to_string();
        let rows = self.store.prefix(&SERVER_KEYS, &name, Order::Ascending, KEYS_KEPT_MAX).await?;
        let document = self.store.get(&KEY_DOCUMENTS, &name).await?;
        let keys = rows.into_iter().filter_map(|((_, key_id), row)| {
            Some((key_id.into(), ServerKey::read(&row.key, row.valid_until_ms, row.old)?))
        });
        let mut known = Known { keys: keys.collect(), ..Known::default() };
        known.kept = document.is_some() || !known.keys.is_empty();
        if let Some(document) = document {
            known.fetched_ms = document.fetched_ms;
            known.valid_until_ms = document.valid_until_ms.min(document.fetched_ms.saturating_add(WEEK_MS));
        }
        let known = Arc::new(known);
        // A fetch that ended meanwhile knows more than these rows.
        if let Some(newer) = self.servers.get(server) {
            return Ok(newer);
        }
        self.servers.insert(server.to_owned(), known.clone());
        Ok(known)
    }

    /// The newest document of a server, as it came.
    pub(super) async fn document(&self, server: &ServerName) -> Result<Option<Arc<KeyDocumentRecord>>, StoreError> {
        match self.documents.get(server) {
            Some(document) => Ok(Some(document)),
            None => Ok(self.store.get(&KEY_DOCUMENTS, &server.to_string()).await?.map(Arc::new)),
        }
    }
}

/// A document is not relied upon for longer, whatever it says, in milliseconds ("the lesser of this field and 7 days").
pub(super) const WEEK_MS: u64 = 7 * 24 * 3600 * 1000;

/// How long a fetch for something that waits may take, the notaries included.
pub(super) const FETCH_TIME_MAX: Duration = Duration::from_secs(25);
