//! [`Remote`]: what the rest of the server holds.

use std::{ops::Deref, sync::Arc};

use super::{
    client::{Client, ClientError, ClientParts},
    keys::{KeyRing, KeyRingParts, OwnKeys},
};
use crate::{clock::Clock, config::Config, ids::Ids, store::Store};

/// What a [`Remote`] needs.
pub struct RemoteParts {
    /// Where it is kept which servers work, and their keys.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Chance, for choosing among hosts and for spreading retries.
    pub ids: Ids,
    /// This server's keys.
    pub own: Arc<OwnKeys>,
    /// What the administrator has set.
    pub config: Arc<Config>,
}

/// Other servers, as this one asks them. Cheap to clone. Everything of [`Client`] can be called on it.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    keys: KeyRing,
}

impl Remote {
    /// Reads certificates, blocking.
    ///
    /// # Errors
    /// The certificates of the configuration cannot be read.
    pub fn new_blocking(parts: RemoteParts) -> Result<Self, ClientError> {
        let RemoteParts { store, clock, ids, own, config } = parts;
        let client = Client::new_blocking(ClientParts {
            store: store.clone(),
            clock: clock.clone(),
            ids,
            key: own.current().clone(),
            config: config.clone(),
        })?;
        let keys = KeyRing::new(KeyRingParts { source: Arc::new(client.clone()), store, clock, own, config });
        Ok(Self { client, keys })
    }

    /// Requests alone.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The keys of all servers.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }
}

/// Asking is what this is for; the rest stands beside it.
impl Deref for Remote {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
