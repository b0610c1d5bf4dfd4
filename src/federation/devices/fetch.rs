//! Fetches the device lists of other servers' users: in the background, one of a user at a time, a few of all at once,
//! and again after failures.

use std::time::Duration;

use ruma::{UserId, api::federation::device::get_devices::v1 as get_devices_v1};

use super::service::Inner;
use crate::{
    places::Holder,
    remote::{RemoteError, Terms},
    store::UserNo,
    users::keys::{KeysError, RemoteDevice, RemoteKeys},
};

/// Users whose lists wait to be fetched, of one server only a part. Of others the server is asked when a client asks.
const WAITING_MAX: usize = 10_000;
/// How often a list is tried.
const TRIES_MAX: u32 = 12;
/// The first wait after a failure, doubled with each further one, up to the second.
const WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(30));
/// How long one answer may take.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer, in bytes: a thousand devices with air.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a list could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The server did not answer, or not with a list.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It answered with somebody else's.
    #[error("the list is of another user")]
    OfAnother,
    /// What it said could not be kept.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Inner {
    /// Whether a user's list is being fetched.
    pub(super) fn is_fetching(&self, user: UserNo) -> bool {
        self.fetching.lock().contains_key(&user)
    }

    /// Has a list fetched; once more if that is going on already.
    pub(super) fn fetch_later(&self, user: UserNo) {
        let Some(this) = self.this.upgrade() else { return };
        {
            let mut fetching = self.fetching.lock();
            if let Some(again) = fetching.get_mut(&user) {
                *again = true;
                return;
            }
            if fetching.len() >= WAITING_MAX {
                return;
            }
            fetching.insert(user, false);
        }
        let stopping = self.parts.stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = this.fetch_if_place(user) => {}
            }
        });
    }

    async fn fetch_if_place(&self, user: UserNo) {
        let user_id = self.parts.rooms.store().user_id(user).await;
        let place = user_id.ok().and_then(|id| self.waiting_of_server.try_enter(Holder::of(id.server_name())));
        if place.is_some() {
            self.fetch_until_done(user).await;
        } else {
            self.fetching.lock().remove(&user);
        }
    }

    async fn fetch_until_done(&self, user: UserNo) {
        let mut tries = 0;
        loop {
            match self.fetch_in_turn(user).await {
                Ok(()) => {
                    tries = 0;
                    let mut fetching = self.fetching.lock();
                    match fetching.get_mut(&user) {
                        Some(again) if *again => *again = false,
                        _ => {
                            fetching.remove(&user);
                            return;
                        }
                    }
                }
                Err(error) => {
                    tries += 1;
                    tracing::debug!(user = user.0, %error, tries, "a device list could not be fetched");
                    if tries >= TRIES_MAX {
                        self.fetching.lock().remove(&user);
                        return;
                    }
                    let (first, longest) = WAITS;
                    self.parts.clock.sleep((first * 2_u32.pow(tries - 1)).min(longest)).await;
                }
            }
        }
    }

    async fn fetch_in_turn(&self, user: UserNo) -> Result<(), FetchError> {
        let user_id = self.parts.rooms.store().user_id(user).await.map_err(KeysError::Store)?;
        let _place_of_server = self.places_of_server.enter(Holder::of(user_id.server_name())).await;
        let Ok(_place) = self.places.acquire().await else { return Ok(()) };
        if !self.parts.rooms.meets_us(user).await.map_err(KeysError::Store)? {
            return Ok(());
        }
        self.fetch(user, &user_id, Terms::default().within(WITHIN)).await
    }

    /// Fetches the list of a user with whom a room is shared.
    pub(super) async fn fetch(&self, user: UserNo, user_id: &UserId, terms: Terms) -> Result<(), FetchError> {
        let keys = &self.parts.users.keys;
        let at = self.parts.rooms.store().position();
        let before = keys.remote_list(user).await.map_err(KeysError::Store)?;
        let request = get_devices_v1::Request::new(user_id.to_owned());
        let server = user_id.server_name();
        let answer = self.parts.remote.send_with(server, request, terms.at_most(BYTES_MAX)).await?;
        if answer.user_id != *user_id {
            return Err(FetchError::OfAnother);
        }
        let devices = answer.devices.into_iter().map(|device| RemoteDevice {
            device_id: device.device_id,
            keys: device.keys,
            display_name: device.device_display_name,
        });
        let fetched = RemoteKeys {
            devices: devices.collect(),
            master_key: answer.master_key,
            self_signing_key: answer.self_signing_key,
        };
        Ok(keys.take_remote_list((user, user_id), answer.stream_id.into(), fetched, (at, before.as_ref())).await?)
    }
}
