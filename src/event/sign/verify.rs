//! The signatures and the content hash of an event that came from outside.
//!
//! Source: spec v1.19, Server-Server API "Validating hashes and signatures on received events"; room versions 1, 3, 5
//! and 8. The texts that are signed and hashed are written by [`super::super::canonical`], so that events of old rooms
//! with numbers that canonical JSON lacks today can be checked too. ruma's `verify_event` is the oracle of the tests.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use ruma::{
    IdParseError, OwnedServerName, OwnedServerSigningKeyId, OwnedUserId, SigningKeyAlgorithm,
    events::{
        TimelineEventType,
        room::{member::MembershipState, policy::POLICY_SERVER_ED25519_SIGNING_KEY_ID},
    },
    room_version_rules::RoomVersionRules,
    serde::{Base64, base64::Standard},
    signatures::{JsonError, PublicKeyMap, VerificationError, Verified, verify_canonical_json_bytes},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::event::{
    canonical::{DEPTH_MAX, Numbers, Object, Value},
    content::{self, Member},
    pdu::{Pdu, PduError},
    redact,
};

/// The most keys of one server that are fetched for one event. Servers sign with one key, two while they change it.
const KEYS_PER_SERVER_MAX: usize = 8;

/// Checks the signatures an event must carry in its room version, and its content hash.
///
/// [`Verified::Signatures`] means that the content hash is wrong: only the redacted form counts
/// ([`redact_if_hash_wrong`]). `keys` must hold only keys valid at the event's time, where
/// `rules.enforce_key_validity` asks for that: validity is not checked here. Of each of [`required_servers`] at least
/// one signature must be by a key in `keys`, and all that are must be right; others are skipped.
///
/// # Errors
/// When a signature is missing or wrong, or the event has no `hashes` or `signatures`: it must be dropped.
pub fn verify(pdu: &Pdu, keys: &PublicKeyMap, rules: &RoomVersionRules) -> Result<Verified, VerificationError> {
    let object = Object::parse(pdu.json.as_bytes(), Numbers::Lenient, DEPTH_MAX).map_err(malformed)?;
    let stated = object.get("hashes").and_then(Value::as_object).and_then(|hashes| hashes.get_str("sha256"));
    let stated = stated.ok_or_else(|| malformed("hashes.sha256 is missing"))?;
    let signatures = object.get("signatures").and_then(Value::as_object);
    let signatures = signatures.ok_or_else(|| malformed("signatures are missing"))?;

    let text = signed_text(&object, rules);
    for server in required_servers(pdu, rules)? {
        let known = keys.get(server.as_str());
        let known = known.ok_or_else(|| VerificationError::NoPublicKeysForEntity(server.to_string()))?;
        let found = signatures.get(server.as_str()).and_then(Value::as_object);
        let found = found.ok_or_else(|| VerificationError::NoSignaturesForEntity(server.to_string()))?;
        let mut checked = false;
        for (key_id, signature) in found.iter() {
            if let Some(key) = known.get(key_id).filter(|_| is_ed25519(key_id)) {
                let signature = signature.as_str().ok_or_else(|| malformed("a signature is no string"))?;
                verify_text(&format!("signatures.{server}.{key_id}"), key.as_bytes(), signature, &text)?;
                checked = true;
            }
        }
        if !checked {
            return Err(VerificationError::NoSupportedSignatureForEntity(server.to_string()));
        }
    }
    let right = Base64::<Standard>::parse(stated).is_ok_and(|hash| hash.as_bytes() == content_hash(&object));
    Ok(if right { Verified::All } else { Verified::Signatures })
}

/// The event as it may be used after [`verify`]: where its content hash is wrong, its redacted form, under the same id.
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

/// The servers that must have signed an event: the sender's, unless it is an invite that answers a third-party invite;
/// in room versions 1 and 2 the one its id names; from version 8 that of the user who vouches for a join.
///
/// # Errors
/// When one of them cannot be told.
pub fn required_servers(pdu: &Pdu, rules: &RoomVersionRules) -> Result<BTreeSet<OwnedServerName>, VerificationError> {
    let mut servers = BTreeSet::new();
    let member = (pdu.kind == TimelineEventType::RoomMember).then(|| Member::read(&pdu.content));
    let membership = member.as_ref().and_then(|member| member.membership.clone());
    let by_third_party = membership == Some(MembershipState::Invite) && member.is_some_and(|it| it.third_party_invite);
    if !by_third_party {
        servers.insert(pdu.sender.server_name().to_owned());
    }
    if rules.signatures.check_event_id_server {
        let server =
            pdu.event_id.server_name().ok_or_else(|| unreadable("event ID", IdParseError::InvalidServerName))?;
        servers.insert(server.to_owned());
    }
    if rules.signatures.check_join_authorised_via_users_server
        && membership == Some(MembershipState::Join)
        && let Some(voucher) = content::field(&pdu.content, "join_authorised_via_users_server")
    {
        let voucher: OwnedUserId = serde_json::from_str(voucher.get()).map_err(JsonError::from)?;
        servers.insert(voucher.server_name().to_owned());
    }
    Ok(servers)
}

/// The keys that an event names for each of [`required_servers`]: what has to be known before [`verify`] can say
/// anything. A server without any has not signed.
///
/// The keys of policy servers are left out: no server publishes them.
pub fn signing_keys(
    pdu: &Pdu,
    rules: &RoomVersionRules,
) -> Result<BTreeMap<OwnedServerName, Vec<OwnedServerSigningKeyId>>, VerificationError> {
    #[derive(Deserialize)]
    struct Signed<'a> {
        #[serde(borrow)]
        signatures: BTreeMap<Cow<'a, str>, &'a RawValue>,
    }
    let signed: Signed<'_> = serde_json::from_str(&pdu.json).map_err(JsonError::from)?;
    let keys_of = |server: &OwnedServerName| {
        let named: BTreeMap<Cow<'_, str>, &RawValue> =
            signed.signatures.get(server.as_str()).and_then(|raw| serde_json::from_str(raw.get()).ok())?;
        let ids = named.into_keys().filter(|id| is_ed25519(id));
        Some(ids.filter_map(|id| id.parse().ok()).take(KEYS_PER_SERVER_MAX).collect())
    };
    let servers = required_servers(pdu, rules)?;
    Ok(servers.into_iter().map(|server| (server.clone(), keys_of(&server).unwrap_or_default())).collect())
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

fn unreadable(identifier_type: &'static str, source: IdParseError) -> VerificationError {
    VerificationError::ParseIdentifier { identifier_type, source }
}

fn is_ed25519(key_id: &str) -> bool {
    key_id.starts_with("ed25519:") && key_id != POLICY_SERVER_ED25519_SIGNING_KEY_ID
}

fn content_hash(object: &Object<'_>) -> [u8; 32] {
    let mut text = String::new();
    let covered = |key: &str| !matches!(key, "hashes" | "signatures" | "unsigned");
    object.write_filtered(&mut text, covered, |value, _, out| value.write(out));
    Sha256::digest(text.as_bytes()).into()
}
