//! Signing in and out, and the password that does it.

use super::{Grant, NewDevice, Session, Users, UsersError};
use crate::{
    secret::Secret,
    store::{
        Batch, UserNo,
        schema::users::{ACCOUNTS, Account, PasswordHash},
    },
};

impl Users {
    /// Signs a device in with a password. `name` is a user id or its part before the colon.
    ///
    /// # Errors
    /// [`UsersError::WrongCredentials`] whatever of the two is wrong; [`UsersError::Deactivated`] and
    /// [`UsersError::Locked`]; [`UsersError::Busy`].
    pub async fn login(&self, name: &str, password: Secret, device: &NewDevice) -> Result<Grant, UsersError> {
        let meant = self.accounts.meant(name).await?;
        let stored = meant.as_ref().and_then(|(_, _, account)| account.password.clone());
        let fits = self.passwords.verify(password, stored.clone()).await?;
        let Some((user_id, user, account)) = meant else { return Err(UsersError::WrongCredentials) };
        // A deactivated account has no password left to check; that it is closed is no secret, its profile is gone.
        if account.deactivated {
            return Err(UsersError::Deactivated);
        }
        if !fits {
            return Err(UsersError::WrongCredentials);
        }
        let _guard = self.locks.user(user).await;
        let account = self.accounts.open(user).await.map_err(|error| match error {
            UsersError::NoAccount => UsersError::Deactivated,
            other => other,
        })?;
        if account.locked {
            return Err(UsersError::Locked);
        }
        // The password may have been changed while its hash was computed.
        if account.password != stored {
            return Err(UsersError::WrongCredentials);
        }
        let mut batch = Batch::new();
        let grant = self.stage_sign_in(&mut batch, user_id, user, device).await?;
        self.store.commit(batch).await?;
        Ok(grant)
    }

    /// Whether a password is that of an account. An account without a password has no right one.
    ///
    /// # Errors
    /// [`UsersError::Busy`].
    pub async fn is_password(&self, user: UserNo, password: Secret) -> Result<bool, UsersError> {
        let account = self.accounts.by_number(user).await?.filter(|account| !account.deactivated);
        self.passwords.verify(password, account.and_then(|account| account.password)).await
    }

    /// Signs the session's device out and removes it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn logout(&self, session: &Session) -> Result<(), UsersError> {
        self.devices.remove(session.user, std::slice::from_ref(&session.device_id)).await
    }

    /// Signs all devices of a user out and removes them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn logout_all(&self, user: UserNo) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        self.devices.stage_removal_of_all(&mut batch, user, None).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Sets a new password; with `logout_devices`, all devices but `kept` are signed out and removed.
    ///
    /// # Errors
    /// [`UsersError::WeakPassword`], [`UsersError::NoAccount`], [`UsersError::Busy`].
    pub async fn change_password(
        &self,
        user: UserNo,
        password: Secret,
        logout_devices: bool,
        kept: Option<&str>,
    ) -> Result<(), UsersError> {
        self.passwords.check(&password)?;
        let hash = self.passwords.hash(password).await?;
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        self.stage_password(&mut batch, user, hash, (logout_devices, kept)).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Adds a new password to `batch`, and the end of the devices but `kept` if they are to end. The caller holds the
    /// user's lock.
    pub(super) async fn stage_password(
        &self,
        batch: &mut Batch,
        user: UserNo,
        hash: PasswordHash,
        (logout_devices, kept): (bool, Option<&str>),
    ) -> Result<(), UsersError> {
        let account = self.accounts.open(user).await?;
        batch.put(&ACCOUNTS, &user, &Account { password: Some(hash), ..account });
        if logout_devices {
            self.devices.stage_removal_of_all(batch, user, kept).await?;
        }
        Ok(())
    }
}
