//! The whole server: builds every part in the order of the layers, starts the tasks, and shuts down.
//!
//! [`serve`] is the server as a process: a runtime, signals, an exit. [`App`] is the same server inside a process,
//! which is how the tests use it. Both build through `build`, and nothing else in the crate makes a service.

mod build;
mod desk;
mod figures;
mod listeners;
mod process;
mod profiles;
mod tasks;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::Config,
    http::{CertificateError, CertificateFiles, services::Services},
    ids::Ids,
    media::MediaError,
    remote::{ClientError, keys::OwnKeyError},
    school::SchoolError,
    store::StoreError,
    users::{AdminSocket, UsersError},
};

use listeners::Security;

pub use desk::Offline;
pub use listeners::{Addresses, Listeners};
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
    /// The certificate of a listener.
    #[error("cannot speak TLS: {0}")]
    Certificate(#[from] CertificateError),
    /// The server's signing key.
    #[error("cannot start with the server's signing key: {0}")]
    Key(#[from] OwnKeyError),
    /// Requests to other servers.
    #[error("cannot start federation: {0}")]
    Remote(#[from] ClientError),
    /// The system gives no threads, no socket or no signals.
    #[error("cannot start {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A running server.
pub struct App {
    addresses: Addresses,
    services: Arc<Services>,
    /// The certificate, if it comes from files.
    certificate: Option<Arc<CertificateFiles>>,
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
        let listeners = Listeners::bind(&config.listen).await?;
        Self::start_on(listeners, config, clock, ids).await
    }

    /// The same on sockets that somebody has opened already: a name with a port can be known before the start then.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_on(listeners: Listeners, config: Config, clock: Clock, ids: Ids) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let addresses = listeners.addresses(&config.listen)?;
        let built = Box::pin(build::build(config.clone(), clock, ids)).await?;
        let socket = AdminSocket::bind(&built.admin_socket)
            .map_err(|error| StartError::System { what: "the admin socket", error })?;
        let security = Security::open(&config, built.acme).await?;

        let services = built.services;
        figures::register(&services.metrics, &services.store);
        let app = Self {
            addresses,
            services,
            certificate: security.files,
            listeners: TaskTracker::new(),
            tasks: TaskTracker::new(),
            tasks_end: CancellationToken::new(),
        };
        let certificates = tasks::Certificates { files: app.certificate.clone(), acme: security.acme };
        tasks::spawn(&app.services, socket, certificates, &app.tasks, &app.tasks_end);
        listeners.serve(&app.services, security.tls.as_ref(), &app.listeners);
        app.listeners.close();
        Ok(app)
    }

    /// Reads the certificate's files again, if there are any.
    pub async fn reload_certificate(&self) {
        if let Some(files) = &self.certificate {
            files.clone().reload_now().await;
        }
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
        if tokio::time::timeout(TASKS_END, services.federation.outbound.flush()).await.is_err() {
            tracing::warn!("how far other servers have been told was not written at shutdown");
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
