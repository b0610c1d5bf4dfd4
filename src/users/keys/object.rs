//! A signed JSON object: device keys, cross-signing keys.

use ruma::{
    CanonicalJsonValue, SigningKeyAlgorithm,
    canonical_json::CanonicalJsonObject,
    serde::{Base64, base64::Standard},
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};

use super::KeysError;

/// Longest key object, in bytes: as for events.
const OBJECT_BYTES_MAX: usize = 65_536;

/// A JSON object with keys and signatures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyObject(CanonicalJsonObject);

impl KeyObject {
    /// Reads an object that came from a client, or from the store.
    pub(super) fn parse(text: &str) -> Result<Self, KeysError> {
        if text.len() > OBJECT_BYTES_MAX {
            return Err(KeysError::TooMany("A key may have at most 64 KiB"));
        }
        serde_json::from_str(text).map(Self).map_err(|_| KeysError::Malformed("A key is not a JSON object of strings"))
    }

    /// The canonical text.
    pub(super) fn text(&self) -> String {
        CanonicalJsonValue::Object(self.0.clone()).to_string()
    }

    /// Drops a property.
    pub(super) fn remove(&mut self, property: &str) {
        self.0.remove(property);
    }

    /// Whether `usage` names a usage.
    pub(super) fn has_usage(&self, usage: &str) -> bool {
        let list = self.0.get("usage").and_then(CanonicalJsonValue::as_array);
        list.is_some_and(|list| list.iter().any(|entry| entry.as_str() == Some(usage)))
    }

    /// The keys in it: key id and public key.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.0.get("keys").and_then(CanonicalJsonValue::as_object).into_iter().flatten();
        keys.filter_map(|(id, key)| Some((id.as_str(), key.as_str()?)))
    }

    /// The public key of a key id.
    pub(super) fn key(&self, key_id: &str) -> Option<&str> {
        self.keys().find(|(id, _)| *id == key_id).map(|(_, key)| key)
    }

    /// The signatures of a user: key id and signature.
    pub(super) fn signatures(&self, user_id: &str) -> impl Iterator<Item = (&str, &str)> {
        let users = self.0.get("signatures").and_then(CanonicalJsonValue::as_object);
        let signatures = users.and_then(|users| users.get(user_id)).and_then(CanonicalJsonValue::as_object);
        signatures.into_iter().flatten().filter_map(|(id, signature)| Some((id.as_str(), signature.as_str()?)))
    }

    /// Drops all signatures but those that `keep` names by user and key id.
    pub(super) fn retain_signatures(&mut self, keep: impl Fn(&str, &str) -> bool) {
        if let Some(CanonicalJsonValue::Object(users)) = self.0.get_mut("signatures") {
            for (user, signatures) in users.iter_mut() {
                if let CanonicalJsonValue::Object(signatures) = signatures {
                    signatures.retain(|key_id, _| keep(user, key_id));
                }
            }
            users.retain(|_, signatures| signatures.as_object().is_some_and(|signatures| !signatures.is_empty()));
        }
    }

    /// Adds a signature.
    pub(super) fn sign(&mut self, user_id: &str, key_id: &str, signature: String) {
        let empty = || CanonicalJsonValue::Object(CanonicalJsonObject::new());
        let users = self.0.entry("signatures".to_owned()).or_insert_with(empty);
        let CanonicalJsonValue::Object(users) = users else { return };
        if let CanonicalJsonValue::Object(signatures) = users.entry(user_id.to_owned()).or_insert_with(empty) {
            signatures.insert(key_id.to_owned(), CanonicalJsonValue::String(signature));
        }
    }

    /// Says what the device is called.
    pub(super) fn name_device(&mut self, display_name: String) {
        let named = ("device_display_name".to_owned(), CanonicalJsonValue::String(display_name));
        self.0.insert("unsigned".to_owned(), CanonicalJsonValue::Object([named].into()));
    }

    /// Whether both say the same, whoever has signed it.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        match (to_canonical_json_string_for_signing(&self.0), to_canonical_json_string_for_signing(&other.0)) {
            (Ok(mine), Ok(theirs)) => mine == theirs,
            _ => false,
        }
    }

    /// Whether `signature` was made over this object with the Ed25519 key `public_key`; both in base64.
    pub(super) fn is_signed_by(&self, public_key: &str, signature: &str) -> bool {
        let parse = |text: &str| Base64::<Standard>::parse(text).ok();
        let Some((public_key, signature)) = parse(public_key).zip(parse(signature)) else { return false };
        to_canonical_json_string_for_signing(&self.0).is_ok_and(|text| {
            let algorithm = SigningKeyAlgorithm::Ed25519;
            verify_canonical_json_bytes(&algorithm, public_key.as_bytes(), signature.as_bytes(), text.as_bytes())
                .is_ok()
        })
    }
}
