//! [`Devices`]: what the rest of the server holds, and its tasks.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{OwnedServerName, UserId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::Federation,
    notify::Notifier,
    places::{Holder, Places},
    remote::{Outbox, Remote},
    rooms::Rooms,
    store::{StoreError, UserNo},
    users::Users,
};

/// Lists that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 8;
/// Of these, of one server: those that answer slowly must leave room for others.
const FETCHES_OF_ONE_MAX: usize = 2;
/// Users of one server whose lists wait to be fetched.
const WAITING_OF_ONE_MAX: usize = 1_000;
/// How often it is forgotten what other servers brought long ago.
const TIDIED: Duration = Duration::from_hours(1);

/// What [`Devices`] is built from.
pub struct DevicesParts {
    /// Rooms: who shares one.
    pub rooms: Rooms,
    /// Devices, keys, messages to devices.
    pub users: Users,
    /// Other servers.
    pub remote: Remote,
    /// What they are told.
    pub outbox: Outbox,
    /// Says that something has changed.
    pub notifier: Notifier,
    /// The time.
    pub clock: Clock,
    /// Whether there are others, and what they may know.
    pub federation: Federation,
    /// This server's name.
    pub server_name: OwnedServerName,
    /// Ends what goes on in the background.
    pub stopping: CancellationToken,
}

/// Devices and their keys across servers. Cheap to clone.
#[derive(Clone)]
pub struct Devices(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: DevicesParts,
    /// Users whose list is being fetched, and whether it is to be fetched once more.
    pub(super) fetching: Mutex<HashMap<UserNo, bool>>,
    pub(super) places: Semaphore,
    pub(super) places_of_server: Places<Holder>,
    pub(super) waiting_of_server: Places<Holder>,
    /// Itself, for tasks.
    pub(super) this: Weak<Self>,
}

impl Devices {
    /// Over these parts.
    pub fn new(parts: DevicesParts) -> Self {
        Self(Arc::new_cyclic(|this| Inner {
            parts,
            fetching: Mutex::default(),
            places: Semaphore::new(FETCHES_AT_ONCE),
            places_of_server: Places::new(FETCHES_OF_ONE_MAX),
            waiting_of_server: Places::new(WAITING_OF_ONE_MAX),
            this: this.clone(),
        }))
    }

    /// Tells other servers of changes and fetches what was missed, until it is dropped. Does nothing on a server that
    /// talks to no other.
    pub async fn run(self) {
        if !self.0.parts.federation.is_on() {
            return std::future::pending().await;
        }
        match self.0.parts.users.keys.stale_remote_lists().await {
            Ok(users) => users.into_iter().for_each(|user| self.0.fetch_later(user)),
            Err(error) => tracing::error!(%error, "it cannot be read whose devices are to be fetched"),
        }
        tokio::join!(self.0.keep_telling(), self.0.keep_tidy());
    }
}

impl Inner {
    /// Whether a user is one of another server, and which number they have. `None` for those never heard of.
    pub(super) async fn stranger(&self, user_id: &UserId) -> Result<Option<UserNo>, StoreError> {
        if user_id.server_name() == self.parts.server_name {
            return Ok(None);
        }
        self.parts.rooms.store().user(user_id).await
    }

    /// Whether the list of a user of another server that is here still holds.
    pub(super) async fn follows(&self, user: UserNo) -> Result<bool, StoreError> {
        match self.parts.users.keys.remote_list(user).await? {
            Some(list) if list.at.0 > 0 => self.parts.rooms.meets_us_since(user, list.at).await,
            _ => Ok(false),
        }
    }

    async fn keep_tidy(&self) {
        loop {
            self.parts.clock.sleep(TIDIED).await;
            if let Err(error) = self.parts.users.to_device.tidy_received().await {
                tracing::warn!(%error, "old messages of other servers cannot be forgotten");
            }
        }
    }
}
