//! Keys of a device.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{
    DeviceId, OwnedOneTimeKeyId, UserId,
    encryption::{DeviceKeys, OneTimeKey},
    serde::Raw,
};

use super::{
    Counts, Keys, KeysError,
    object::KeyObject,
    service::{FALLBACK_KEYS_MAX, ONE_TIME_KEYS_MAX},
};
use crate::{
    store::{
        Batch, Order, UserNo,
        schema::keys::{
            DEVICE_KEYS, FALLBACK_KEYS, FallbackKeyRow, KEY_SIGNATURES, ONE_TIME_KEY_IDS, ONE_TIME_KEYS, OneTimeKeyRow,
        },
    },
    users::device_lists,
};

/// Longest id of a one-time key, in bytes.
const KEY_ID_BYTES_MAX: usize = 255;
/// Longest one-time key, in bytes. Honest ones have about 250.
const ONE_TIME_KEY_BYTES_MAX: usize = 4_096;
/// Identity keys of one device.
const IDENTITY_KEYS_MAX: usize = 16;

/// What a device uploads.
#[derive(Debug, Default)]
pub struct KeyUpload {
    /// Its identity keys.
    pub device_keys: Option<Raw<DeviceKeys>>,
    /// Keys that are given to one other device each.
    pub one_time_keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
    /// Keys that are given out when there are no others, one for each algorithm.
    pub fallback_keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
}

impl Keys {
    /// Takes keys of a device: all of them, or none.
    ///
    /// A one-time key that is here already is passed over, so that a client can repeat an upload whose answer it lost.
    ///
    /// # Errors
    /// Keys of another device, malformed or too many keys, wrong signatures, one-time keys whose id is taken.
    pub async fn upload(
        &self,
        user: UserNo,
        user_id: &UserId,
        device_id: &DeviceId,
        upload: KeyUpload,
    ) -> Result<Arc<Counts>, KeysError> {
        let device_keys = upload.device_keys.map(|keys| check_device_keys(&keys, user_id, device_id)).transpose()?;
        let one_time_keys = check_one_time_keys(&upload.one_time_keys)?;
        let fallback_keys = check_one_time_keys(&upload.fallback_keys)?;
        {
            let _guard = self.locks.user(user).await;
            let mut batch = Batch::new();
            let device = (user, device_id.as_str().to_owned());
            if let Some(keys) = device_keys {
                self.stage_device_keys(&mut batch, &device, &keys).await?;
            }
            self.stage_one_time_keys(&mut batch, &device, one_time_keys).await?;
            self.stage_fallback_keys(&mut batch, &device, fallback_keys).await?;
            if !batch.is_empty() {
                self.recount(&mut batch, user, device_id.as_str());
                self.store.commit(batch).await?;
            }
        }
        Ok(self.counts(user, device_id).await?)
    }

    async fn stage_device_keys(
        &self,
        batch: &mut Batch,
        device: &(UserNo, String),
        keys: &KeyObject,
    ) -> Result<(), KeysError> {
        let text = keys.text();
        let known = self.store.get(&DEVICE_KEYS, device).await?;
        if known.as_ref() == Some(&text) {
            return Ok(());
        }
        // Signatures of other keys of the same id say nothing about these.
        if known.is_some_and(|known| !KeyObject::parse(&known).is_ok_and(|known| known.same_content(keys))) {
            let signatures =
                self.store.prefix(&KEY_SIGNATURES, device, Order::Ascending, super::service::SIGNATURES_MAX);
            for (key, _) in signatures.await? {
                batch.delete(&KEY_SIGNATURES, &key);
            }
        }
        batch.put(&DEVICE_KEYS, device, &text);
        device_lists::mark_changed(batch, device.0, &self.notifier);
        Ok(())
    }

    async fn stage_one_time_keys(
        &self,
        batch: &mut Batch,
        (user, device_id): &(UserNo, String),
        keys: Vec<(OneTimeKeyRow, String)>,
    ) -> Result<(), KeysError> {
        if keys.is_empty() {
            return Ok(());
        }
        let device = (*user, device_id.clone());
        let known = self.store.prefix(&ONE_TIME_KEYS, &device, Order::Ascending, ONE_TIME_KEYS_MAX).await?;
        let mut next = known.iter().map(|((.., order), _)| order + 1).max().unwrap_or_default();
        let mut count = known.len();
        let known: BTreeMap<&str, &str> =
            known.iter().map(|(_, row)| (row.key_id.as_str(), row.key.as_str())).collect();
        for (row, algorithm) in keys {
            match known.get(row.key_id.as_str()) {
                Some(key) if *key == row.key => continue,
                Some(_) => return Err(KeysError::OneTimeKeyExists(row.key_id)),
                None => {}
            }
            count += 1;
            if count > ONE_TIME_KEYS_MAX {
                return Err(KeysError::TooMany("A device may have at most 1,000 one-time keys"));
            }
            batch.put(&ONE_TIME_KEY_IDS, &(*user, device_id.clone(), row.key_id.clone()), &next);
            batch.put(&ONE_TIME_KEYS, &(*user, device_id.clone(), algorithm, next), &row);
            next += 1;
        }
        Ok(())
    }

