//! Accounts of a roster's people: many made, locked and renamed in one batch.

use ruma::OwnedUserId;
use tokio::sync::MutexGuard;

use super::{DISPLAYNAME, Users, UsersError};
use crate::store::{
    Batch, UserNo,
    schema::{
        school::ROSTER_LOCKS,
        users::{ACCOUNTS, Account, PROFILE_FIELDS, PasswordHash},
    },
};

/// The longest display name, in characters, as for one that a person sets.
const DISPLAYNAME_CHARS_MAX: usize = 256;

/// An account to be made for a person of a roster. It has no password.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The part of the user id before the colon.
    pub localpart: String,
    /// The display name; empty for none.
    pub displayname: String,
    /// Whether it begins locked, because the person may not use the server yet.
    pub locked: bool,
}

/// The right to change many accounts, until it is dropped: after the commit of what it staged.
pub struct HeldAccounts<'a> {
    users: &'a Users,
    _guards: Vec<MutexGuard<'a, ()>>,
}

impl Users {
    /// Waits for the right to change accounts, and to make some of names.
    pub async fn hold(&self, names: &[String], users: &[UserNo]) -> HeldAccounts<'_> {
        HeldAccounts { users: self, _guards: self.locks.several(names, users).await }
    }
}

impl HeldAccounts<'_> {
    /// Adds a new account to `batch`. The name is one of those that are held.
    ///
    /// # Errors
    /// [`UsersError::NameTaken`], [`UsersError::InvalidName`].
    pub async fn stage_account(&self, batch: &mut Batch, new: &NewPerson) -> Result<(UserNo, OwnedUserId), UsersError> {
        let user_id = self.users.accounts.check_available(&new.localpart).await?;
        let user = self.users.store.mint_user(&user_id, batch).await?;
        let account = Account {
            localpart: new.localpart.clone(),
            password: None,
            admin: false,
            guest: false,
            deactivated: false,
            erased: false,
            locked: new.locked,
            suspended: false,
            created_at_ms: self.users.clock.now_ms(),
        };
        batch.put(&ACCOUNTS, &user, &account);
        if new.locked {
            batch.put(&ROSTER_LOCKS, &user, &());
        }
        put_displayname(batch, user, &new.displayname);
        Ok((user, user_id))
    }

    /// Adds to `batch` that the roster locks an account, or lets it in again. What an administrator has locked stays
    /// as it is. The answer is whether anything changes. The user is one of those that are held.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stage_roster_lock(&self, batch: &mut Batch, user: UserNo, locked: bool) -> Result<bool, UsersError> {
        let store = &self.users.store;
        let Some(account) = store.get(&ACCOUNTS, &user).await? else { return Ok(false) };
        let by_roster = store.get(&ROSTER_LOCKS, &user).await?.is_some();
        if account.deactivated || account.locked == locked || (!locked && !by_roster) {
            return Ok(false);
        }
        batch.put(&ACCOUNTS, &user, &Account { locked, ..account });
        if locked {
            batch.put(&ROSTER_LOCKS, &user, &());
        } else {
            batch.delete(&ROSTER_LOCKS, &user);
        }
        self.users.tokens.reread(batch, user).await?;
        Ok(true)
    }

    /// Adds to `batch` that an account is locked as an administrator would lock it. The user is one of those that are
    /// held.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stage_lock(&self, batch: &mut Batch, user: UserNo) -> Result<(), UsersError> {
        let account = self.users.accounts.open(user).await?;
        batch.put(&ACCOUNTS, &user, &Account { locked: true, ..account });
        batch.delete(&ROSTER_LOCKS, &user);
        self.users.tokens.reread(batch, user).await
    }

    /// Adds the password of an account that can be used to `batch`, and the end of all its devices: what gave the right
    /// to set it is used up in the same commit. The user is one of those that are held.
    ///
    /// # Errors
    /// [`UsersError::NoAccount`], [`UsersError::Locked`].
    pub async fn stage_password(
        &self,
        batch: &mut Batch,
        user: UserNo,
        password: PasswordHash,
    ) -> Result<(), UsersError> {
        if self.users.accounts.open(user).await?.locked {
            return Err(UsersError::Locked);
        }
        self.users.stage_password(batch, user, password, (true, None)).await
    }

    /// Adds a new display name to `batch`, if `accept` says yes to the present one. The answer is whether it changes.
    /// The user is one of those that are held.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stage_displayname(
        &self,
        batch: &mut Batch,
        user: UserNo,
        name: &str,
        accept: impl FnOnce(Option<&str>) -> bool,
    ) -> Result<bool, UsersError> {
        let present = self.users.profiles.field(user, DISPLAYNAME).await?;
        let present: Option<String> = present.and_then(|json| serde_json::from_str(json.get()).ok());
        let name = cut(name);
        if present.as_deref() == Some(name) || name.is_empty() || !accept(present.as_deref()) {
            return Ok(false);
        }
        put_displayname(batch, user, name);
        Ok(true)
    }
}

