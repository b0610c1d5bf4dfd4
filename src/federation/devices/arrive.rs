//! What other servers tell: changes of devices, cross-signing keys, messages to devices. Each server of its own users.

use ruma::{
    ServerName, UserId,
    api::federation::transactions::edu::{DeviceListUpdateContent, DirectDeviceContent, SigningKeyUpdateContent},
};

use super::Devices;
use crate::{
    store::{StoreError, UserNo},
    users::{
        keys::{Followed, KeysError, Standing},
        to_device::{Brought, ToDeviceError},
    },
};

impl Devices {
    /// `m.device_list_update`: a device of a user of `origin` has changed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn device_list_update(
        &self,
        origin: &ServerName,
        update: DeviceListUpdateContent,
    ) -> Result<(), StoreError> {
        let Some((user, standing)) = self.told_of(origin, &update.user_id).await? else { return Ok(()) };
        let keys = &self.0.parts.users.keys;
        self.settle(user, keys.update_remote_device(user, update, standing).await)
    }

    /// `m.signing_key_update`: a user of `origin` has new cross-signing keys.
    ///
    /// # Errors
    /// The store failed.
    pub async fn signing_key_update(
        &self,
        origin: &ServerName,
        update: SigningKeyUpdateContent,
    ) -> Result<(), StoreError> {
        let Some((user, standing)) = self.told_of(origin, &update.user_id).await? else { return Ok(()) };
        let keys = &self.0.parts.users.keys;
        self.settle(user, keys.update_remote_signing_keys(user, update, standing).await)
    }

    /// `m.direct_to_device`: messages of a user of `origin`. They reach whom messages of that user may reach.
    ///
    /// # Errors
    /// The store failed.
    pub async fn direct_to_device(&self, origin: &ServerName, content: DirectDeviceContent) -> Result<(), StoreError> {
        let DirectDeviceContent { sender, ev_type, message_id, mut messages, .. } = content;
        if sender.server_name() != origin {
            tracing::debug!(%origin, %sender, "a server brought messages of another's user");
            return Ok(());
        }
        let rooms = &self.0.parts.rooms;
        let number = rooms.store().user(&sender).await?.unwrap_or(NOBODY);
        let event_type = ev_type.to_string();
        messages.retain(|user_id, _| rooms.is_local(user_id));
        rooms.keep_reachable((number, &sender), &event_type, &mut messages).await?;
        let brought = Brought { sender: &sender, event_type: &event_type, message_id: message_id.as_str(), messages };
        match self.0.parts.users.to_device.receive(origin, brought).await {
            Err(ToDeviceError::Store(error)) => Err(error),
            Err(error) => {
                tracing::debug!(%origin, %error, "messages to devices are refused");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The number of a user of whom a server may tell, one of its own with whom somebody here shares a room, and what is
    /// known of their list.
    async fn told_of(&self, origin: &ServerName, user_id: &UserId) -> Result<Option<(UserNo, Standing)>, StoreError> {
        if user_id.server_name() != origin {
            tracing::debug!(%origin, %user_id, "a server told of devices of another's user");
            return Ok(None);
        }
        let Some(user) = self.0.stranger(user_id).await? else { return Ok(None) };
        if !self.0.parts.rooms.meets_us(user).await? {
            return Ok(None);
        }
        let standing = Standing {
            followed: self.0.follows(user).await?,
            fetching: self.0.is_fetching(user),
            came: self.0.parts.rooms.came_to_us(user).await?,
        };
        Ok(Some((user, standing)))
    }

    fn settle(&self, user: UserNo, done: Result<Followed, KeysError>) -> Result<(), StoreError> {
        match done {
            Ok(Followed::UpToDate) => {}
            Ok(Followed::Missed) => self.0.fetch_later(user),
            Err(KeysError::Store(error)) => return Err(error),
            Err(error) => tracing::debug!(user = user.0, %error, "news of devices are refused"),
        }
        Ok(())
    }
}

/// The number of a user who was never heard of.
const NOBODY: UserNo = UserNo(0);
