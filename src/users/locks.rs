//! One writer per account at a time.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::store::UserNo;

/// Writers of different accounts rarely meet in one of so many locks.
const SHARDS: usize = 256;

/// Serialises changes that read before they write: of one account, or of one name that may become an account.
///
/// Whoever holds a lock takes no second one, so there is no order to keep.
#[derive(Clone)]
pub(super) struct Locks {
    shards: Arc<[Mutex<()>]>,
    rest: Arc<Mutex<()>>,
    hasher: Arc<RandomState>,
}

impl Locks {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), rest: Arc::default(), hasher: Arc::default() }
    }

    /// Waits for the right to change what belongs to a user.
    pub(super) async fn user(&self, user: UserNo) -> MutexGuard<'_, ()> {
        self.shard(self.hasher.hash_one(user)).lock().await
    }

    /// Waits for the right to make an account of a name.
    pub(super) async fn name(&self, localpart: &str) -> MutexGuard<'_, ()> {
        self.shard(self.hasher.hash_one(localpart)).lock().await
    }

    fn shard(&self, hash: u64) -> &Mutex<()> {
        self.shards.get(usize::try_from(hash).unwrap_or_default() % SHARDS).unwrap_or(&self.rest)
    }
}
