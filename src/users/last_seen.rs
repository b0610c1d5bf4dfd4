//! When devices were used last: gathered in memory, written now and then.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use super::UsersError;
use crate::store::{
    Batch, Store, UserNo,
    schema::users::{DEVICES, DEVICES_SEEN, DeviceSeen},
};

/// Devices that wait to be written. Beyond this, uses are not noted until the next writing.
const WAITING_MAX: usize = 20_000;

/// Devices written in one commit.
const BATCH: usize = 1_000;

/// Gathers the last uses of devices. Cheap to clone.
#[derive(Clone)]
pub(super) struct LastSeen {
    store: Store,
    waiting: Arc<Mutex<HashMap<(UserNo, String), DeviceSeen>>>,
}

impl LastSeen {
    /// How exact the times are, in milliseconds.
    pub(super) const ACCURACY_MS: u64 = 5 * 60 * 1000;

    pub(super) fn new(store: Store) -> Self {
        Self { store, waiting: Arc::default() }
    }

    pub(super) fn note(&self, user: UserNo, device_id: &str, at_ms: u64, address: IpAddr) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.insert((user, device_id.to_owned()), DeviceSeen { at_ms, ip: address.to_string() });
        }
    }

    /// What is known of a device's last use that is not written yet.
    pub(super) fn unwritten(&self, user: UserNo, device_id: &str) -> Option<DeviceSeen> {
        self.waiting.lock().get(&(user, device_id.to_owned())).cloned()
    }

    /// Writes what has gathered. To be called every minute or so, and at shutdown.
    ///
    /// # Errors
    /// The store failed; what was not written is forgotten.
    pub(super) async fn write(&self) -> Result<(), UsersError> {
        let waiting: Vec<_> = std::mem::take(&mut *self.waiting.lock()).into_iter().collect();
        for part in waiting.chunks(BATCH) {
            let keys: Vec<_> = part.iter().map(|(key, _)| key.clone()).collect();
            let devices = self.store.multi_get(&DEVICES, &keys).await?;
            let mut batch = Batch::new();
            // A device that is deleted at this very moment may keep its row: nobody reads it, and it goes when the
            // same id is used again.
            for ((key, seen), _) in part.iter().zip(devices).filter(|(_, device)| device.is_some()) {
                batch.put(&DEVICES_SEEN, key, seen);
            }
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}
