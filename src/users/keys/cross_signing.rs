//! Keys of a user, which sign the keys of devices and of other users.
//!
//! Specification v1.19, client-server API, "Cross-signing".

use ruma::{UserId, encryption::CrossSigningKey, serde::Raw};

use super::{Keys, KeysError, object::KeyObject, service::SIGNATURES_MAX};
use crate::{
    store::{
        Batch, Order, UserNo,
        schema::{
            keys::{CROSS_SIGNING_KEYS, DEVICE_KEYS, KEY_SIGNATURES, MASTER, SELF_SIGNING, USER_SIGNING},
            users::DEVICES,
        },
    },
    users::device_lists,
};

/// What a client uploads.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys {
    /// The key that stands for the user.
    pub master_key: Option<Raw<CrossSigningKey>>,
    /// The key that signs the user's devices.
    pub self_signing_key: Option<Raw<CrossSigningKey>>,
    /// The key that signs other users' master keys.
    pub user_signing_key: Option<Raw<CrossSigningKey>>,
}

/// Keys in the order of their usages.
type Three = [Option<KeyObject>; 3];

const USAGES: [(u8, &str); 3] = [(MASTER, "master"), (SELF_SIGNING, "self_signing"), (USER_SIGNING, "user_signing")];

impl SigningKeys {
    fn parse(&self, user_id: &UserId) -> Result<Three, KeysError> {
        let parse = |raw: &Option<Raw<CrossSigningKey>>, (_, usage)| {
            raw.as_ref().map(|raw| check(raw, user_id, usage)).transpose()
        };
        let [master, own, others] = USAGES;
        Ok([
            parse(&self.master_key, master)?,
            parse(&self.self_signing_key, own)?,
            parse(&self.user_signing_key, others)?,
        ])
    }
}

impl Keys {
    /// Whether the user has to prove again who they are before an upload: unless it is the first one, or brings
    /// nothing new.
    ///
    /// # Errors
    /// The upload is malformed; the store failed.
    pub async fn upload_needs_auth(
        &self,
        user: UserNo,
        user_id: &UserId,
        upload: &SigningKeys,
    ) -> Result<bool, KeysError> {
        let given = upload.parse(user_id)?;
        let known = self.known_signing_keys(user).await?;
        let [known_master, ..] = &known;
        Ok(known_master.is_some() && !nothing_new(&given, &known))
    }

