//! Builds the services, bottom to top.

use std::{path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{StartError, profiles::AccountProfiles};
use crate::{
    clock::Clock,
    config::{self, Config},
    federation::{
        Federation,
        devices::{Devices, DevicesParts},
        inbound::{Inbound, InboundParts},
        outbound::{Outbound, OutboundParts},
    },
    http::{Health, Limiter, Metrics, Origins, Unverified, services::Services},
    ids::Ids,
    media::Media,
    notify::Notifier,
    remote::{Outbox, OutboxParts, Remote, RemoteParts, keys::OwnKeys},
    rooms::{Presence, Receipts, Rooms, RoomsParts, Typing, Unread},
    school::{Rules, School, SchoolParts},
    store::{DataFolder, Durability, Events, Store, StoreError, StoreOptions, state_tree::StateTree},
    sync::{Sync, SyncParts},
    users::Users,
};

/// The services, and what only the start needs to know.
pub(super) struct Built {
    pub(super) services: Arc<Services>,
    /// Where the command line reaches the server.
    pub(super) admin_socket: PathBuf,
    /// Where certificates of an authority are kept, and our account with it.
    pub(super) acme: PathBuf,
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
    let own = OwnKeys::open(&store, &clock, server_name.clone()).await?;
    let key = own.current().clone();
    let remote = open_remote(&store, &config, &clock, &ids, own).await?;

    let outbox = Outbox::new(OutboxParts {
        store: store.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        server_name: server_name.clone(),
        federation: config.federation.clone(),
    });

    let notifier = Notifier::start().map_err(|error| StartError::System { what: "the waking thread", error })?;
    let events = Events::new(store.clone(), shares.events);
    let tree = StateTree::new(store.clone(), shares.states);
    let users = Users::new(&config, store.clone(), clock.clone(), ids.clone(), notifier.clone(), outbox.clone())?;
    let media = open_media(&config, &folder, &store, &clock, &ids).await?;
    media.ask_others(remote.clone());
    let rules = open_rules(&store, &config, &users, &clock).await?;
    let outgoing = Arc::<tokio::sync::Notify>::default();
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
        remote: remote.clone(),
        outbox: outbox.clone(),
        outgoing: outgoing.clone(),
    });
    let ground = Ground { config, clock, ids, store, notifier, users, rooms, remote, outbox, rules };
    let school = ground.school().await?;
    let moments = Moments::new(&ground);
    let stopping = CancellationToken::new();
    let sync = ground.sync(&moments, &stopping);
    let federation = ground.federation(&moments, outgoing, &stopping);
    let Ground { config, clock, ids, store, notifier, users, rooms, remote, outbox, .. } = ground;
    let Moments { receipts, typing, presence, unread } = moments;
    let services = Services {
        federation,
        outbox,
        limiter: Limiter::new(&config.limits),
        origins: Origins::default(),
        unverified: Unverified::default(),
        metrics: Metrics::new(),
        health: Health::new(),
        stopping,
        config,
        clock,
        ids,
        store,
        notifier,
        key,
        remote,
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
    Ok(Built { services: Arc::new(services), admin_socket: folder.admin_socket(), acme: folder.acme() })
}

/// What most services are built on.
struct Ground {
    config: Arc<Config>,
    clock: Clock,
    ids: Ids,
    store: Store,
    notifier: Notifier,
    users: Users,
    rooms: Rooms,
    remote: Remote,
    outbox: Outbox,
    rules: Arc<Rules>,
}

/// What is true of people for the moment, and what they have read.
struct Moments {
    receipts: Receipts,
    typing: Typing,
    presence: Presence,
    unread: Unread,
}

impl Moments {
    fn new(ground: &Ground) -> Self {
        let Ground { rooms, users, config, .. } = ground;
        let receipts = Receipts::new(rooms.clone(), users.account_data.clone());
        Self {
            typing: Typing::new(rooms.clone()),
            presence: Presence::new(rooms.clone(), config.presence.enabled),
            unread: Unread::new(rooms.clone(), users.push_rules.clone(), receipts.clone()),
            receipts,
        }
    }
}

impl Ground {
    async fn school(&self) -> Result<School, StartError> {
        let school = School::new(SchoolParts {
            config: self.config.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            users: self.users.clone(),
            rooms: self.rooms.clone(),
            notifier: self.notifier.clone(),
            rules: self.rules.clone(),
        });
        Ok(school.await?)
    }

    fn sync(&self, moments: &Moments, stopping: &CancellationToken) -> Sync {
        Sync::new(SyncParts {
            rooms: self.rooms.clone(),
            receipts: moments.receipts.clone(),
            typing: moments.typing.clone(),
            presence: moments.presence.clone(),
            unread: moments.unread.clone(),
            users: self.users.clone(),
            notifier: self.notifier.clone(),
            clock: self.clock.clone(),
            stopping: stopping.clone(),
        })
    }

    fn federation(
        &self,
        moments: &Moments,
        outgoing: Arc<tokio::sync::Notify>,
        stopping: &CancellationToken,
    ) -> Federation {
        let server_name = self.config.server.name.clone();
        let devices = Devices::new(DevicesParts {
            rooms: self.rooms.clone(),
            users: self.users.clone(),
            remote: self.remote.clone(),
            outbox: self.outbox.clone(),
            notifier: self.notifier.clone(),
            clock: self.clock.clone(),
            federation: self.config.federation.clone(),
            server_name: server_name.clone(),
            stopping: stopping.clone(),
        });
        let inbound = Inbound::new(InboundParts {
            rooms: self.rooms.clone(),
            typing: moments.typing.clone(),
            receipts: moments.receipts.clone(),
            presence: moments.presence.clone(),
            devices: devices.clone(),
            clock: self.clock.clone(),
            stopping: stopping.clone(),
        });
        let outbound = Outbound::new(OutboundParts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            rooms: self.rooms.clone(),
            remote: self.remote.clone(),
            outbox: self.outbox.clone(),
            server_name,
            outgoing,
        });
        Federation { inbound, devices, outbound }
    }
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

async fn open_remote(
    store: &Store,
    config: &Arc<Config>,
    clock: &Clock,
    ids: &Ids,
    own: OwnKeys,
) -> Result<Remote, StartError> {
    let (store, config, clock, ids) = (store.clone(), config.clone(), clock.clone(), ids.clone());
    let parts = RemoteParts { store, clock, ids, own: Arc::new(own), config };
    Ok(blocking(move || Remote::new_blocking(parts)).await??)
}
