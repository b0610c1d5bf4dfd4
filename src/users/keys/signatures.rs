//! Signatures that are added to keys after their upload.
//!
//! A user's own devices are signed with the self-signing key, the own master key by a device, and another user's
//! master key with the user-signing key. Everything else is refused.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};

use super::{Keys, KeysError, cross_signing::public_key, object::KeyObject};
use crate::{
    store::{
        Batch, UserNo,
        schema::keys::{DEVICE_KEYS, KEY_SIGNATURES},
    },
    users::device_lists,
};

/// Keys signed in one request.
const SIGNED_KEYS_MAX: usize = 1_000;

/// Why one signed key was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFailure {
    /// There is no such key (`M_NOT_FOUND`).
    NotFound,
    /// It is not the key that is known by this id, or not signed by the sender's key (`M_INVALID_SIGNATURE`).
    Invalid,
}

/// A checked signature: signing key id and signature.
type Checked = Result<Vec<(String, String)>, SignatureFailure>;

/// By user and key id.
type Failures = BTreeMap<OwnedUserId, BTreeMap<String, SignatureFailure>>;

/// Who signs, and with which keys.
struct Signer<'a> {
    user: UserNo,
    user_id: &'a UserId,
    keys: [Option<KeyObject>; 3],
}

impl Keys {
    /// Adds signatures: user id and key id (device id or public key) to the signed object. Good ones are taken, also
    /// when others fail.
    ///
    /// # Errors
    /// Too many at once; the store failed.
    pub async fn upload_signatures(
        &self,
        user: UserNo,
        user_id: &UserId,
        uploads: Vec<(OwnedUserId, String, String)>,
    ) -> Result<Failures, KeysError> {
        if uploads.len() > SIGNED_KEYS_MAX {
            return Err(KeysError::TooMany("At most 1,000 keys can be signed at once"));
        }
        let _guard = self.locks.user(user).await;
        let signer = Signer { user, user_id, keys: self.known_signing_keys(user).await? };
        let mut batch = Batch::new();
        let mut own_changed = false;
        let mut failures = Failures::new();
        for (owner_id, key_id, text) in uploads {
            // Of users of other servers there are keys here as long as a room is shared.
            let owner = self.store.user(&owner_id).await?;
            let checked = match (owner, KeyObject::parse(&text)) {
                (Some(owner), Ok(object)) if owner == user => self.check_own(&signer, &key_id, &object).await?,
                (Some(owner), Ok(object)) => self.check_other(&signer, owner, &key_id, &object).await?,
                (Some(_), Err(_)) => Err(SignatureFailure::Invalid),
                (None, _) => Err(SignatureFailure::NotFound),
            };
            match (checked, owner) {
                (Ok(signatures), Some(owner)) => {
                    for (signing_key, signature) in signatures {
                        batch.put(&KEY_SIGNATURES, &(owner, key_id.clone(), user, signing_key), &signature);
                    }
                    if owner == user {
                        own_changed = true;
                    } else {
                        device_lists::mark_signed(&mut batch, owner, user, &self.notifier);
                    }
                }
                (checked, _) => {
                    let failure = checked.err().unwrap_or(SignatureFailure::NotFound);
                    failures.entry(owner_id).or_default().insert(key_id, failure);
                }
            }
        }
        if own_changed {
            device_lists::mark_changed(&mut batch, user, &self.notifier);
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(failures)
    }

    /// A device of the signer, or their master key.
    async fn check_own(&self, signer: &Signer<'_>, key_id: &str, object: &KeyObject) -> Result<Checked, KeysError> {
        let [master, self_signing, _] = &signer.keys;
        if let Some(text) = self.store.get(&DEVICE_KEYS, &(signer.user, key_id.to_owned())).await? {
            let known = KeyObject::parse(&text)?;
            return Ok(match self_signing.as_ref().and_then(public_key) {
                Some(key) if known.same_content(object) => checked(signer, object, key),
                _ => Err(SignatureFailure::Invalid),
            });
        }
        let Some(master) = master.as_ref().filter(|master| public_key(master) == Some(key_id)) else {
            return Ok(Err(SignatureFailure::NotFound));
        };
        if !master.same_content(object) {
            return Ok(Err(SignatureFailure::Invalid));
        }
        let mut valid = Vec::new();
        for (signing_key, signature) in object.signatures(signer.user_id.as_str()) {
            let Some(device_id) = signing_key.strip_prefix("ed25519:") else { continue };
            let keys = self.store.get(&DEVICE_KEYS, &(signer.user, device_id.to_owned())).await?;
            let keys = keys.and_then(|text| KeyObject::parse(&text).ok());
            if keys.is_some_and(|keys| keys.key(signing_key).is_some_and(|key| object.is_signed_by(key, signature))) {
                valid.push((signing_key.to_owned(), signature.to_owned()));
            }
        }
        Ok(if valid.is_empty() { Err(SignatureFailure::Invalid) } else { Ok(valid) })
    }

    /// The master key of somebody else.
    async fn check_other(
        &self,
        signer: &Signer<'_>,
        owner: UserNo,
        key_id: &str,
        object: &KeyObject,
    ) -> Result<Checked, KeysError> {
        let [master, ..] = self.known_signing_keys(owner).await?;
        let Some(master) = master.filter(|master| public_key(master) == Some(key_id)) else {
            return Ok(Err(SignatureFailure::NotFound));
        };
        let [.., user_signing] = &signer.keys;
        Ok(match user_signing.as_ref().and_then(public_key) {
            Some(key) if master.same_content(object) => checked(signer, object, key),
            _ => Err(SignatureFailure::Invalid),
        })
    }
}

/// The signature that the signer made with one of their keys.
fn checked(signer: &Signer<'_>, object: &KeyObject, public_key: &str) -> Checked {
    let key_id = format!("ed25519:{public_key}");
    let mut signatures = object.signatures(signer.user_id.as_str());
    let (_, signature) = signatures.find(|(id, _)| *id == key_id).ok_or(SignatureFailure::Invalid)?;
    let valid = object.is_signed_by(public_key, signature);
    if valid { Ok(vec![(key_id, signature.to_owned())]) } else { Err(SignatureFailure::Invalid) }
}
