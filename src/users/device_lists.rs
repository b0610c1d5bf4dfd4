//! Device lists: who learns that somebody's devices or keys changed.
//!
//! Specification v1.19, client-server API, "Tracking the device list for a user".

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::{
    notify::{Concerned, Notifier},
    store::{
        Batch, Order, Position, Store, StoreError, UserNo,
        schema::keys::{KEY_CHANGES, KeyChange},
    },
};

/// Rows read at once.
const PAGE: usize = 4_096;
/// Superseded rows that wait to be deleted; the rest is deleted after the next start.
const SUPERSEDED_MAX: usize = 100_000;

/// The number under which somebody waits for changes of everybody's lists. It is no user's: minted ones start at 1.
pub const DEVICE_LISTS_WATCHER: UserNo = UserNo(0);

/// Adds to `batch` that a user's devices or keys have changed, for all who share a room with them.
pub(super) fn mark_changed(batch: &mut Batch, user: UserNo, notifier: &Notifier) {
    mark(batch, KeyChange { user, seen_by: None }, user, notifier);
}

/// Adds to `batch` that `signer` has signed a key of `user`, which only the signer's own devices see.
pub(super) fn mark_signed(batch: &mut Batch, user: UserNo, signer: UserNo, notifier: &Notifier) {
    mark(batch, KeyChange { user, seen_by: Some(signer) }, signer, notifier);
}

/// Adds to `batch` that a user has come into a room with users of other servers, which are to be told of the user's list
/// unless they know it. The user's own devices see the change, nobody else's here.
pub fn mark_met(batch: &mut Batch, user: UserNo, notifier: &Notifier) {
    mark(batch, KeyChange { user, seen_by: Some(user) }, user, notifier);
}

fn mark(batch: &mut Batch, change: KeyChange, concerned: UserNo, notifier: &Notifier) {
    batch.at_position(move |at, rows| rows.put(&KEY_CHANGES, &at, &change));
    let notifier = notifier.clone();
    batch.on_visible(move || {
        notifier.wake(Concerned::User(concerned.0));
        if change.seen_by.is_none_or(|only| only == change.user) {
            notifier.wake(Concerned::User(DEVICE_LISTS_WATCHER.0));
        }
    });
}

/// Knows the last change of each device list. Cheap to clone.
///
/// Every sync of every user asks, and the answer is nearly always "nothing": so the last change of everybody is kept
/// in memory, some tens of bytes for each user who ever had a device.
#[derive(Clone)]
pub struct DeviceLists {
    store: Store,
    latest: Arc<RwLock<Latest>>,
}

struct Latest {
    /// Changes up to here are in.
    upto: Position,
    /// Exactly one entry for each of `of`.
    at: BTreeMap<Position, KeyChange>,
    of: HashMap<(UserNo, Option<UserNo>), Position>,
    /// Rows of the table that a later one made useless.
    superseded: Vec<Position>,
}

impl Latest {
    fn add(&mut self, at: Position, change: KeyChange) {
        if let Some(before) = self.of.insert((change.user, change.seen_by), at) {
            self.at.remove(&before);
            if self.superseded.len() < SUPERSEDED_MAX {
                self.superseded.push(before);
            }
        }
        self.at.insert(at, change);
    }
}

impl DeviceLists {
    /// Reads the last changes. Blocks.
    pub(super) fn load(store: Store) -> Result<Self, StoreError> {
        let mut latest =
            Latest { upto: store.position(), at: BTreeMap::new(), of: HashMap::new(), superseded: Vec::new() };
        store.walk_blocking(&KEY_CHANGES, |at, change| {
            latest.add(at, change);
            Ok(())
        })?;
        Ok(Self { store, latest: Arc::new(RwLock::new(latest)) })
    }

    /// Whose devices or keys changed in (since, to], as far as `reader` may see it: users who share a room with the
    /// reader, and others; whoever asks knows the rooms. Each user once.
    ///
    /// A user who changed again after `to` may be left out: they are in the answer about what follows `to`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changed(&self, reader: UserNo, since: Position, to: Position) -> Result<Vec<UserNo>, StoreError> {
        if since >= to {
            return Ok(Vec::new());
        }
        self.catch_up(to).await?;
        let latest = self.latest.read();
        let seen = latest.at.range(Position(since.0 + 1)..=to).map(|(_, change)| change);
        let seen = seen.filter(|change| change.seen_by.is_none_or(|only| only == reader));
        let mut users: Vec<UserNo> = seen.map(|change| change.user).collect();
        users.sort_unstable();
        users.dedup();
        Ok(users)
    }

    async fn catch_up(&self, to: Position) -> Result<(), StoreError> {
        loop {
            let upto = self.latest.read().upto;
            if upto >= to {
                return Ok(());
            }
            let (from, end) = (Position(upto.0 + 1), Position(to.0 + 1));
            let rows = self.store.range(&KEY_CHANGES, &from, &end, Order::Ascending, PAGE).await?;
            let mut latest = self.latest.write();
            // Somebody else may have read the same.
            if latest.upto == upto {
                latest.upto = match rows.last() {
                    Some((at, _)) if rows.len() == PAGE => *at,
                    _ => to,
                };
                for (at, change) in rows {
                    latest.add(at, change);
                }
            }
        }
    }

    /// Deletes rows that later ones made useless. To be called now and then.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let superseded = std::mem::take(&mut self.latest.write().superseded);
        if superseded.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for at in superseded {
            batch.delete(&KEY_CHANGES, &at);
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::store::{Durability, StoreOptions};

    const ANNA: UserNo = UserNo(1);
    const BEN: UserNo = UserNo(2);

    #[tokio::test]
    async fn the_last_change_of_each_user_is_answered_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let notifier = Notifier::start().unwrap();
        let store = Store::open(folder.path(), &options).unwrap();
        let lists = DeviceLists::load(store.clone()).unwrap();
        let mark = async |user, signer: Option<UserNo>| {
            let mut batch = Batch::new();
            match signer {
                Some(signer) => mark_signed(&mut batch, user, signer, &notifier),
                None => mark_changed(&mut batch, user, &notifier),
            }
            store.commit(batch).await.unwrap()
        };
        let start = store.position();
        let first = mark(ANNA, None).await;
        assert_eq!(lists.changed(BEN, start, first).await.unwrap(), [ANNA]);
        assert_eq!(lists.changed(BEN, first, first).await.unwrap(), []);
        let second = mark(BEN, None).await;
        let third = mark(ANNA, None).await;
        assert_eq!(lists.changed(BEN, start, third).await.unwrap(), [ANNA, BEN]);
        assert_eq!(lists.changed(BEN, second, third).await.unwrap(), [ANNA]);
        let signed = mark(ANNA, Some(BEN)).await;
        assert_eq!(lists.changed(BEN, third, signed).await.unwrap(), [ANNA]);
        assert_eq!(lists.changed(ANNA, third, signed).await.unwrap(), []);

        lists.tidy().await.unwrap();
        let rows = store.prefix(&KEY_CHANGES, &(), Order::Ascending, 99).await.unwrap();
        assert_eq!(rows.len(), 3, "the first change of Anna is not needed any more");
        let reloaded = DeviceLists::load(store.clone()).unwrap();
        assert_eq!(reloaded.changed(BEN, start, signed).await.unwrap(), [ANNA, BEN]);
    }
}
