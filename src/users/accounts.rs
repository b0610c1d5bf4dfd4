//! Accounts: looked up, listed, changed by administrators.

use std::sync::Arc;

use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use tokio::sync::watch;

use super::{
    UsersError,
    localpart::{RESERVED_LOCALPART, meant_user_id, new_user_id},
    locks::Locks,
    tokens::Tokens,
};
use crate::store::{
    Batch, Order, Store, UserNo,
    schema::{
        school::ROSTER_LOCKS,
        users::{ACCOUNTS, Account},
    },
};

/// Looks up and changes accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    server: OwnedServerName,
    locks: Locks,
    tokens: Tokens,
    /// Counts accounts that were locked, unlocked or closed.
    barred: Arc<watch::Sender<u64>>,
}

impl Accounts {
    pub(super) fn new(store: Store, server: OwnedServerName, locks: Locks, tokens: Tokens) -> Self {
        Self { store, server, locks, tokens, barred: Arc::default() }
    }

    /// Tells of every account that was locked, unlocked or closed; the number only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.barred.subscribe()
    }

    /// Says that one was.
    pub(super) fn tell(&self) {
        self.barred.send_modify(|count| *count += 1);
    }

    /// The name of this server.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// The account of a user id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, user_id: &UserId) -> Result<Option<(UserNo, Account)>, UsersError> {
        if user_id.server_name() != self.server {
            return Ok(None);
        }
        let Some(user) = self.store.user(user_id).await? else { return Ok(None) };
        Ok(self.store.get(&ACCOUNTS, &user).await?.map(|account| (user, account)))
    }

    /// The account of a user number.
    ///
    /// # Errors
    /// The store failed.
    pub async fn by_number(&self, user: UserNo) -> Result<Option<Account>, UsersError> {
        Ok(self.store.get(&ACCOUNTS, &user).await?)
    }

    /// Whether a user id is an open account of this server: somebody who can be invited.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_open(&self, user_id: &UserId) -> Result<bool, UsersError> {
        Ok(self.get(user_id).await?.is_some_and(|(_, account)| !account.deactivated))
    }

    /// Whether a new account could have this name.
    ///
    /// # Errors
    /// [`UsersError::InvalidName`], [`UsersError::NameTaken`].
    pub async fn check_available(&self, localpart: &str) -> Result<OwnedUserId, UsersError> {
        let user_id = new_user_id(localpart, &self.server)?;
        if localpart == RESERVED_LOCALPART || self.get(&user_id).await?.is_some() {
            return Err(UsersError::NameTaken);
        }
        Ok(user_id)
    }

    /// The account that an administrator or a person signing in means by a name or user id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn meant(&self, text: &str) -> Result<Option<(OwnedUserId, UserNo, Account)>, UsersError> {
        let Some(user_id) = meant_user_id(text, &self.server) else { return Ok(None) };
        Ok(self.get(&user_id).await?.map(|(user, account)| (user_id, user, account)))
    }

    /// A page of accounts in the order of their numbers, from after `after`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, after: Option<UserNo>, limit: usize) -> Result<Vec<(UserNo, Account)>, UsersError> {
        let from = UserNo(after.map_or(0, |user| user.0.saturating_add(1)));
        Ok(self.store.range(&ACCOUNTS, &from, &UserNo(u64::MAX), Order::Ascending, limit).await?)
    }

    /// Locks an account, or unlocks it: a locked account keeps its sessions and can only log out. The roster leaves
    /// alone what was decided here.
    ///
    /// # Errors
    /// [`UsersError::NoAccount`].
    pub async fn set_locked(&self, user: UserNo, locked: bool) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let account = self.open(user).await?;
        let mut batch = Batch::new();
        batch.put(&ACCOUNTS, &user, &Account { locked, ..account });
        batch.delete(&ROSTER_LOCKS, &user);
        self.tokens.reread(&mut batch, user).await?;
        self.store.commit(batch).await?;
        self.tell();
        Ok(())
    }

    /// Suspends an account, or lets it write again.
    ///
    /// # Errors
    /// [`UsersError::NoAccount`].
    pub async fn set_suspended(&self, user: UserNo, suspended: bool) -> Result<(), UsersError> {
        self.change(user, |account| account.suspended = suspended).await
    }

    /// Makes an account an administrator's, or an ordinary one.
    ///
    /// # Errors
    /// [`UsersError::NoAccount`].
    pub async fn set_admin(&self, user: UserNo, admin: bool) -> Result<(), UsersError> {
        self.change(user, |account| account.admin = admin).await
    }

    async fn change(&self, user: UserNo, change: impl FnOnce(&mut Account)) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let mut account = self.open(user).await?;
        change(&mut account);
        let mut batch = Batch::new();
        batch.put(&ACCOUNTS, &user, &account);
        self.tokens.reread(&mut batch, user).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// An account that is not deactivated. The caller holds the user's lock.
    pub(super) async fn open(&self, user: UserNo) -> Result<Account, UsersError> {
        let account = self.store.get(&ACCOUNTS, &user).await?;
        account.filter(|account| !account.deactivated).ok_or(UsersError::NoAccount)
    }
}
