//! Keys of this server's users as other servers may have them. User-signing keys are not among them, nor signatures of
//! anybody but the owner.

use std::collections::BTreeMap;

use ruma::{
    OwnedDeviceId, OwnedUserId, UserId,
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};

use super::{
    Keys, KeysError, Queried,
    query::{DEVICES_MAX, Subject},
};
use crate::store::{Order, UserNo, schema::users::DEVICES};

/// Number of a reader who has signed nothing.
const STRANGER: UserNo = UserNo(0);

/// A device as other servers may know it.
#[derive(Debug, Default, Clone)]
pub struct PublicDevice {
    /// What its owner calls it.
    pub display_name: Option<String>,
    /// Its identity keys, once it has some.
    pub keys: Option<Raw<DeviceKeys>>,
}

/// Somebody's devices and keys as other servers may know them.
#[derive(Debug, Default, Clone)]
pub struct PublicKeys {
    /// The devices.
    pub devices: BTreeMap<OwnedDeviceId, PublicDevice>,
    /// The master key.
    pub master_key: Option<Raw<CrossSigningKey>>,
    /// The self-signing key.
    pub self_signing_key: Option<Raw<CrossSigningKey>>,
}

impl Keys {
    /// Devices and keys of a user of this server.
    ///
    /// # Errors
    /// The store failed.
    pub async fn public_keys(&self, user: UserNo, user_id: &UserId) -> Result<PublicKeys, KeysError> {
        let subject = Subject { user, user_id, reader: STRANGER, reader_id: user_id };
        let mut public = PublicKeys::default();
        for ((_, id), device) in self.store.prefix(&DEVICES, &user, Order::Ascending, DEVICES_MAX).await? {
            public.devices.insert(id.into(), PublicDevice { display_name: device.display_name, keys: None });
        }
        for (id, keys) in self.device_keys(&subject, &[], false).await? {
            public.devices.entry(id).or_default().keys = Some(keys);
        }
        [public.master_key, public.self_signing_key, _] = self.cross_signing_keys(&subject).await?;
        Ok(public)
    }

    /// Keys of users of this server, for another server; an empty list of devices means all of them. Users of other
    /// servers, and who does not exist, are not in the answer.
    ///
    /// # Errors
    /// The store failed.
    pub async fn query_for_server(
        &self,
        wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
        device_names: bool,
    ) -> Result<Queried, KeysError> {
        let mut queried = Queried::default();
        for (user_id, devices) in wanted {
            if user_id.server_name() != self.server {
                continue;
            }
            let Some(user) = self.store.user(&user_id).await? else { continue };
            let subject = Subject { user, user_id: &user_id, reader: STRANGER, reader_id: &user_id };
            let device_keys = self.device_keys(&subject, &devices, device_names).await?;
            let [master, self_signing, _] = self.cross_signing_keys(&subject).await?;
            master.map(|key| queried.master_keys.insert(user_id.clone(), key));
            self_signing.map(|key| queried.self_signing_keys.insert(user_id.clone(), key));
            queried.device_keys.insert(user_id, device_keys);
        }
        Ok(queried)
    }
}
