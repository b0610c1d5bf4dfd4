//! Everything a handler may call: the services of the layers below, built by `app.rs`.

use std::sync::Arc;

use ruma::ServerName;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{self, Config},
    event::SigningKey,
    federation::Federation,
    http::{ApiError, Authenticate, Credentials, Federated, Health, Limiter, Metrics, Origins, Session, Unverified},
    ids::Ids,
    media::Media,
    notify::Notifier,
    remote::{Outbox, Remote, keys::KeyRing},
    rooms::{Presence, Receipts, Rooms, Typing, Unread},
    school::School,
    store::Store,
    sync::Sync,
    users::{Authenticated, Users},
};

/// The services. Handlers take them as `State<Arc<Services>>`.
pub struct Services {
    /// What the administrator has set.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Random ids.
    pub ids: Ids,
    /// Tables and the committer.
    pub store: Store,
    /// Wakes waiting syncs.
    pub notifier: Notifier,
    /// This server's signing key.
    pub key: Arc<SigningKey>,
    /// Other servers: asking them, their keys.
    pub remote: Remote,
    /// What other servers are told besides events.
    pub outbox: Outbox,
    /// Accounts, sessions, devices, profiles, account data.
    pub users: Users,
    /// Uploads and thumbnails.
    pub media: Media,
    /// Rooms and their events.
    pub rooms: Rooms,
    /// The roster, the contact rules, and the school's rooms.
    pub school: School,
    /// What goes to other servers, and what comes from them.
    pub federation: Federation,
    /// Read receipts.
    pub receipts: Receipts,
    /// Who is typing.
    pub typing: Typing,
    /// Who is online.
    pub presence: Presence,
    /// Unread counts.
    pub unread: Unread,
    /// What `/sync` answers.
    pub sync: Sync,
    /// Rate limits.
    pub limiter: Limiter,
    /// Which servers are being answered.
    pub origins: Origins,
    /// What is held of requests before it is known whose they are.
    pub unverified: Unverified,
    /// Figures for Prometheus.
    pub metrics: Arc<Metrics>,
    /// Whether the server is well.
    pub health: Arc<Health>,
    /// Cancelled when the server is about to stop: long polls answer then with what they have.
    pub stopping: CancellationToken,
}

impl Authenticate for Services {
    async fn session(&self, credentials: Credentials<'_>) -> Result<Arc<Session>, ApiError> {
        let found = self.users.sessions.authenticate(credentials.token, credentials.address).await;
        match found.map_err(ApiError::internal)? {
            Authenticated::Session(session) => Ok(session),
            Authenticated::Expired => Err(ApiError::unknown_token(true)),
            Authenticated::Unknown => Err(ApiError::unknown_token(false)),
        }
    }

    fn limiter(&self) -> Option<&Limiter> {
        Some(&self.limiter)
    }

    fn body_bytes_max(&self) -> usize {
        self.config.limits.request_bytes_max.as_usize()
    }
}

impl Federated for Services {
    fn federation(&self) -> &config::Federation {
        &self.config.federation
    }

    fn keys(&self) -> &KeyRing {
        self.remote.keys()
    }

    fn origins(&self) -> &Origins {
        &self.origins
    }

    fn unverified(&self) -> &Unverified {
        &self.unverified
    }

    async fn heard_from(&self, origin: &ServerName) {
        self.remote.keys().heard_from(origin);
        if let Err(error) = self.remote.destinations().heard_from(origin).await {
            tracing::error!(%error, %origin, "that a server is up cannot be noted");
        }
    }
}
