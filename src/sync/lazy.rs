//! Which members a device has been sent, so that lazily loaded members come once.
//!
//! Only a hint: what is forgotten here (a restart, a full cache) is sent again, which the specification allows.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::store::{RoomNo, UserNo};

/// Devices remembered.
const DEVICES_MAX: usize = 4096;
/// Members remembered for one device.
const MEMBERS_MAX: usize = 20_000;

type Sent = Arc<Mutex<HashSet<(RoomNo, u64)>>>;

/// The members sent to each device.
pub(super) struct SentMembers {
    devices: Cache<(UserNo, Box<str>), Sent>,
}

impl SentMembers {
    pub(super) fn new() -> Self {
        Self { devices: Cache::new(DEVICES_MAX) }
    }

    /// Forgets everything sent to a device: it begins afresh.
    pub(super) fn begin(&self, user: UserNo, device: &str) {
        self.devices.remove(&(user, Box::from(device)));
    }

    /// Notes that a member event is being sent; false when it was sent before.
    pub(super) fn note(&self, user: UserNo, device: &str, room: RoomNo, event: u64) -> bool {
        let key = (user, Box::from(device));
        let sent = if let Some(sent) = self.devices.get(&key) {
            sent
        } else {
            let sent = Sent::default();
            self.devices.insert(key, sent.clone());
            sent
        };
        let mut sent = sent.lock();
        if sent.len() >= MEMBERS_MAX {
            sent.clear();
        }
        sent.insert((room, event))
    }
}
