//! One writer per account at a time.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::store::UserNo;

/// Writers of different accounts rarely meet in one of so many locks.
const SHARDS: usize = 256;

/// Serialises changes that read before they write: of one account, or of one name that may become an account.
///
/// Whoever holds one lock takes no second one. Who needs several takes them at once, through [`Locks::several`]: in one
/// order for all, so nobody waits in a circle.
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

    /// Waits for the right to change many users and to make accounts of many names.
    pub(super) async fn several(&self, names: &[String], users: &[UserNo]) -> Vec<MutexGuard<'_, ()>> {
        let names = names.iter().map(|name| self.hasher.hash_one(name.as_str()));
        let users = users.iter().map(|user| self.hasher.hash_one(user));
        let places: BTreeSet<u64> = names.chain(users).map(|hash| hash % SHARDS as u64).collect();
        let mut guards = Vec::with_capacity(places.len());
        for place in places {
            guards.push(self.shard(place).lock().await);
        }
        guards
    }

    fn shard(&self, hash: u64) -> &Mutex<()> {
        self.shards.get(usize::try_from(hash).unwrap_or_default() % SHARDS).unwrap_or(&self.rest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_locks_are_those_of_one() {
        let locks = Locks::new();
        let users: Vec<_> = (0..600).map(UserNo).collect();
        let guards = locks.several(&["anna".into()], &users).await;
        assert!(guards.len() <= SHARDS);
        let of_one = locks.shard(locks.hasher.hash_one(UserNo(17)));
        let of_name = locks.shard(locks.hasher.hash_one("anna"));
        assert!(of_one.try_lock().is_err() && of_name.try_lock().is_err());
        drop(guards);
        drop(locks.user(UserNo(17)).await);
        drop(locks.name("anna").await);
    }
}
