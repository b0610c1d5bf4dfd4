//! Which members a device has been sent, so that lazily loaded members come once.
//!
//! Only a hint: what is forgotten here (a restart, a full cache) is sent again, which the specification allows.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::store::{Position, RoomNo, UserNo};

/// Devices remembered.
const DEVICES_MAX: usize = 4096;
/// Members remembered for one device.
const MEMBERS_MAX: usize = 20_000;

/// Member events, and the token of the answer they were first sent with.
type Sent = Arc<Mutex<HashMap<(RoomNo, u64), Position>>>;

/// To whom an answer goes.
pub(super) struct To<'a> {
    pub(super) user: UserNo,
    pub(super) device: &'a str,
    /// What the device has seen.
    pub(super) since: Option<Position>,
    /// The answer's token.
    pub(super) now: Position,
}

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

    /// Notes that a member event is being sent; false when the device has it. That it was sent is not enough, the answer
    /// may have been lost on its way: the device's `since` must be at or after that answer's token.
    pub(super) fn note(&self, to: &To<'_>, room: RoomNo, event: u64) -> bool {
        let key = (to.user, Box::from(to.device));
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
        let token = sent.get(&(room, event));
        let has = token.is_some_and(|token| to.since.is_some_and(|since| *token <= since));
        if !has {
            sent.insert((room, event), to.now);
        }
        !has
    }
}
