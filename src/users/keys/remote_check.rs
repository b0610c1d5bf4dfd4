//! What another server says are its users' keys, checked like what clients upload here.
//!
//! A list is taken as far as it is good: a device whose keys are wrong is left out, and so are signatures that nobody
//! can check. Whoever reads the rest trusts it by its signatures, not by this server's word.

use std::collections::BTreeMap;

use ruma::{
    DeviceId, OwnedDeviceId, UserId,
    encryption::{CrossSigningKey, DeviceKeys},
    serde::Raw,
};

use super::{
    KeysError,
    cross_signing::{check, check_signed, public_key},
    object::KeyObject,
    upload::check_identity_keys,
};

/// Devices of one user that are taken.
pub(super) const DEVICES_MAX: usize = 1_000;
/// Longest keys of one device that are taken, in bytes: usual ones have a quarter of it. Whoever asks for keys gets those of
/// all devices of many users at once.
const DEVICE_BYTES_MAX: usize = 4_096;
/// Longest name of a device that is taken, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A device as another server tells of it.
#[derive(Debug)]
pub struct RemoteDevice {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its keys.
    pub keys: Raw<DeviceKeys>,
    /// Its name.
    pub display_name: Option<String>,
}

/// The keys of a user of another server, as that server tells them.
#[derive(Debug, Default)]
pub struct RemoteKeys {
    /// The devices.
    pub devices: Vec<RemoteDevice>,
    /// The master key.
    pub master_key: Option<Raw<CrossSigningKey>>,
    /// The self-signing key.
    pub self_signing_key: Option<Raw<CrossSigningKey>>,
}

/// The same, as far as it is good.
#[derive(Debug, Default)]
pub(super) struct CheckedKeys {
    pub(super) devices: BTreeMap<String, KeyObject>,
    pub(super) master: Option<KeyObject>,
    pub(super) self_signing: Option<KeyObject>,
}

/// Checks the whole of somebody's keys.
pub(super) fn check_all(user_id: &UserId, keys: RemoteKeys) -> CheckedKeys {
    let usage = |key: Option<Raw<CrossSigningKey>>, usage| key.and_then(|key| check(&key, user_id, usage).ok());
    let mut master = usage(keys.master_key, "master");
    let self_signing = usage(keys.self_signing_key, "self_signing");
    let self_signing = self_signing.and_then(|key| signed_by_master(key, user_id, master.as_ref()));
    let mut devices = BTreeMap::new();
    for device in keys.devices.into_iter().take(DEVICES_MAX) {
        match check_device(user_id, &device, self_signing.as_ref()) {
            Ok(object) => {
                devices.insert(device.device_id.to_string(), object);
            }
            Err(error) => tracing::debug!(%user_id, %error, "keys of a device on another server are left out"),
        }
    }
    if let Some(master) = &mut master {
        keep_signatures_of_devices(master, user_id, |device| devices.get(device));
    }
    CheckedKeys { devices, master, self_signing }
}

/// Checks a device's keys. Its own signature and that of the self-signing key stay.
pub(super) fn check_device(
    user_id: &UserId,
    device: &RemoteDevice,
    self_signing: Option<&KeyObject>,
) -> Result<KeyObject, KeysError> {
    let mut object = check_identity_keys(&device.keys, user_id, &device.device_id)?;
    let own = own_key_id(&device.device_id);
    let cross = self_signing.and_then(public_key).map(|key| (format!("ed25519:{key}"), key));
    let cross = cross.filter(|(id, key)| {
        let mut signatures = object.signatures(user_id.as_str());
        signatures.find(|(by, _)| by == id).is_some_and(|(_, signature)| object.is_signed_by(key, signature))
    });
    object.retain_signatures(|signer, id| {
        signer == user_id.as_str() && (id == own || cross.as_ref().is_some_and(|(cross, _)| cross == id))
    });
    object.remove("unsigned");
    if object.text().len() > DEVICE_BYTES_MAX {
        return Err(KeysError::TooMany("The keys of a device are too long"));
    }
    if let Some(name) = device.display_name.as_ref().filter(|name| name.len() <= NAME_BYTES_MAX) {
        object.name_device(name.clone());
    }
    Ok(object)
}

/// A master key without the signatures that nobody can check.
pub(super) fn check_master(key: &Raw<CrossSigningKey>, user_id: &UserId) -> Result<KeyObject, KeysError> {
    check(key, user_id, "master")
}

/// A self-signing key that the master key has signed.
pub(super) fn check_self_signing(
    key: &Raw<CrossSigningKey>,
    user_id: &UserId,
    master: Option<&KeyObject>,
) -> Option<KeyObject> {
    signed_by_master(check(key, user_id, "self_signing").ok()?, user_id, master)
}

/// Keeps the signatures on a master key that devices of its owner have made.
pub(super) fn keep_signatures_of_devices<'a>(
    master: &mut KeyObject,
    user_id: &UserId,
    device: impl Fn(&str) -> Option<&'a KeyObject>,
) {
    let mut good = Vec::new();
    for (id, signature) in master.signatures(user_id.as_str()) {
        let signer = id.strip_prefix("ed25519:").and_then(&device).and_then(|device| device.key(id));
        if signer.is_some_and(|key| master.is_signed_by(key, signature)) {
            good.push(id.to_owned());
        }
    }
    master.retain_signatures(|signer, id| signer == user_id.as_str() && good.iter().any(|good| good == id));
}

fn signed_by_master(mut key: KeyObject, user_id: &UserId, master: Option<&KeyObject>) -> Option<KeyObject> {
    let master = master.and_then(public_key)?;
    check_signed(&mut key, user_id, master).ok()?;
    Some(key)
}

fn own_key_id(device_id: &DeviceId) -> String {
    format!("ed25519:{device_id}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use ruma::user_id;
    use serde_json::{json, value::to_raw_value};

    use super::*;

    #[test]
    fn keys_of_a_device_are_as_long_as_keys_are() {
        let device = |padding: usize| {
            let keys = json!({
                "user_id": "@eve:b.example", "device_id": "PHONE", "algorithms": ["m.megolm.v1.aes-sha2"],
                "keys": { "ed25519:PHONE": "AAAA" }, "signatures": {}, "padding": "x".repeat(padding),
            });
            let keys = Raw::from_json(to_raw_value(&keys).unwrap());
            RemoteDevice { device_id: "PHONE".into(), keys, display_name: None }
        };
        let check = |padding| check_device(user_id!("@eve:b.example"), &device(padding), None);
        assert!(check(2_000).is_ok());
        assert!(check(4_000).is_err());
        let devices = RemoteKeys { devices: vec![device(4_000)], ..RemoteKeys::default() };
        assert!(check_all(user_id!("@eve:b.example"), devices).devices.is_empty());
    }
}
