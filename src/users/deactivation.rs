//! Closing accounts for good.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Users, UsersError};
use crate::store::{
    Batch, Order, Store, UserNo,
    schema::users::{ACCOUNTS, Account, DEACTIVATIONS, Deactivation},
};

/// Deactivated accounts whose rooms are still to be left: a queue that survives a crash, filled in the commit that
/// closes the account. Rooms are above this layer, so their part drains it.
#[derive(Clone)]
pub struct Deactivations {
    store: Store,
    arrived: Arc<Notify>,
}

impl Deactivations {
    pub(super) fn new(store: Store) -> Self {
        Self { store, arrived: Arc::default() }
    }

    /// The next account to leave its rooms; waits until there is one. The same account comes again until
    /// [`Self::done`], also after a restart. For one caller at a time.
    ///
    /// # Errors
    /// The store failed.
    pub async fn next(&self) -> Result<(UserNo, Deactivation), UsersError> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(next) = self.waiting(1).await?.into_iter().next() {
                return Ok(next);
            }
            arrived.await;
        }
    }

    /// The accounts that have not left their rooms yet.
    ///
    /// # Errors
    /// The store failed.
    pub async fn waiting(&self, limit: usize) -> Result<Vec<(UserNo, Deactivation)>, UsersError> {
        Ok(self.store.prefix(&DEACTIVATIONS, &(), Order::Ascending, limit).await?)
    }

    /// Takes an account off the queue.
    ///
    /// # Errors
    /// The store failed.
    pub async fn done(&self, user: UserNo) -> Result<(), UsersError> {
        let mut batch = Batch::new();
        batch.delete(&DEACTIVATIONS, &user);
        self.store.commit(batch).await?;
        Ok(())
    }
}

impl Users {
    /// Closes an account: no session, device, pusher, password or profile is left, and the name is never used again.
    /// The rooms are left soon after; see [`Deactivations`].
    ///
    /// # Errors
    /// [`UsersError::NoAccount`].
    pub async fn deactivate(&self, user: UserNo, erase: bool) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let account = self.accounts.open(user).await?;
        let mut batch = Batch::new();
        let closed = Account { password: None, admin: false, deactivated: true, erased: erase, ..account };
        batch.put(&ACCOUNTS, &user, &closed);
        batch.put(&DEACTIVATIONS, &user, &Deactivation { erase });
        self.devices.stage_removal_of_all(&mut batch, user, None).await?;
        self.pushers.stage_removal_of_all(&mut batch, user).await?;
        self.profiles.stage_removal(&mut batch, user).await?;
        let arrived = self.deactivations.arrived.clone();
        batch.on_publish(move |_| arrived.notify_one());
        self.store.commit(batch).await?;
        self.accounts.tell();
        Ok(())
    }
}
