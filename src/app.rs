//! The whole server: builds every part in the order of the layers, starts the tasks, and shuts down.
//!
//! [`serve`] is the server as a process: a runtime, signals, an exit. [`App`] is the same server inside a process,
//! which is how the tests use it. Both build through `build`, and nothing else in the crate makes a service.

mod build;
mod desk;
mod figures;
mod process;
mod profiles;
mod tasks;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::{Config, Listen},
    http::{Entry, ServeOptions, TrustedProxies, operations, services::Services},
    ids::Ids,
    media::MediaError,
    routes,
    school::SchoolError,
    store::StoreError,
    users::{AdminSocket, UsersError},
};

pub use desk::Offline;
pub use process::{serve, serve_prepared};

/// How long requests may go on once the server was told to stop. With the tasks, that is five seconds.
const DRAIN: Duration = Duration::from_secs(3);

/// How long the background tasks may take to end after that.
const TASKS_END: Duration = Duration::from_millis(800);

/// How long the store may take to close: work on threads of its own, such as reading a whole school, ends by itself.
const STORE_CLOSES: Duration = Duration::from_secs(10);

/// Why a server does not start, in words for its administrator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or its database.
    #[error("cannot open the data folder: {0}")]
    Store(#[from] StoreError),
    /// The folder of uploads.
    #[error("cannot open the folder of uploads: {0}")]
    Media(#[from] MediaError),
    /// The accounts.
    #[error("cannot start the accounts: {0}")]
    Users(#[from] UsersError),
    /// The school.
    #[error("cannot start the school: {0}")]
    School(#[from] SchoolError),
    /// An address.
    #[error("cannot listen on {address} (listen.{option}): {error}")]
    Listen {
        /// The option that names it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The server's signing key.
    #[error("the signing key in the database is damaged: {0}")]
    Key(String),
    /// The system gives no threads, no socket or no signals.
    #[error("cannot start {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Where a running server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For clients.
    pub client: SocketAddr,
    /// For `/metrics` and `/health`, if configured.
    pub metrics: Option<SocketAddr>,
}

/// A running server.
pub struct App {
    addresses: Addresses,
    services: Arc<Services>,
    /// The listeners end first, then the background tasks, which may still be wanted by the last requests.
    listeners: TaskTracker,
    tasks: TaskTracker,
    tasks_end: CancellationToken,
}

impl App {
    /// Opens the data folder, builds every service, and listens.
    ///
    /// # Errors
    /// Whatever keeps the server from starting; nothing is left running then.
    pub async fn start(config: Config, clock: Clock, ids: Ids) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let client = bind("client", config.listen.client).await?;
        let metrics = match config.listen.metrics {
            Some(address) => Some(bind("metrics", address).await?),
            None => None,
        };
        let built = build::build(config.clone(), clock, ids).await?;
        let socket = AdminSocket::bind(&built.admin_socket)
            .map_err(|error| StartError::System { what: "the admin socket", error })?;

        let services = built.services;
        figures::register(&services.metrics, &services.store);
        let addresses = Addresses { client: local(&client)?, metrics: metrics.as_ref().map(local).transpose()? };
        let app = Self {
            addresses,
            services,
            listeners: TaskTracker::new(),
            tasks: TaskTracker::new(),
            tasks_end: CancellationToken::new(),
        };
        tasks::spawn(&app.services, socket, &app.tasks, &app.tasks_end);
        app.listen(client, metrics, &config.listen);
        Ok(app)
    }

    fn listen(&self, client: TcpListener, metrics: Option<TcpListener>, listen: &Listen) {
        let services = &self.services;
        let options = ServeOptions { drain: DRAIN, ..ServeOptions::default() };
        let entry = Entry {
            metrics: services.metrics.clone(),
            proxies: Arc::new(TrustedProxies::new(listen.trusted_proxies.clone())),
        };
        let router = entry.guard(routes::client().router()).with_state(services.clone());
        self.listeners.spawn(crate::http::serve(client, router, options, services.stopping.clone()));
        if let Some(listener) = metrics {
            let router = operations(services.metrics.clone(), services.health.clone());
            self.listeners.spawn(crate::http::serve(listener, router, options, services.stopping.clone()));
        }
        self.listeners.close();
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its services.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Finishes the requests that are being answered, ends the tasks, writes what is only in memory, and closes the
    /// store. Takes at most five seconds, and what a long read from the store still takes.
    pub async fn stop(self) {
        let Self { services, listeners, tasks, tasks_end, .. } = self;
        services.stopping.cancel();
        listeners.wait().await;
        tasks_end.cancel();
        tasks.close();
        if tokio::time::timeout(TASKS_END, tasks.wait()).await.is_err() {
            tracing::warn!("background tasks were cut at shutdown");
        }
        let (users, store_closed) = (services.users.clone(), services.store.closed());
        if tokio::time::timeout(TASKS_END, users.flush()).await.is_err() {
            tracing::warn!("the last uses of devices were not written at shutdown");
        }
        // The committer's thread writes what waits and ends with the last reference to the store, which may be here.
        let closed = tokio::task::spawn_blocking(move || drop((users, services)));
        // A panic in there was reported when it happened.
        drop(closed.await);
        // What a request has left running for a moment may hold the store a little longer.
        if tokio::time::timeout(STORE_CLOSES, store_closed).await.is_err() {
            tracing::warn!("the store was still in use at shutdown");
        }
    }
}

async fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { option, address, error })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::System { what: "a listener", error })
}
