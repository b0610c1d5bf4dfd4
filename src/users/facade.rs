//! All services about people, built together.

use std::{sync::Arc, time::Duration};

use super::{
    AccountData, Accounts, Deactivations, DeviceLists, Devices, Filters, IgnoredLists, Keys, OpenId, Passwords,
    Profiles, PushRules, Pushers, RegistrationTokens, Sessions, SharedSecret, ToDevice, Uia, UsersError,
    last_seen::LastSeen, locks::Locks, tokens::Tokens,
};
use crate::{clock::Clock, config::Config, ids::Ids, notify::Notifier, remote::Outbox, store::Store};

/// How often what has gathered in memory is written.
const HOUSEKEEPING: Duration = Duration::from_mins(1);

/// Everything about the people of this server. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    /// Accounts, looked up and listed.
    pub accounts: Accounts,
    /// Who a token stands for.
    pub sessions: Sessions,
    /// Devices.
    pub devices: Devices,
    /// Password hashes.
    pub passwords: Passwords,
    /// User-interactive authentication.
    pub uia: Uia,
    /// The tokens of registration mode "token".
    pub registration_tokens: RegistrationTokens,
    /// Registration by tools.
    pub shared_secret: SharedSecret,
    /// Profiles.
    pub profiles: Profiles,
    /// Account data and tags.
    pub account_data: AccountData,
    /// Whom everybody ignores, in memory.
    pub ignored_lists: IgnoredLists,
    /// Push rules.
    pub push_rules: PushRules,
    /// Pushers.
    pub pushers: Pushers,
    /// Filters.
    pub filters: Filters,
    /// `OpenID` tokens.
    pub openid: OpenId,
    /// Keys for end-to-end encryption, and backups of them.
    pub keys: Keys,
    /// Messages from device to device.
    pub to_device: ToDevice,
    /// Whose devices changed.
    pub device_lists: DeviceLists,
    /// Closed accounts that still have to leave their rooms.
    pub deactivations: Deactivations,
    pub(super) tokens: Tokens,
    pub(super) locks: Locks,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    last_seen: LastSeen,
}

impl Users {
    /// Builds the services.
    ///
    /// # Errors
    /// The costs of password hashes are out of Argon2's bounds.
    pub fn new(
        config: &Arc<Config>,
        store: Store,
        clock: Clock,
        ids: Ids,
        notifier: Notifier,
        outbox: Outbox,
    ) -> Result<Self, UsersError> {
        let locks = Locks::new();
        let lifetime = config.sessions.access_token_lifetime.duration();
        let tokens = Tokens::new(store.clone(), clock.clone(), ids.clone(), lifetime);
        let last_seen = LastSeen::new(store.clone());
        let server = config.server.name.clone();
        let accounts = Accounts::new(store.clone(), server.clone(), locks.clone(), tokens.clone());
        let passwords = Passwords::new(&config.passwords, ids.clone())?;
        let registration_tokens = RegistrationTokens::new(&config.registration.tokens);
        let uia = Uia::new(
            accounts.clone(),
            passwords.clone(),
            registration_tokens.clone(),
            config.sessions.ui_auth_lifetime.duration(),
            (clock.clone(), ids.clone()),
        );
        let pushers = Pushers::new(store.clone(), locks.clone());
        let ignored_lists = IgnoredLists::load_blocking(&store)?;
        let account_data = AccountData::new(store.clone(), notifier.clone(), locks.clone(), ignored_lists.clone());
        let secret = config.registration.shared_secret.clone();
        let keys = Keys::new(store.clone(), server.clone(), locks.clone(), notifier.clone());
        let to_device = ToDevice::load(store.clone(), server, clock.clone(), locks.clone(), notifier.clone(), outbox)?;
        let device_lists = DeviceLists::load(store.clone())?;
        let devices = Devices {
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            notifier,
            locks: locks.clone(),
            tokens: tokens.clone(),
            pushers: pushers.clone(),
            last_seen: last_seen.clone(),
            keys: keys.clone(),
            to_device: to_device.clone(),
        };
        Ok(Self {
            sessions: Sessions::new(store.clone(), clock.clone(), locks.clone(), tokens.clone(), last_seen.clone()),
            devices,
            keys,
            to_device,
            device_lists,
            uia,
            shared_secret: SharedSecret::new(secret, clock.clone(), ids.clone()),
            profiles: Profiles::new(store.clone(), locks.clone()),
            push_rules: PushRules::new(store.clone(), account_data.clone()),
            filters: Filters::new(store.clone(), clock.clone(), locks.clone()),
            openid: OpenId::new(clock.clone(), ids.clone()),
            deactivations: Deactivations::new(store.clone()),
            accounts,
            passwords,
            registration_tokens,
            account_data,
            ignored_lists,
            pushers,
            tokens,
            locks,
            store,
            clock,
            ids,
            last_seen,
        })
    }

    /// Writes every minute what has gathered in memory. Runs until it is dropped; then [`Self::flush`] writes the rest.
    pub async fn housekeeping(&self) {
        loop {
            self.clock.sleep(HOUSEKEEPING).await;
            self.flush().await;
        }
    }

    /// Writes what has gathered in memory: the last uses of devices.
    pub async fn flush(&self) {
        if let Err(error) = self.last_seen.write().await {
            tracing::warn!(%error, "the last uses of devices could not be written");
        }
        if let Err(error) = self.device_lists.tidy().await {
            tracing::warn!(%error, "changes of device lists that are no longer needed could not be deleted");
        }
    }
}
