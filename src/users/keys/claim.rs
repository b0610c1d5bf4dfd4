//! One-time keys, each handed out once, in the order of their upload.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use ruma::{OneTimeKeyAlgorithm, OwnedDeviceId, OwnedOneTimeKeyId, OwnedUserId, encryption::OneTimeKey, serde::Raw};
use serde_json::value::RawValue;

use super::{Keys, KeysError};
use crate::store::{
    Batch, Order, StoreError, UserNo,
    schema::keys::{FALLBACK_KEYS, FallbackKeyRow, ONE_TIME_KEY_IDS, ONE_TIME_KEYS, OneTimeKeyRow},
};

/// People whose keys are claimed at the same time.
const CLAIMS_AT_ONCE: usize = 16;

/// The key of one device.
type OneKey = BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>;

/// Claimed keys.
#[derive(Debug, Default)]
pub struct Claimed {
    /// By user and device. Devices without a key of the algorithm are not in it.
    pub one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneKey>>,
    /// What was asked for of users of other servers.
    pub remote: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>,
}

impl Keys {
    /// Hands out a key for each device: a one-time key, which nobody else will get, or the fallback key.
    ///
    /// # Errors
    /// The store failed.
    pub async fn claim(
        &self,
        wanted: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>,
    ) -> Result<Claimed, KeysError> {
        let mut claimed = Claimed::default();
        let (local, remote): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(user_id, _)| user_id.server_name() == self.server);
        claimed.remote = remote.into_iter().collect();
        let claims = local.into_iter().map(|(user_id, devices)| async move {
            let keys = match self.store.user(&user_id).await? {
                Some(user) => self.claim_of(user, devices).await?,
                None => BTreeMap::new(),
            };
            Ok::<_, StoreError>((user_id, keys))
        });
        let mut claims = stream::iter(claims).buffer_unordered(CLAIMS_AT_ONCE);
        while let Some(claim) = claims.next().await {
            let (user_id, keys) = claim?;
            if !keys.is_empty() {
                claimed.one_time_keys.insert(user_id, keys);
            }
        }
        Ok(claimed)
    }

    async fn claim_of(
        &self,
        user: UserNo,
        devices: BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>,
    ) -> Result<BTreeMap<OwnedDeviceId, OneKey>, StoreError> {
        // From reading a key until it is gone: nobody else may read it.
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        let mut keys = BTreeMap::new();
        for (device_id, algorithm) in devices {
            let place = (user, device_id.as_str().to_owned(), algorithm.to_string());
            let first = self.store.prefix(&ONE_TIME_KEYS, &place, Order::Ascending, 1).await?.into_iter().next();
            let (key_id, key) = if let Some((row, OneTimeKeyRow { key_id, key })) = first {
                batch.delete(&ONE_TIME_KEYS, &row);
                batch.delete(&ONE_TIME_KEY_IDS, &(user, place.1.clone(), key_id.clone()));
                (key_id, key)
            } else if let Some(FallbackKeyRow { key_id, key, used }) = self.store.get(&FALLBACK_KEYS, &place).await? {
                if !used {
                    let row = FallbackKeyRow { key_id: key_id.clone(), key: key.clone(), used: true };
                    batch.put(&FALLBACK_KEYS, &place, &row);
                }
                (key_id, key)
            } else {
                continue;
            };
            if !batch.is_empty() {
                self.recount(&mut batch, user, device_id.as_str());
            }
            let damaged = || StoreError::Corrupt { table: ONE_TIME_KEYS.name, what: "a key that is none" };
            let key_id = OwnedOneTimeKeyId::try_from(key_id.as_str()).map_err(|_| damaged())?;
            let key = Raw::from_json(RawValue::from_string(key).map_err(|_| damaged())?);
            keys.insert(device_id, BTreeMap::from([(key_id, key)]));
        }
        // The keys leave this function only after the disk knows that they are gone.
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(keys)
    }
}
