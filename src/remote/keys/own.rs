//! This server's own key, and those it used before.
//!
//! A new key takes the place of the old one when the server starts ([`OwnKeys::open`]), never while it runs: what the
//! running server signs must verify with the key it says it uses. [`order_rotation`](OwnKeys::order_rotation) leaves a
//! row for the next start, so it can be called beside a running server and without one.

use std::{fmt::Display, sync::Arc};

use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};

use super::{
    error::OwnKeyError,
    known::{Known, ServerKey},
};
use crate::{
    clock::Clock,
    event::SigningKey,
    store::{Batch, Store, StoreError, schema::META},
};

/// The row of [`META`] that holds the signing key.
const SIGNING_KEY: &str = "signing_key";
/// The row of [`META`] that holds the public halves of the keys before it.
const OLD_SIGNING_KEYS: &str = "old_signing_keys";
/// The row of [`META`] that asks the next start for a new key.
const ROTATE: &str = "rotate_signing_key";

/// Old keys kept. Whoever changes the key every day has a year.
const OLD_KEYS_MAX: usize = 400;

/// The signing key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    /// What follows `ed25519:`.
    version: String,
    /// PKCS#8 in DER.
    der: Vec<u8>,
}

/// A key this server used before. Only its public half is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OldKey {
    pub(super) key_id: String,
    /// Unpadded base64.
    pub(super) key: String,
    /// When it was last in use, Unix milliseconds.
    pub(super) expired_ms: u64,
}

/// The keys of this server. Immutable while it runs.
#[derive(Debug)]
pub struct OwnKeys {
    pub(super) current: Arc<SigningKey>,
    pub(super) old: Vec<OldKey>,
}

impl OwnKeys {
    /// A key and none before it.
    pub fn of(current: Arc<SigningKey>) -> Self {
        Self { current, old: Vec::new() }
    }

    /// Reads the keys; makes one at the first start, and a new one when that was ordered.
    ///
    /// # Errors
    /// The store failed, or what it holds is damaged.
    pub async fn open(store: &Store, clock: &Clock, server_name: OwnedServerName) -> Result<Self, OwnKeyError> {
        let Some(bytes) = store.get(&META, &SIGNING_KEY.to_owned()).await? else {
            let key = SigningKey::generate(server_name);
            let mut batch = Batch::new();
            put_key(&mut batch, &key)?;
            store.commit(batch).await?;
            tracing::info!(key_id = key.key_id(), "made the server's signing key");
            return Ok(Self::of(Arc::new(key)));
        };
        let stored: StoredKey = postcard::from_bytes(&bytes).map_err(|error| damaged(&error))?;
        let key = SigningKey::from_der(&stored.der, &stored.version, server_name).map_err(|error| damaged(&error))?;
        let old = match store.get(&META, &OLD_SIGNING_KEYS.to_owned()).await? {
            Some(bytes) => postcard::from_bytes(&bytes).map_err(|error| damaged(&error))?,
            None => Vec::new(),
        };
        let keys = Self { current: Arc::new(key), old };
        match store.get(&META, &ROTATE.to_owned()).await? {
            Some(_) => keys.rotate(store, clock).await,
            None => Ok(keys),
        }
    }

    /// Asks the next start for a new key. The present one goes to the old keys then, so that what it signed still
    /// verifies. Calling it twice before a start is calling it once.
    ///
    /// `homeroom federation rotate-key` is this, through the admin socket or on the folder of a stopped server.
    pub async fn order_rotation(store: &Store) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(&META, &ROTATE.to_owned(), &vec![1]);
        store.commit(batch).await?;
        Ok(())
    }

    async fn rotate(mut self, store: &Store, clock: &Clock) -> Result<Self, OwnKeyError> {
        let retired = OldKey {
            key_id: self.current.key_id().to_owned(),
            key: self.current.verify_key(),
            expired_ms: clock.now_ms(),
        };
        self.old.push(retired);
        let surplus = self.old.len().saturating_sub(OLD_KEYS_MAX);
        self.old.drain(..surplus);
        let key = SigningKey::generate(self.current.server_name().to_owned());
        let mut batch = Batch::new();
        put_key(&mut batch, &key)?;
        let old = postcard::to_stdvec(&self.old).map_err(|error| damaged(&error))?;
        batch.put(&META, &OLD_SIGNING_KEYS.to_owned(), &old);
        batch.delete(&META, &ROTATE.to_owned());
        store.commit(batch).await?;
        tracing::info!(key_id = key.key_id(), "made a new signing key; the one before stays valid for what it signed");
        self.current = Arc::new(key);
        Ok(self)
    }

    /// The key that signs.
    pub fn current(&self) -> &Arc<SigningKey> {
        &self.current
    }

    /// The server whose keys they are.
    pub fn server_name(&self) -> &ServerName {
        self.current.server_name()
    }

    /// The keys as those of any other server.
    pub(super) fn known(&self) -> Known {
        let old = self.old.iter().map(|old| (&*old.key_id, &*old.key, old.expired_ms, true));
        let key = self.current.verify_key();
        let current = (self.current.key_id(), &*key, u64::MAX, false);
        let read = |(key_id, key, valid_until_ms, old): (&str, &str, u64, bool)| {
            Some((Box::from(key_id), ServerKey::read(key, valid_until_ms, old)?))
        };
        let keys = old.chain([current]).filter_map(read).collect();
        Known { keys, fetched_ms: u64::MAX, valid_until_ms: u64::MAX, kept: true }
    }
}

fn put_key(batch: &mut Batch, key: &SigningKey) -> Result<(), OwnKeyError> {
    let der = key.to_der().map_err(|error| damaged(&error))?.to_vec();
    let stored = StoredKey { version: key.version().to_owned(), der };
    let bytes = postcard::to_stdvec(&stored).map_err(|error| damaged(&error))?;
    batch.put(&META, &SIGNING_KEY.to_owned(), &bytes);
    Ok(())
}

fn damaged(error: &dyn Display) -> OwnKeyError {
    OwnKeyError::Damaged(error.to_string())
}