    async fn stage_fallback_keys(
        &self,
        batch: &mut Batch,
        device: &(UserNo, String),
        keys: Vec<(OneTimeKeyRow, String)>,
    ) -> Result<(), KeysError> {
        if keys.len() > FALLBACK_KEYS_MAX {
            return Err(KeysError::TooMany("Too many fallback keys"));
        }
        for (OneTimeKeyRow { key_id, key }, algorithm) in keys {
            let place = (device.0, device.1.clone(), algorithm);
            let known = self.store.get(&FALLBACK_KEYS, &place).await?;
            if known.is_none_or(|known| known.key_id != key_id || known.key != key) {
                batch.put(&FALLBACK_KEYS, &place, &FallbackKeyRow { key_id, key, used: false });
            }
        }
        Ok(())
    }
}

/// Checks that device keys are complete, of this very device, and not signed wrongly by it.
///
/// Keys without a signature are taken: the specification asks clients to check it, not servers, and its acceptance
/// suite uploads some.
fn check_device_keys(raw: &Raw<DeviceKeys>, user_id: &UserId, device_id: &DeviceId) -> Result<KeyObject, KeysError> {
    let mut object = check_identity_keys(raw, user_id, device_id)?;
    let key_id = format!("ed25519:{device_id}");
    // Others are added through `signatures/upload`, which checks them.
    object.retain_signatures(|signer, id| signer == user_id.as_str() && id == key_id);
    object.remove("unsigned");
    Ok(object)
}

/// The same with everything that is in the object.
pub(super) fn check_identity_keys(
    raw: &Raw<DeviceKeys>,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<KeyObject, KeysError> {
    let keys = raw.deserialize().map_err(|_| KeysError::Malformed("The device keys are not complete"))?;
    if keys.user_id != *user_id || keys.device_id != *device_id {
        return Err(KeysError::Invalid("The device keys are of another user or device"));
    }
    if keys.keys.len() > IDENTITY_KEYS_MAX {
        return Err(KeysError::TooMany("Too many identity keys"));
    }
    if keys.keys.keys().any(|key_id| key_id.key_name() != device_id) {
        return Err(KeysError::Invalid("An identity key is of another device"));
    }
    let object = KeyObject::parse(raw.json().get())?;
    let key_id = format!("ed25519:{device_id}");
    let signature = object.signatures(user_id.as_str()).find(|(id, _)| *id == key_id).map(|(_, signature)| signature);
    if let Some(signature) = signature
        && !object.key(&key_id).is_some_and(|key| object.is_signed_by(key, signature))
    {
        return Err(KeysError::InvalidSignature("The device keys are not signed by their device"));
    }
    Ok(object)
}

/// Checks one-time or fallback keys; answers each with its algorithm.
fn check_one_time_keys(
    keys: &BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
) -> Result<Vec<(OneTimeKeyRow, String)>, KeysError> {
    if keys.len() > ONE_TIME_KEYS_MAX {
        return Err(KeysError::TooMany("A device may have at most 1,000 one-time keys"));
    }
    let mut checked = Vec::with_capacity(keys.len());
    for (key_id, raw) in keys {
        let text = raw.json().get();
        if text.len() > ONE_TIME_KEY_BYTES_MAX || key_id.as_str().len() > KEY_ID_BYTES_MAX {
            return Err(KeysError::TooMany("A one-time key is too long"));
        }
        let algorithm = key_id.algorithm().to_string();
        let signed = matches!(raw.deserialize(), Ok(OneTimeKey::SignedKey(_)));
        let plain = matches!(raw.deserialize(), Ok(OneTimeKey::Key(_)));
        if !(signed || plain && !algorithm.starts_with("signed_")) {
            return Err(KeysError::Malformed("A one-time key is not a signed key"));
        }
        let key = if signed { KeyObject::parse(text)?.text() } else { text.to_owned() };
        checked.push((OneTimeKeyRow { key_id: key_id.to_string(), key }, algorithm));
    }
    Ok(checked)
}