    /// Replaces the user's cross-signing keys. A new master key without the others removes these, as it has not
    /// signed them. The caller has made sure of [`Self::upload_needs_auth`].
    ///
    /// # Errors
    /// Keys of somebody else or of a wrong usage, missing or wrong signatures, no master key.
    pub async fn upload_signing_keys(
        &self,
        user: UserNo,
        user_id: &UserId,
        upload: &SigningKeys,
    ) -> Result<(), KeysError> {
        let given = upload.parse(user_id)?;
        let _guard = self.locks.user(user).await;
        let known = self.known_signing_keys(user).await?;
        if nothing_new(&given, &known) {
            return Ok(());
        }
        let [known_master, ..] = known;
        let [master, self_signing, user_signing] = given;
        let mut batch = Batch::new();
        let replaced = match (&master, &known_master) {
            (Some(master), Some(known)) => !master.same_content(known),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if replaced && let Some(public_key) = known_master.as_ref().and_then(public_key) {
            let old = (user, public_key.to_owned());
            for (key, _) in self.store.prefix(&KEY_SIGNATURES, &old, Order::Ascending, SIGNATURES_MAX).await? {
                batch.delete(&KEY_SIGNATURES, &key);
            }
        }
        let mut master = master.or(known_master).ok_or(KeysError::NoMasterKey)?;
        let signer = public_key(&master).ok_or(KeysError::Malformed("The master key has no key"))?.to_owned();
        for (usage, key) in [(SELF_SIGNING, self_signing), (USER_SIGNING, user_signing)] {
            match key {
                Some(mut key) => {
                    self.check_no_device(user, &key).await?;
                    check_signed(&mut key, user_id, &signer)?;
                    batch.put(&CROSS_SIGNING_KEYS, &(user, usage), &key.text());
                }
                None if replaced => batch.delete(&CROSS_SIGNING_KEYS, &(user, usage)),
                None => {}
            }
        }
        if replaced {
            self.check_no_device(user, &master).await?;
            self.check_master_signatures(user, user_id, &mut master).await?;
            batch.put(&CROSS_SIGNING_KEYS, &(user, MASTER), &master.text());
        }
        device_lists::mark_changed(&mut batch, user, &self.notifier);
        self.store.commit(batch).await?;
        Ok(())
    }

    pub(super) async fn known_signing_keys(&self, user: UserNo) -> Result<Three, KeysError> {
        let places = USAGES.map(|(usage, _)| (user, usage));
        let mut found = self.store.multi_get(&CROSS_SIGNING_KEYS, &places).await?.into_iter();
        let mut next = || found.next().flatten().map(|text| KeyObject::parse(&text)).transpose();
        Ok([next()?, next()?, next()?])
    }

    /// A key that is named like a device could pass for it in lists of signatures.
    async fn check_no_device(&self, user: UserNo, key: &KeyObject) -> Result<(), KeysError> {
        let Some(public_key) = public_key(key) else { return Ok(()) };
        let device = self.store.get(&DEVICES, &(user, public_key.to_owned())).await?;
        if device.is_some() { Err(KeysError::KeyIsDeviceId) } else { Ok(()) }
    }

    /// A master key may come signed by devices of its owner. Other signatures are dropped.
    async fn check_master_signatures(
        &self,
        user: UserNo,
        user_id: &UserId,
        master: &mut KeyObject,
    ) -> Result<(), KeysError> {
        let mut valid = Vec::new();
        for (key_id, signature) in master.signatures(user_id.as_str()) {
            let Some(device_id) = key_id.strip_prefix("ed25519:") else { continue };
            let keys = self.store.get(&DEVICE_KEYS, &(user, device_id.to_owned())).await?;
            let Some(keys) = keys.and_then(|text| KeyObject::parse(&text).ok()) else { continue };
            if !keys.key(key_id).is_some_and(|key| master.is_signed_by(key, signature)) {
                return Err(KeysError::InvalidSignature("The master key is signed wrongly by a device"));
            }
            valid.push(key_id.to_owned());
        }
        master.retain_signatures(|signer, id| signer == user_id.as_str() && valid.iter().any(|valid| valid == id));
        Ok(())
    }
}

/// The public key of a cross-signing key.
pub(super) fn public_key(key: &KeyObject) -> Option<&str> {
    key.keys().next().map(|(_, key)| key)
}

/// No new keys: the same master key, and no others that differ from the known ones.
fn nothing_new(given: &Three, known: &Three) -> bool {
    given.iter().any(Option::is_some)
        && given.iter().zip(known).all(|(given, known)| match (given, known) {
            (None, _) => true,
            (Some(given), Some(known)) => given.same_content(known),
            (Some(_), None) => false,
        })
}

/// Checks a key's owner, usage and shape.
pub(super) fn check(raw: &Raw<CrossSigningKey>, user_id: &UserId, usage: &str) -> Result<KeyObject, KeysError> {
    let key = raw.deserialize().map_err(|_| KeysError::Malformed("A cross-signing key is not complete"))?;
    if key.user_id != *user_id {
        return Err(KeysError::Invalid("A cross-signing key is of another user"));
    }
    let object = KeyObject::parse(raw.json().get())?;
    if !object.has_usage(usage) {
        return Err(KeysError::Invalid("A cross-signing key is of another usage"));
    }
    let mut keys = object.keys();
    match (keys.next(), keys.next()) {
        (Some((id, key)), None) if id.strip_prefix("ed25519:") == Some(key) && !key.is_empty() => {}
        _ => return Err(KeysError::Invalid("A cross-signing key has exactly one Ed25519 key, named by itself")),
    }
    drop(keys);
    Ok(object)
}

/// Checks that the master key has signed a key; other signatures are dropped.
pub(super) fn check_signed(key: &mut KeyObject, user_id: &UserId, master: &str) -> Result<(), KeysError> {
    let key_id = format!("ed25519:{master}");
    let signature = key.signatures(user_id.as_str()).find(|(id, _)| *id == key_id).map(|(_, signature)| signature);
    if !signature.is_some_and(|signature| key.is_signed_by(master, signature)) {
        return Err(KeysError::InvalidSignature("A cross-signing key is not signed by the master key"));
    }
    key.retain_signatures(|signer, id| signer == user_id.as_str() && id == key_id);
    Ok(())
}
