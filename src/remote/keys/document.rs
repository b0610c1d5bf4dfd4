//! Key documents of other servers.
//!
//! Spec v1.19, Server-Server API, "Publishing Keys".

use std::collections::BTreeMap;

use ruma::ServerName;

use super::{
    known::{Known, ServerKey},
    ring::WEEK_MS,
};
use crate::event::{
    canonical::{JsonError, Numbers, Object, Value},
    sign::{KEY_ID_BYTES_MAX, read_signature},
};

/// The largest document that is read, in bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// The most keys, old ones included, that a document may name.
const KEYS_MAX: usize = 64;
/// What may stand in a document that this server signs as a notary: nothing else is put above its signature.
const FIELDS: [&str; 6] =
    ["server_name", "verify_keys", "old_verify_keys", "valid_until_ts", "signatures", "tls_fingerprints"];

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    /// Not JSON that could be signed.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Larger than anything honest.
    #[error("the document is too large")]
    TooLarge,
    /// A field is absent or has the wrong form.
    #[error("`{0}` is missing or has the wrong form")]
    Field(&'static str),
    /// It speaks of another server.
    #[error("the document is of another server")]
    OtherServer,
    /// It has expired.
    #[error("the document has expired")]
    Expired,
    /// The server has not signed it, or signed something else.
    #[error("the document is not signed by its own keys")]
    Unsigned,
}

/// A document whose signatures hold.
#[derive(Debug)]
pub(super) struct KeyDocument {
    /// The keys with their validity. What serves is [`Known`]'s to say.
    pub(super) keys: BTreeMap<Box<str>, ServerKey>,
    /// `valid_until_ts`, Unix milliseconds.
    pub(super) valid_until_ms: u64,
    /// Canonical, with its signatures.
    pub(super) json: String,
    /// It comes from the server itself, not from a notary, who may have an old one.
    fresh: bool,
}

impl KeyDocument {
    /// Reads a document of `server` and checks that it signed it itself, with at least one of the keys in it and with
    /// none wrongly.
    pub(super) fn read(text: &str, server: &ServerName, now_ms: u64) -> Result<Self, DocumentError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge);
        }
        let object = Object::parse(text.as_bytes(), Numbers::Strict, 10)?;
        if object.get_str("server_name") != Some(server.as_str()) {
            return Err(DocumentError::OtherServer);
        }
        let valid_until_ms = time(&object, "valid_until_ts")?;
        let mut keys = BTreeMap::new();
        let relied_until_ms = valid_until_ms.min(now_ms.saturating_add(WEEK_MS));
        read_keys(&object, "verify_keys", &mut keys, |_| Ok(relied_until_ms))?;
        if object.get("old_verify_keys").is_some() {
            read_keys(&object, "old_verify_keys", &mut keys, |key| time(key, "expired_ts"))?;
        }
        let json = object.to_text();
        check_own_signature(object, server, &keys)?;
        Ok(Self { keys, valid_until_ms, json, fresh: false })
    }

    /// The same for a document that comes from the server itself: it has to be valid now.
    pub(super) fn read_fresh(text: &str, server: &ServerName, now_ms: u64) -> Result<Self, DocumentError> {
        let document = Self::read(text, server, now_ms)?;
        if document.valid_until_ms <= now_ms {
            return Err(DocumentError::Expired);
        }
        Ok(Self { fresh: true, ..document })
    }

    /// Whether it is a notary's copy of an earlier document than the one that is known.
    pub(super) fn is_older(&self, than: &Known) -> bool {
        !self.fresh && self.valid_until_ms < than.valid_until_ms
    }

    /// Adds it to what was known: its keys replace those of the same id, and others stay for events of their time. An
    /// earlier document only tells of keys that were not known: it brings no key back that is out of use.
    pub(super) fn merge(&self, before: &Known, now_ms: u64) -> Known {
        if self.is_older(before) {
            let mut keys = self.keys.clone();
            keys.extend(before.keys.clone());
            return Known { keys, ..before.clone() };
        }
        let mut keys = before.keys.clone();
        keys.extend(self.keys.clone());
        let valid_until_ms = self.valid_until_ms.min(now_ms.saturating_add(WEEK_MS));
        Known { keys, fetched_ms: now_ms, valid_until_ms, kept: before.kept }
    }
}

/// Whether the text is a document that a notary may sign: nothing but what belongs there.
pub(super) fn is_plain(object: &Object<'_>) -> bool {
    object.iter().all(|(key, _)| FIELDS.contains(&key))
}

/// Whether `signer`, with one of `keys` of its own, has signed this document.
pub(super) fn is_signed_by(text: &str, signer: &ServerName, keys: &Known) -> bool {
    let parsed = Object::parse(text.as_bytes(), Numbers::Strict, 10);
    parsed.is_ok_and(|object| check_own_signature(object, signer, &keys.keys).is_ok())
}

fn time(object: &Object<'_>, field: &'static str) -> Result<u64, DocumentError> {
    let number = object.get(field).and_then(Value::as_integer).ok_or(DocumentError::Field(field))?;
    u64::try_from(number).map_err(|_| DocumentError::Field(field))
}

/// Reads `verify_keys` or `old_verify_keys`. Keys of other algorithms are none of ours.
fn read_keys(
    object: &Object<'_>,
    field: &'static str,
    keys: &mut BTreeMap<Box<str>, ServerKey>,
    valid_until_ms: impl Fn(&Object<'_>) -> Result<u64, DocumentError>,
) -> Result<(), DocumentError> {
    let old = field == "old_verify_keys";
    let listed = object.get(field).and_then(Value::as_object).ok_or(DocumentError::Field(field))?;
    for (key_id, value) in listed.iter() {
        if !key_id.starts_with("ed25519:") {
            continue;
        }
        let value = value.as_object().ok_or(DocumentError::Field(field))?;
        let text = value.get_str("key").ok_or(DocumentError::Field(field))?;
        let key = ServerKey::read(text, valid_until_ms(value)?, old).ok_or(DocumentError::Field(field))?;
        if key_id.len() > KEY_ID_BYTES_MAX || keys.len() >= KEYS_MAX {
            return Err(DocumentError::TooLarge);
        }
        // A key in use is not made old by the same document.
        keys.entry(key_id.into()).or_insert(key);
    }
    Ok(())
}

fn check_own_signature(
    mut object: Object<'_>,
    signer: &ServerName,
    keys: &BTreeMap<Box<str>, ServerKey>,
) -> Result<(), DocumentError> {
    object.remove("unsigned");
    let signatures = object.remove("signatures");
    let signatures = signatures.as_ref().and_then(Value::as_object).ok_or(DocumentError::Unsigned)?;
    let own = signatures.get(signer.as_str()).and_then(Value::as_object).ok_or(DocumentError::Unsigned)?;
    let text = object.to_text();
    let mut held = 0;
    for (key_id, signature) in own.iter() {
        let Some(key) = keys.get(key_id) else { continue };
        let signature = signature.as_str().and_then(read_signature).ok_or(DocumentError::Unsigned)?;
        key.verifying.verify_strict(text.as_bytes(), &signature).map_err(|_| DocumentError::Unsigned)?;
        held += usize::from(!key.old);
    }
    if held == 0 { Err(DocumentError::Unsigned) } else { Ok(()) }
}
