//! Keys of people, as a certain reader sees them.

use std::collections::BTreeMap;

use ruma::{
    OwnedDeviceId, OwnedUserId, UserId,
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};
use serde_json::value::RawValue;

use super::{Keys, KeysError, cross_signing::public_key, object::KeyObject, service::SIGNATURES_MAX};
use crate::store::{
    Order, StoreError, UserNo,
    schema::{
        keys::{CROSS_SIGNING_KEYS, DEVICE_KEYS, KEY_SIGNATURES, MASTER, SELF_SIGNING, USER_SIGNING},
        users::DEVICES,
    },
};

/// Devices of one user that are answered.
pub(super) const DEVICES_MAX: usize = 1_000;

/// Keys that were asked for.
#[derive(Debug, Default)]
pub struct Queried {
    /// Identity keys. Every user of this server that was asked for is in it.
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>>,
    /// Master keys.
    pub master_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    /// Self-signing keys.
    pub self_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    /// User-signing keys: the reader's own only.
    pub user_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    /// What was asked for of users of other servers.
    pub remote: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
}

/// A user's keys are being read.
pub(super) struct Subject<'a> {
    pub(super) user: UserNo,
    pub(super) user_id: &'a UserId,
    pub(super) reader: UserNo,
    pub(super) reader_id: &'a UserId,
}

impl Keys {
    /// The keys of people; an empty list of devices means all of them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn query(
        &self,
        reader: UserNo,
        reader_id: &UserId,
        wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<Queried, KeysError> {
        let (local, remote) = wanted.into_iter().partition(|(user_id, _)| user_id.server_name() == self.server);
        let queried = self.query_known(reader, reader_id, local).await?;
        Ok(Queried { remote, ..queried })
    }

    /// The same of users of any server, as far as their keys are here.
    ///
    /// # Errors
    /// The store failed.
    pub async fn query_known(
        &self,
        reader: UserNo,
        reader_id: &UserId,
        wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<Queried, KeysError> {
        let mut queried = Queried::default();
        for (user_id, devices) in wanted {
            let mut device_keys = BTreeMap::new();
            if let Some(user) = self.store.user(&user_id).await? {
                let subject = Subject { user, user_id: &user_id, reader, reader_id };
                device_keys = self.device_keys(&subject, &devices, true).await?;
                let [master, self_signing, user_signing] = self.cross_signing_keys(&subject).await?;
                master.map(|key| queried.master_keys.insert(user_id.clone(), key));
                self_signing.map(|key| queried.self_signing_keys.insert(user_id.clone(), key));
                user_signing.map(|key| queried.user_signing_keys.insert(user_id.clone(), key));
            }
            queried.device_keys.insert(user_id, device_keys);
        }
        Ok(queried)
    }

    /// Identity keys; with `names`, they say what their owner calls the device.
    pub(super) async fn device_keys(
        &self,
        subject: &Subject<'_>,
        only: &[OwnedDeviceId],
        names: bool,
    ) -> Result<BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>, StoreError> {
        let rows = if only.is_empty() {
            self.store.prefix(&DEVICE_KEYS, &subject.user, Order::Ascending, DEVICES_MAX).await?
        } else {
            let keys: Vec<_> = only.iter().take(DEVICES_MAX).map(|id| (subject.user, id.as_str().to_owned())).collect();
            let found = self.store.multi_get(&DEVICE_KEYS, &keys).await?;
            keys.into_iter().zip(found).filter_map(|(key, found)| Some((key, found?))).collect()
        };
        let ids: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        let devices = self.store.multi_get(&DEVICES, &ids).await?;
        let mut keys = BTreeMap::new();
        for ((key, text), device) in rows.into_iter().zip(devices) {
            let mut object = KeyObject::parse(&text).map_err(|_| damaged())?;
            self.add_signatures(subject, &key.1, &mut object).await?;
            if let Some(name) = device.and_then(|device| device.display_name).filter(|_| names) {
                object.name_device(name);
            }
            keys.insert(key.1.into(), raw(&object)?);
        }
        Ok(keys)
    }

    /// Master, self-signing and, for their owner, user-signing key.
    pub(super) async fn cross_signing_keys(
        &self,
        subject: &Subject<'_>,
    ) -> Result<[Option<Raw<CrossSigningKey>>; 3], StoreError> {
        let usages = [MASTER, SELF_SIGNING, USER_SIGNING].map(|usage| (subject.user, usage));
        let mut found = self.store.multi_get(&CROSS_SIGNING_KEYS, &usages).await?.into_iter();
        let mut next = || found.next().flatten().map(|text| KeyObject::parse(&text).map_err(|_| damaged())).transpose();
        let (mut master, self_signing, user_signing) = (next()?, next()?, next()?);
        let public_key = master.as_ref().and_then(public_key).map(ToOwned::to_owned);
        if let Some((object, public_key)) = master.as_mut().zip(public_key) {
            self.add_signatures(subject, &public_key, object).await?;
        }
        let user_signing = user_signing.filter(|_| subject.user == subject.reader);
        let raw = |object: Option<KeyObject>| object.map(|object| raw(&object)).transpose();
        Ok([raw(master)?, raw(self_signing)?, raw(user_signing)?])
    }

    /// Adds the signatures that the reader may see: the owner's, and the reader's own. Those of third parties would
    /// tell who has verified whom.
    async fn add_signatures(&self, subject: &Subject<'_>, key: &str, object: &mut KeyObject) -> Result<(), StoreError> {
        let mut signers = vec![(subject.user, subject.user_id)];
        if subject.reader != subject.user {
            signers.push((subject.reader, subject.reader_id));
        }
        for (signer, signer_id) in signers {
            let place = (subject.user, key.to_owned(), signer);
            let rows = self.store.prefix(&KEY_SIGNATURES, &place, Order::Ascending, SIGNATURES_MAX).await?;
            for ((.., key_id), signature) in rows {
                object.sign(signer_id.as_str(), &key_id, signature);
            }
        }
        Ok(())
    }
}

pub(super) fn raw<T>(object: &KeyObject) -> Result<Raw<T>, StoreError> {
    RawValue::from_string(object.text()).map(Raw::from_json).map_err(|_| damaged())
}

fn damaged() -> StoreError {
    StoreError::Corrupt { table: DEVICE_KEYS.name, what: "a key that is none" }
}
