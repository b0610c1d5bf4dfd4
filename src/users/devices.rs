//! Devices: one for each sign-in of a client.

use ruma::{DeviceId, OwnedDeviceId};

use super::{
    UsersError, device_lists,
    keys::Keys,
    last_seen::LastSeen,
    locks::Locks,
    pushers::Pushers,
    to_device::ToDevice,
    tokens::{Ending, Tokens},
};
use crate::{
    clock::Clock,
    ids::Ids,
    notify::Notifier,
    store::{
        Batch, Order, Store, UserNo,
        schema::users::{DEVICES, DEVICES_SEEN, Device, DeviceSeen},
    },
};

/// The longest device id, in bytes, as for other identifiers.
const DEVICE_ID_BYTES_MAX: usize = 255;

/// The longest display name, in bytes.
const DISPLAY_NAME_BYTES_MAX: usize = 255;

/// Devices listed at once.
const DEVICES_MAX: usize = 10_000;

/// What a client says about its device when it signs in.
#[derive(Debug, Clone, Default)]
pub struct NewDevice {
    /// The device to go on with, or the id for a new one; chosen by the server when missing.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of a new device. A device that exists keeps its own.
    pub display_name: Option<String>,
    /// The client can refresh its token.
    pub refreshable: bool,
}

/// A device as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its name.
    pub display_name: Option<String>,
    /// Its last use, accurate to a few minutes.
    pub seen: Option<DeviceSeen>,
    /// When it signed in for the first time, Unix time in milliseconds.
    pub created_at_ms: u64,
}

/// Lists, names and removes devices. Cheap to clone.
#[derive(Clone)]
pub struct Devices {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) notifier: Notifier,
    pub(super) locks: Locks,
    pub(super) tokens: Tokens,
    pub(super) pushers: Pushers,
    pub(super) last_seen: LastSeen,
    pub(super) keys: Keys,
    pub(super) to_device: ToDevice,
}

impl Devices {
    /// All devices of a user, by id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, user: UserNo) -> Result<Vec<DeviceInfo>, UsersError> {
        let rows = self.store.prefix(&DEVICES, &user, Order::Ascending, DEVICES_MAX).await?;
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        let seen = self.store.multi_get(&DEVICES_SEEN, &keys).await?;
        Ok(rows.into_iter().zip(seen).map(|((key, device), seen)| self.info(key, device, seen)).collect())
    }

    /// One device of a user.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, user: UserNo, device_id: &DeviceId) -> Result<Option<DeviceInfo>, UsersError> {
        let key = (user, device_id.as_str().to_owned());
        let Some(device) = self.store.get(&DEVICES, &key).await? else { return Ok(None) };
        let seen = self.store.get(&DEVICES_SEEN, &key).await?;
        Ok(Some(self.info(key, device, seen)))
    }

    /// Gives a device a name, or takes it away.
    ///
    /// # Errors
    /// [`UsersError::NotFound`], [`UsersError::TooLarge`].
    pub async fn rename(
        &self,
        user: UserNo,
        device_id: &DeviceId,
        display_name: Option<String>,
    ) -> Result<(), UsersError> {
        check_display_name(display_name.as_deref())?;
        let _guard = self.locks.user(user).await;
        let key = (user, device_id.as_str().to_owned());
        let device = self.store.get(&DEVICES, &key).await?.ok_or(UsersError::NotFound("There is no such device"))?;
        let mut batch = Batch::new();
        batch.put(&DEVICES, &key, &Device { display_name, ..device });
        device_lists::mark_changed(&mut batch, user, &self.notifier);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Removes devices with everything that belongs to them: tokens, pushers, keys, waiting messages. Ids that are
    /// not devices of the user are passed over.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove(&self, user: UserNo, device_ids: &[OwnedDeviceId]) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        let ids: Vec<&str> = device_ids.iter().map(|id| id.as_str()).collect();
        self.stage_removal(&mut batch, user, &ids).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Adds to `batch` the removal of all devices of a user but one. The caller holds the user's lock.
    pub(super) async fn stage_removal_of_all(
        &self,
        batch: &mut Batch,
        user: UserNo,
        kept: Option<&str>,
    ) -> Result<(), UsersError> {
        let rows = self.store.prefix(&DEVICES, &user, Order::Ascending, DEVICES_MAX).await?;
        let ids: Vec<&str> = rows.iter().map(|((_, id), _)| id.as_str()).filter(|id| Some(*id) != kept).collect();
        self.stage_removal(batch, user, &ids).await?;
        // Tokens of devices beyond the list, or without one, must not survive a change of password.
        self.tokens.end(batch, user, kept.map_or(Ending::All, Ending::AllBut)).await
    }

    /// Adds to `batch` the sign-in of a device: its row if it is new, the end of its old tokens if it is not. The
    /// caller holds the user's lock, or makes the account in the same batch. The answer is the device's id.
    pub(super) async fn stage_sign_in(
        &self,
        batch: &mut Batch,
        user: UserNo,
        new: &NewDevice,
    ) -> Result<OwnedDeviceId, UsersError> {
        check_display_name(new.display_name.as_deref())?;
        let device_id = match &new.device_id {
            Some(id) if id.as_str().len() > DEVICE_ID_BYTES_MAX => {
                return Err(UsersError::Invalid("A device id may have at most 255 bytes"));
            }
            Some(id) if !id.as_str().is_empty() => id.clone(),
            _ => self.ids.device_id().into(),
        };
        let key = (user, device_id.as_str().to_owned());
        if self.store.get(&DEVICES, &key).await?.is_some() {
            self.tokens.end(batch, user, Ending::Device(device_id.as_str())).await?;
        } else {
            let device = Device { display_name: new.display_name.clone(), created_at_ms: self.clock.now_ms() };
            batch.put(&DEVICES, &key, &device);
            batch.delete(&DEVICES_SEEN, &key);
            device_lists::mark_changed(batch, user, &self.notifier);
        }
        Ok(device_id)
    }

    async fn stage_removal(&self, batch: &mut Batch, user: UserNo, ids: &[&str]) -> Result<(), UsersError> {
        let mut changed = false;
        for id in ids {
            let key = (user, (*id).to_owned());
            if self.store.get(&DEVICES, &key).await?.is_none() {
                continue;
            }
            changed = true;
            batch.delete(&DEVICES, &key);
            batch.delete(&DEVICES_SEEN, &key);
            self.tokens.end(batch, user, Ending::Device(id)).await?;
            self.pushers.stage_removal_of_device(batch, user, id).await?;
            self.keys.stage_removal_of_device(batch, user, id).await?;
            self.to_device.stage_removal_of_device(batch, user, id).await?;
        }
        if changed {
            device_lists::mark_changed(batch, user, &self.notifier);
        }
        Ok(())
    }

    fn info(&self, (user, id): (UserNo, String), device: Device, seen: Option<DeviceSeen>) -> DeviceInfo {
        let seen = self.last_seen.unwritten(user, &id).or(seen);
        DeviceInfo {
            device_id: id.into(),
            display_name: device.display_name,
            created_at_ms: device.created_at_ms,
            seen,
        }
    }
}

fn check_display_name(name: Option<&str>) -> Result<(), UsersError> {
    if name.is_some_and(|name| name.len() > DISPLAY_NAME_BYTES_MAX) {
        return Err(UsersError::TooLarge("A device's display name may have at most 255 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
