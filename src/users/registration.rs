//! New accounts.

use std::time::Duration;

use ruma::{OwnedDeviceId, OwnedUserId};

use super::{NewDevice, Users, UsersError, tokens::Issued};
use crate::{
    secret::Secret,
    store::{
        Batch, UserNo,
        schema::users::{ACCOUNTS, Account},
    },
};

/// An account to be made.
#[derive(Debug, Default)]
pub struct NewAccount {
    /// The part of the user id before the colon; chosen by the server when missing.
    pub localpart: Option<String>,
    /// `None` for an account that cannot sign in with a password.
    pub password: Option<Secret>,
    /// An administrator's.
    pub admin: bool,
    /// A guest's.
    pub guest: bool,
}

/// What a client gets when it signs in.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The account.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, for clients that can use one.
    pub refresh_token: Option<Secret>,
    /// How long the access token is valid; `None` for until it is logged out.
    pub expires_in: Option<Duration>,
}

impl Grant {
    pub(super) fn new(user_id: OwnedUserId, device_id: OwnedDeviceId, issued: Issued) -> Self {
        Self {
            user_id,
            device_id,
            access_token: issued.access_token.into(),
            refresh_token: issued.refresh_token.map(Secret::from),
            expires_in: issued.expires_in,
        }
    }
}

/// A new account, and the sign-in of its first device when one was asked for.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The account.
    pub user_id: OwnedUserId,
    /// Its interned number.
    pub user: UserNo,
    /// The sign-in.
    pub grant: Option<Grant>,
}

impl Users {
    /// Makes an account and signs its first device in, all in one commit. Who may do so is decided by the caller.
    ///
    /// Of any number of calls at once for one name, one succeeds.
    ///
    /// # Errors
    /// [`UsersError::InvalidName`], [`UsersError::NameTaken`], [`UsersError::WeakPassword`], [`UsersError::Busy`].
    pub async fn register(&self, new: NewAccount, device: Option<NewDevice>) -> Result<Registered, UsersError> {
        let localpart = match new.localpart {
            Some(localpart) => localpart,
            None if new.guest => self.ids.guest_localpart(),
            None => self.ids.user_localpart(),
        };
        // Before the costly hash; it is checked again under the lock.
        self.accounts.check_available(&localpart).await?;
        let password = match new.password {
            Some(password) => {
                self.passwords.check(&password)?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let _guard = self.locks.name(&localpart).await;
        let user_id = self.accounts.check_available(&localpart).await?;
        let mut batch = Batch::new();
        let user = self.store.mint_user(&user_id, &mut batch).await?;
        let account = Account {
            localpart,
            password,
            admin: new.admin,
            guest: new.guest,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created_at_ms: self.clock.now_ms(),
        };
        batch.put(&ACCOUNTS, &user, &account);
        let grant = match device {
            Some(device) => Some(self.stage_sign_in(&mut batch, user_id.clone(), user, &device).await?),
            None => None,
        };
        self.store.commit(batch).await?;
        Ok(Registered { user_id, user, grant })
    }

    /// Adds to `batch` the sign-in of a device. The caller holds the user's lock, or makes the account in this batch.
    pub(super) async fn stage_sign_in(
        &self,
        batch: &mut Batch,
        user_id: OwnedUserId,
        user: UserNo,
        device: &NewDevice,
    ) -> Result<Grant, UsersError> {
        let device_id = self.devices.stage_sign_in(batch, user, device).await?;
        let issued = self.tokens.issue(batch, (user, device_id.as_str()), device.refreshable, 0, false);
        Ok(Grant::new(user_id, device_id, issued))
    }
}

#[cfg(test)]
mod tests;
