//! Everything a handler may call: the services of the layers below, built by `app.rs`.

use std::sync::Arc;

use crate::{
    clock::Clock,
    config::Config,
    event::SigningKey,
    http::{Health, Limiter, Metrics},
    ids::Ids,
    media::Media,
    notify::Notifier,
    rooms::Rooms,
    store::Store,
    sync::Sync,
    users::Users,
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
    /// Accounts, sessions, devices, profiles, account data, keys, to-device messages.
    pub users: Users,
    /// Uploads and thumbnails.
    pub media: Media,
    /// Rooms and their events.
    pub rooms: Rooms,
    /// What `/sync` answers.
    pub sync: Sync,
    /// Rate limits.
    pub limiter: Limiter,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Whether the server is well.
    pub health: Health,
}
