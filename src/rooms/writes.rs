//! What writers share besides the rooms: requests under way, locks of names, members to be renamed.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::{OwnedRoomId, RoomAliasId, RoomId};
use tokio::sync::{MutexGuard, Semaphore};

use super::{
    awaited::Aims, membership::Crossings, partial::Completions, profile::Renaming, receipts::EarlyReceipts,
    transactions::InFlight,
};
use crate::store::UserNo;

/// Locks that aliases are spread over.
const ALIAS_LOCKS: usize = 64;
/// Users whose member events are renewed at the same time.
const RENAMING_MAX: usize = 4;

/// Shared by all clones of [`super::Rooms`].
pub(super) struct Writes {
    /// Requests whose events are not durable yet.
    pub(super) in_flight: Arc<InFlight>,
    /// Users whose member events are being renewed. As many as users who have just changed their profile.
    pub(super) renaming: Mutex<HashMap<UserNo, Renaming>>,
    /// Bounds how many are at work.
    pub(super) renaming_places: Semaphore,
    /// What is under way between this server and rooms of others.
    pub(super) crossings: Crossings,
    /// Rooms whose members are being fetched.
    pub(super) completions: Completions,
    /// Receipts at events that are not here yet.
    pub(super) early_receipts: Arc<EarlyReceipts>,
    /// What events that are being added aim at.
    pub(super) aims: Aims,
    aliases: [tokio::sync::Mutex<()>; ALIAS_LOCKS],
    /// Ids of rooms that are being made. As many as their writers.
    new_rooms: Arc<Mutex<HashSet<OwnedRoomId>>>,
}

/// A room id that nobody else may use for a new room.
pub(super) struct NewRoomId {
    taken: Arc<Mutex<HashSet<OwnedRoomId>>>,
    id: OwnedRoomId,
}

impl Drop for NewRoomId {
    fn drop(&mut self) {
        self.taken.lock().remove(&self.id);
    }
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            in_flight: Arc::default(),
            renaming: Mutex::default(),
            renaming_places: Semaphore::new(RENAMING_MAX),
            crossings: Crossings::default(),
            completions: Completions::default(),
            early_receipts: Arc::default(),
            aims: Aims::default(),
            aliases: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            new_rooms: Arc::default(),
        }
    }
}

impl Writes {
    /// Takes the id of a new room until the answer is dropped, which must be after the commit; `None` when another
    /// writer has it.
    pub(super) fn take_room_id(&self, id: &RoomId) -> Option<NewRoomId> {
        let new = self.new_rooms.lock().insert(id.to_owned());
        new.then(|| NewRoomId { taken: self.new_rooms.clone(), id: id.to_owned() })
    }

    /// Keeps others from making, moving or removing an alias until the guard is dropped, which must be after the
    /// commit. Some aliases share a lock: never take two.
    pub(super) async fn alias(&self, alias: &RoomAliasId) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        alias.hash(&mut hasher);
        let slot = usize::try_from(hasher.finish() % ALIAS_LOCKS as u64).unwrap_or_default();
        match self.aliases.get(slot) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }
}
