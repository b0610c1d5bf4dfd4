//! `Keys`: what is counted, and what goes with a device.

use std::{collections::BTreeMap, sync::Arc};

use quick_cache::sync::Cache;
use ruma::{DeviceId, OneTimeKeyAlgorithm, OwnedServerName};

use crate::{
    notify::Notifier,
    store::{
        Batch, Order, Store, StoreError, UserNo,
        schema::keys::{DEVICE_KEYS, FALLBACK_KEYS, KEY_SIGNATURES, ONE_TIME_KEY_IDS, ONE_TIME_KEYS},
    },
    users::locks::Locks,
};

/// Devices whose counts are kept in memory.
const COUNTS_CACHED: usize = 20_000;
/// One-time keys that a device may have here, over all algorithms.
pub(super) const ONE_TIME_KEYS_MAX: usize = 1_000;
/// Algorithms of which a device may have a fallback key.
pub(super) const FALLBACK_KEYS_MAX: usize = 16;
/// Signatures that one key may have.
pub(super) const SIGNATURES_MAX: usize = 10_000;

/// Keeps and hands out public keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    pub(super) store: Store,
    pub(super) server: OwnedServerName,
    pub(super) locks: Locks,
    pub(super) notifier: Notifier,
    counts: Arc<Cache<(UserNo, String), Arc<Counts>>>,
}

/// What a device has left for others to claim. Each of its syncs says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unclaimed one-time keys of each algorithm; always with `signed_curve25519`.
    pub one_time_keys: BTreeMap<OneTimeKeyAlgorithm, u64>,
    /// Algorithms with a fallback key that nobody was given yet.
    pub unused_fallback: Vec<OneTimeKeyAlgorithm>,
}

impl Keys {
    /// Keys of the accounts of `server`.
    pub(in crate::users) fn new(store: Store, server: OwnedServerName, locks: Locks, notifier: Notifier) -> Self {
        Self { store, server, locks, notifier, counts: Arc::new(Cache::new(COUNTS_CACHED)) }
    }

    /// What a device has left for others to claim.
    ///
    /// # Errors
    /// The store failed.
    pub async fn counts(&self, user: UserNo, device_id: &DeviceId) -> Result<Arc<Counts>, StoreError> {
        let key = (user, device_id.as_str().to_owned());
        if let Some(counts) = self.counts.get(&key) {
            return Ok(counts);
        }
        // Under the lock, so that no change falls between reading and remembering.
        let _guard = self.locks.user(user).await;
        let counts = Arc::new(self.count(&key).await?);
        self.counts.insert(key, counts.clone());
        Ok(counts)
    }

    async fn count(&self, device: &(UserNo, String)) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        counts.one_time_keys.insert(OneTimeKeyAlgorithm::SignedCurve25519, 0);
        let ids = self.store.prefix(&ONE_TIME_KEY_IDS, device, Order::Ascending, ONE_TIME_KEYS_MAX).await?;
        for ((_, _, key_id), _) in ids {
            let algorithm = key_id.split(':').next().unwrap_or_default();
            *counts.one_time_keys.entry(algorithm.into()).or_default() += 1;
        }
        let fallback = self.store.prefix(&FALLBACK_KEYS, device, Order::Ascending, FALLBACK_KEYS_MAX).await?;
        let unused = fallback.into_iter().filter(|(_, row)| !row.used);
        counts.unused_fallback = unused.map(|((_, _, algorithm), _)| algorithm.into()).collect();
        Ok(counts)
    }

    /// Drops what is remembered of a device once `batch` is durable. The caller holds the user's lock.
    pub(super) fn recount(&self, batch: &mut Batch, user: UserNo, device_id: &str) {
        let counts = self.counts.clone();
        let key = (user, device_id.to_owned());
        batch.on_publish(move |_| {
            counts.remove(&key);
        });
    }

    /// Adds to `batch` the removal of all keys of a device, and of all signatures of them. The caller holds the user's lock.
    pub(in crate::users) async fn stage_removal_of_device(
        &self,
        batch: &mut Batch,
        user: UserNo,
        device_id: &str,
    ) -> Result<(), StoreError> {
        let store = &self.store;
        let device = (user, device_id.to_owned());
        self.recount(batch, user, device_id);
        batch.delete(&DEVICE_KEYS, &device);
        for (key, _) in store.prefix(&ONE_TIME_KEYS, &device, Order::Ascending, ONE_TIME_KEYS_MAX).await? {
            batch.delete(&ONE_TIME_KEYS, &key);
        }
        for (key, _) in store.prefix(&ONE_TIME_KEY_IDS, &device, Order::Ascending, ONE_TIME_KEYS_MAX).await? {
            batch.delete(&ONE_TIME_KEY_IDS, &key);
        }
        for (key, _) in store.prefix(&FALLBACK_KEYS, &device, Order::Ascending, FALLBACK_KEYS_MAX).await? {
            batch.delete(&FALLBACK_KEYS, &key);
        }
        for (key, _) in store.prefix(&KEY_SIGNATURES, &device, Order::Ascending, SIGNATURES_MAX).await? {
            batch.delete(&KEY_SIGNATURES, &key);
        }
        Ok(())
    }
}