fn put_displayname(batch: &mut Batch, user: UserNo, name: &str) {
    let name = cut(name);
    if !name.is_empty() {
        let json = serde_json::Value::from(name).to_string();
        batch.put(&PROFILE_FIELDS, &(user, DISPLAYNAME.to_owned()), &json);
    }
}

/// A name no longer than a display name may be.
fn cut(name: &str) -> &str {
    let end = name.char_indices().nth(DISPLAYNAME_CHARS_MAX).map_or(name.len(), |(end, _)| end);
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::users::{NewDevice, test::Fixture};

    async fn locked(fixture: &Fixture, user: UserNo) -> bool {
        fixture.users.accounts.by_number(user).await.unwrap().unwrap().locked
    }

    async fn lock(fixture: &Fixture, user: UserNo, locked: bool) -> bool {
        let held = fixture.users.hold(&[], &[user]).await;
        let mut batch = Batch::new();
        let changed = held.stage_roster_lock(&mut batch, user, locked).await.unwrap();
        fixture.store.commit(batch).await.unwrap();
        changed
    }

    #[tokio::test]
    async fn many_accounts_are_one_batch_and_names_are_given_once() {
        let fixture = Fixture::new();
        fixture.register("taken").await;
        let names: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
        let held = fixture.users.hold(&names, &[]).await;
        let mut batch = Batch::new();
        let new = |name: &str| NewPerson { localpart: name.into(), displayname: "Ä".repeat(300), locked: false };
        for name in &names {
            held.stage_account(&mut batch, &new(name)).await.unwrap();
        }
        assert!(matches!(held.stage_account(&mut batch, &new("taken")).await, Err(UsersError::NameTaken)));
        fixture.store.commit(batch).await.unwrap();
        drop(held);
        let (_, user, account) = fixture.users.accounts.meant("p39").await.unwrap().unwrap();
        assert!(account.password.is_none() && !account.locked);
        let name = fixture.users.profiles.get(user).await.unwrap().displayname().unwrap();
        assert_eq!(name.chars().count(), 256);
        assert!(fixture.users.login("p39", "".into(), &NewDevice::default()).await.is_err());
    }

    #[tokio::test]
    async fn the_roster_lets_in_whom_it_locked_but_not_whom_an_administrator_locked() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        assert!(lock(&fixture, anna.user, true).await && locked(&fixture, anna.user).await);
        assert!(!lock(&fixture, anna.user, true).await);
        assert!(lock(&fixture, anna.user, false).await && !locked(&fixture, anna.user).await);
        fixture.users.accounts.set_locked(anna.user, true).await.unwrap();
        assert!(!lock(&fixture, anna.user, true).await);
        assert!(!lock(&fixture, anna.user, false).await && locked(&fixture, anna.user).await);
        // An administrator who confirms the roster's lock makes it their own.
        fixture.users.accounts.set_locked(anna.user, false).await.unwrap();
        lock(&fixture, anna.user, true).await;
        fixture.users.accounts.set_locked(anna.user, true).await.unwrap();
        assert!(!lock(&fixture, anna.user, false).await && locked(&fixture, anna.user).await);
    }

    #[tokio::test]
    async fn a_display_name_changes_if_it_may() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        let held = fixture.users.hold(&[], &[anna.user]).await;
        let mut batch = Batch::new();
        assert!(held.stage_displayname(&mut batch, anna.user, "Anna A", |now| now.is_none()).await.unwrap());
        fixture.store.commit(batch).await.unwrap();
        let mut batch = Batch::new();
        for (name, accept) in [("Anna A", true), ("Anna B", false), ("", true)] {
            assert!(!held.stage_displayname(&mut batch, anna.user, name, |_| accept).await.unwrap(), "{name}");
        }
        assert!(batch.is_empty());
    }
}
