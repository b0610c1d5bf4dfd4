//! What the signatures of an event from outside must be, and what they and its hash cover. Whether they are right, the
//! key ring says, which has the keys (`remote/keys/pdu.rs`).
//!
//! Source: spec v1.19, Server-Server API "Validating hashes and signatures on received events"; room versions 1, 3, 5
//! and 8. The texts that are signed and hashed are written by [`super::super::canonical`], so that events of old rooms
//! with numbers that canonical JSON lacks today can be checked too. ruma is the oracle of the tests.

use ed25519_dalek::Signature;
use ruma::{
    EventId, OwnedServerName, SigningKeyAlgorithm, UserId,
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
    signatures::{JsonError, VerificationError, Verified, verify_canonical_json_bytes},
};
use sha2::{Digest as _, Sha256};

use crate::event::{
    canonical::{DEPTH_MAX, Numbers, Object, Value},
    pdu::{Pdu, PduError},
    redact,
};

/// Signatures of one server on one object that are looked at. Servers sign with one key, two while they change it.
pub const SIGNATURES_MAX: usize = 8;
/// The longest id of a key, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 128;

/// What the check of an event's signatures needs of it.
#[derive(Debug, Clone)]
pub struct SignedEvent {
    /// Who must have signed.
    pub required: Vec<Signer>,
    /// What their signatures cover.
    pub text: String,
    /// Whether the content is what was hashed; if not, only the redacted form counts ([`redact_if_hash_wrong`]).
    pub hash_holds: bool,
    /// `origin_server_ts`: in most room versions the keys have to be valid then.
    pub sent_ms: Option<u64>,
}

/// A server that must have signed, and the signatures it has made, by the ids of their keys.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The server.
    pub server: OwnedServerName,
    /// At most [`SIGNATURES_MAX`], Ed25519 only.
    pub signatures: Vec<(Box<str>, Signature)>,
}

impl SignedEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// It has no `hashes` or `signatures`, or does not say who must sign: it must be dropped.
    pub fn read(json: &str, rules: &RoomVersionRules) -> Result<Self, VerificationError> {
        let numbers = if rules.authorization.strict_canonical_json { Numbers::Strict } else { Numbers::Lenient };
        let object = Object::parse(json.as_bytes(), numbers, DEPTH_MAX).map_err(malformed)?;
        let signatures = object.get("signatures").and_then(Value::as_object).ok_or_else(|| missing("signatures"))?;
        let hash = object.get("hashes").and_then(Value::as_object).and_then(|hashes| hashes.get_str("sha256"));
        let hash = hash.ok_or_else(|| missing("hashes"))?;
        let hash_holds = Base64::<Standard>::parse(hash).is_ok_and(|hash| hash.as_bytes() == content_hash(&object));
        let text = signed_text(&object, rules);
        let servers = if hash_holds {
            required_servers(&object, rules)?
        } else {
            // Only what a redaction leaves will count, so only that can spare anybody a signature.
            required_servers(&Object::parse(text.as_bytes(), numbers, DEPTH_MAX).map_err(malformed)?, rules)?
        };
        let signer = |server: OwnedServerName| {
            let made = signatures.get(server.as_str()).and_then(Value::as_object);
            let made = made.into_iter().flat_map(Object::iter).take(SIGNATURES_MAX).filter_map(|(key_id, value)| {
                let fits = key_id.starts_with("ed25519:") && key_id.len() <= KEY_ID_BYTES_MAX;
                let signature = value.as_str().filter(|_| fits).and_then(read_signature)?;
                Some((key_id.into(), signature))
            });
            Signer { signatures: made.collect(), server }
        };
        let required = servers.into_iter().map(signer).collect();
        let sent_ms = object.get("origin_server_ts").and_then(Value::as_integer);
        Ok(Self { required, text, hash_holds, sent_ms: sent_ms.and_then(|sent_ms| u64::try_from(sent_ms).ok()) })
    }
}

