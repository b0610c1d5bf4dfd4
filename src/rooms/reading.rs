//! What readers of what other servers have share: turns, and short memories.

use std::{collections::BTreeMap, sync::Arc};

use quick_cache::sync::Cache;
use ruma::OwnedUserId;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, MutexGuard};

use super::server_reader::People;
use crate::store::{RoomNo, ServerNo};

/// Locks that the gaps of all rooms are spread over.
const TURNS: usize = 64;
/// Servers and rooms whose members are remembered: only of rooms with restricted history.
const PEOPLE_KEPT: usize = 1_000;
/// Profiles of users of other servers that are kept.
const PROFILES_KEPT: usize = 10_000;

/// The fields of a profile.
pub(super) type Fields = Arc<BTreeMap<String, Box<RawValue>>>;

/// Shared by all readers.
pub(super) struct Reading {
    turns: Vec<Mutex<()>>,
    /// A server's users in a room.
    pub(super) people: Cache<(RoomNo, ServerNo), Arc<People>>,
    /// Profiles, and when they were fetched, Unix milliseconds; `None` for users that have none.
    pub(super) profiles: Cache<OwnedUserId, (u64, Option<Fields>)>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            people: Cache::new(PEOPLE_KEPT),
            profiles: Cache::new(PROFILES_KEPT),
        }
    }
}

impl Reading {
    /// Waits until nobody else fills this gap.
    pub(super) async fn turn(&self, (room, order): (RoomNo, i64)) -> Option<MutexGuard<'_, ()>> {
        let place = room.0.wrapping_mul(31).wrapping_add(order.unsigned_abs());
        let turn = self.turns.get(usize::try_from(place % TURNS as u64).unwrap_or(0))?;
        Some(turn.lock().await)
    }
}
