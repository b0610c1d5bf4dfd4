//! What readers of what other servers have share: turns, and short memories.

use std::{collections::BTreeMap, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
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
/// What they weigh at most, in bytes. One can have 128 KiB.
const PROFILES_BYTES: u64 = 16 << 20;

/// The fields of a profile.
pub(super) type Fields = Arc<BTreeMap<String, Box<RawValue>>>;

/// Profiles, and when they were fetched, Unix milliseconds; `None` for users that have none.
pub(super) type Profiles = Cache<OwnedUserId, (u64, Option<Fields>), ProfileBytes>;

/// Weighs a profile by its bytes.
#[derive(Clone)]
pub(super) struct ProfileBytes;

impl Weighter<OwnedUserId, (u64, Option<Fields>)> for ProfileBytes {
    fn weight(&self, _: &OwnedUserId, (_, fields): &(u64, Option<Fields>)) -> u64 {
        // With what the maps need themselves.
        let fields = fields.iter().flat_map(|fields| fields.iter());
        let bytes: usize = fields.map(|(key, value)| key.len() + value.get().len() + 64).sum();
        bytes as u64 + 256
    }
}

/// Shared by all readers.
pub(super) struct Reading {
    turns: Vec<Mutex<()>>,
    /// A server's users in a room.
    pub(super) people: Cache<(RoomNo, ServerNo), Arc<People>>,
    /// Profiles of users of other servers.
    pub(super) profiles: Profiles,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            people: Cache::new(PEOPLE_KEPT),
            profiles: Cache::with_weighter(PROFILES_KEPT, PROFILES_BYTES, ProfileBytes),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn large_profiles_of_one_server_are_few() {
        let reading = Reading::default();
        let long = RawValue::from_string(format!("\"{}\"", "x".repeat(120 << 10))).unwrap();
        for n in 0..2_000 {
            let fields = BTreeMap::from([("m.status".to_owned(), long.clone())]);
            let user = OwnedUserId::try_from(format!("@eve{n}:b.example")).unwrap();
            reading.profiles.insert(user, (1, Some(Arc::new(fields))));
        }
        assert!((1..=140).contains(&reading.profiles.len()), "{}", reading.profiles.len());
        assert!(reading.profiles.weight() <= PROFILES_BYTES);
    }
}
