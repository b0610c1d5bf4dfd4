//! Builds the services, bottom to top.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{StartError, profiles::AccountProfiles};
use crate::{
    clock::Clock,
    config::{self, Config},
    event::SigningKey,
    http::{Health, Limiter, Metrics, services::Services},
    ids::Ids,
    media::Media,
    notify::Notifier,
    rooms::{Presence, Receipts, Rooms, RoomsParts, Typing, Unread},
    school::{Rules, School, SchoolParts},
    store::{
        Batch, DataFolder, Durability, Events, Store, StoreError, StoreOptions, schema::META, state_tree::StateTree,
    },
    sync::{Sync, SyncParts},
    users::Users,
};

/// The row of [`META`] that holds the signing key.
const SIGNING_KEY: &str = "signing_key";

/// The services, and what only the start needs to know.
pub(super) struct Built {
    pub(super) services: Arc<Services>,
    /// Where the command line reaches the server.
    pub(super) admin_socket: PathBuf,
}

/// What `[database] memory` is divided into, in bytes.
struct Shares {
    /// Block cache and write buffers.
    engine: usize,
    /// Events, parsed.
    events: usize,
    /// Nodes of room states.
    states: usize,
}

impl Shares {
    /// A half to the engine. The caches above it save most reads of the rest and hold parsed values, which take
    /// several times the size of their rows: a sixteenth each. What remains is for connections, answers and passwords.
    fn of(memory: usize) -> Self {
        Self { engine: memory / 2, events: memory / 16, states: memory / 16 }
    }
}

/// Opens the data folder and builds every service.
pub(super) async fn build(config: Arc<Config>, clock: Clock, ids: Ids) -> Result<Built, StartError> {
    let server_name = config.server.name.clone();
    let shares = Shares::of(config.database.memory.as_usize());
    let (folder, store) = open_store(&config, shares.engine).await?;
    let key = Arc::new(signing_key(&store, &config).await?);

    let notifier = Notifier::start().map_err(|error| StartError::System { what: "the waking thread", error })?;
    let events = Events::new(store.clone(), shares.events);
    let tree = StateTree::new(store.clone(), shares.states);
    let users = Users::new(&config, store.clone(), clock.clone(), ids.clone(), notifier.clone())?;
    let media = open_media(&config, &folder, &store, &clock, &ids).await?;
    let rules = open_rules(&store, &config, &users, &clock).await?;
    let rooms = Rooms::new(RoomsParts {
        store: store.clone(),
        events,
        tree,
        clock: clock.clone(),
        ids: ids.clone(),
        notifier: notifier.clone(),
        key: key.clone(),
        server_name,
        policy: rules.clone(),
        profiles: Arc::new(AccountProfiles(users.clone())),
        push_rules: users.push_rules.clone(),
    });
    let school = School::new(SchoolParts {
        config: config.clone(),
        store: store.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        users: users.clone(),
        rooms: rooms.clone(),
        notifier: notifier.clone(),
        rules,
    })
    .await?;
    let receipts = Receipts::new(rooms.clone(), users.account_data.clone());
    let typing = Typing::new(rooms.clone());
    let presence = Presence::new(rooms.clone(), config.presence.enabled);
    let unread = Unread::new(rooms.clone(), users.push_rules.clone(), receipts.clone());
    let stopping = CancellationToken::new();
    let sync = Sync::new(SyncParts {
        rooms: rooms.clone(),
        receipts: receipts.clone(),
        typing: typing.clone(),
        presence: presence.clone(),
        unread: unread.clone(),
        users: users.clone(),
        notifier: notifier.clone(),
        clock: clock.clone(),
        stopping: stopping.clone(),
    });
    let services = Services {
        limiter: Limiter::new(&config.limits),
        metrics: Metrics::new(),
        health: Health::new(),
        stopping,
        config,
        clock,
        ids,
        store,
        notifier,
        key,
        users,
        media,
        rooms,
        school,
        receipts,
        typing,
        presence,
        unread,
        sync,
    };
    Ok(Built { services: Arc::new(services), admin_socket: folder.admin_socket() })
}

async fn open_store(config: &Config, memory_bytes: usize) -> Result<(DataFolder, Store), StartError> {
    let (path, name) = (config.database.path.clone(), config.server.name.clone());
    let durability = match config.database.durability {
        config::Durability::Fsync => Durability::Fsync,
        config::Durability::Os => Durability::Os,
    };
    let opened = blocking(move || {
        let folder = DataFolder::open(&path, name.as_str())?;
        let store = Store::open(&folder.database(), &StoreOptions { memory_bytes, durability })?;
        folder.seal(name.as_str())?;
        Ok::<_, StoreError>((folder, store))
    });
    Ok(opened.await??)
}

async fn open_media(
    config: &Config,
    folder: &DataFolder,
    store: &Store,
    clock: &Clock,
    ids: &Ids,
) -> Result<Media, StartError> {
    let (path, name, options) = (folder.media(), config.server.name.clone(), config.media.clone());
    let (store, clock, ids) = (store.clone(), clock.clone(), ids.clone());
    Ok(blocking(move || Media::open(path, name, options, store, clock, ids)).await??)
}

async fn open_rules(
    store: &Store,
    config: &Arc<Config>,
    users: &Users,
    clock: &Clock,
) -> Result<Arc<Rules>, StartError> {
    let (store, config, ignored, clock) = (store.clone(), config.clone(), users.ignored_lists.clone(), clock.clone());
    Ok(Arc::new(blocking(move || Rules::load_blocking(&store, &config, ignored, clock)).await??))
}

/// A part of the start that waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StartError::System { what: "the store", error: std::io::Error::other(error) })
}

/// The signing key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    /// What follows `ed25519:`.
    version: String,
    /// PKCS#8 in DER.
    der: Vec<u8>,
}

/// The server's signing key: made at the first start, the same ever after.
async fn signing_key(store: &Store, config: &Config) -> Result<SigningKey, StartError> {
    let damaged = |error: &dyn std::fmt::Display| StartError::Key(error.to_string());
    let (row, server_name) = (SIGNING_KEY.to_owned(), config.server.name.clone());
    if let Some(bytes) = store.get(&META, &row).await? {
        let stored: StoredKey = postcard::from_bytes(&bytes).map_err(|error| damaged(&error))?;
        return SigningKey::from_der(&stored.der, &stored.version, server_name).map_err(|error| damaged(&error));
    }
    let key = SigningKey::generate(server_name);
    let der = key.to_der().map_err(|error| damaged(&error))?.to_vec();
    let stored = StoredKey { version: key.version().to_owned(), der };
    let mut batch = Batch::new();
    batch.put(&META, &row, &postcard::to_stdvec(&stored).map_err(|error| damaged(&error))?);
    store.commit(batch).await?;
    tracing::info!(key_id = key.key_id(), "made the server's signing key");
    Ok(key)
}