/// The servers that must have signed an event, in order: the sender's, unless it is an invite that answers a third-party
/// invite; in room versions 1 and 2 the one its id names; from version 8 that of the user who vouches for a join.
fn required_servers(object: &Object<'_>, rules: &RoomVersionRules) -> Result<Vec<OwnedServerName>, VerificationError> {
    let content = object.get("content").and_then(Value::as_object).ok_or_else(|| missing("content"))?;
    let membership = (object.get_str("type") == Some("m.room.member")).then(|| content.get_str("membership")).flatten();
    let mut servers = Vec::with_capacity(1);
    // An invite by third-party id is in the name of somebody whose server cannot sign it: the token in it is proof. What
    // is no object is no such invite for the authorisation rules either, so it must not be one here.
    let by_third_party = content.get("third_party_invite").and_then(Value::as_object).is_some();
    if membership != Some("invite") || !by_third_party {
        servers.push(server_of(object.get_str("sender"), "sender")?);
    }
    if rules.signatures.check_event_id_server {
        let id = object.get_str("event_id").and_then(|id| <&EventId>::try_from(id).ok()).and_then(EventId::server_name);
        servers.push(id.ok_or_else(|| missing("event_id"))?.to_owned());
    }
    if rules.signatures.check_join_authorised_via_users_server
        && membership == Some("join")
        && let Some(voucher) = content.get("join_authorised_via_users_server")
    {
        servers.push(server_of(voucher.as_str(), "join_authorised_via_users_server")?);
    }
    servers.sort_unstable();
    servers.dedup();
    Ok(servers)
}

fn server_of(user_id: Option<&str>, field: &str) -> Result<OwnedServerName, VerificationError> {
    let user_id = user_id.and_then(|id| <&UserId>::try_from(id).ok());
    user_id.map(|id| id.server_name().to_owned()).ok_or_else(|| missing(field))
}

/// The event as it may be used once its signatures were checked: where its content hash is wrong, its redacted form, under
/// the same id.
///
/// # Errors
/// None for an event that was read by [`Pdu::parse`].
pub fn redact_if_hash_wrong(pdu: Pdu, verified: &Verified, rules: &RoomVersionRules) -> Result<Pdu, PduError> {
    match verified {
        Verified::All => Ok(pdu),
        Verified::Signatures => {
            let json = redact::redact(&pdu.json, &rules.redaction)?;
            let redacted = Pdu::from_stored(pdu.event_id, json)?;
            Ok(Pdu { rejected: pdu.rejected, ..redacted })
        }
    }
}

/// A signature from base64.
pub fn read_signature(text: &str) -> Option<Signature> {
    // 64 bytes are 88 characters at most.
    let bytes = Base64::<Standard>::parse(Some(text).filter(|text| text.len() <= 96)?).ok()?;
    Signature::from_slice(bytes.as_bytes()).ok()
}

/// The redacted form without `signatures` and `unsigned`, which is what servers sign.
pub(super) fn signed_text(object: &Object<'_>, rules: &RoomVersionRules) -> String {
    let mut text = String::new();
    redact::write_redacted(object, &rules.redaction, true, &mut text);
    text
}

/// Checks one Ed25519 signature; `path` names it in errors.
pub(super) fn verify_text(path: &str, key: &[u8], signature: &str, text: &str) -> Result<(), VerificationError> {
    let signature = Base64::<Standard>::parse(signature)
        .map_err(|source| VerificationError::InvalidBase64Signature { path: path.to_owned(), source })?;
    verify_canonical_json_bytes(&SigningKeyAlgorithm::Ed25519, key, signature.as_bytes(), text.as_bytes())
}

/// An error for an event whose JSON lacks what is needed.
pub(super) fn malformed(what: impl std::fmt::Display) -> VerificationError {
    VerificationError::Json(JsonError::Serde(serde::de::Error::custom(what)))
}

fn missing(field: &str) -> VerificationError {
    malformed(format_args!("`{field}` is missing or has the wrong form"))
}

fn content_hash(object: &Object<'_>) -> [u8; 32] {
    let mut text = String::new();
    let covered = |key: &str| !matches!(key, "hashes" | "signatures" | "unsigned");
    object.write_filtered(&mut text, covered, |value, _, out| value.write(out));
    Sha256::digest(text.as_bytes()).into()
}
