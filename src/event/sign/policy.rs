//! The signature of a room's policy server (spec v1.19, Server-Server API "Policy servers"; MSC4284).

use ruma::{
    events::{TimelineEventType, room::policy::POLICY_SERVER_ED25519_SIGNING_KEY_ID},
    room_version_rules::RoomVersionRules,
    signatures::VerificationError,
};

use super::verify::{malformed, signed_text, verify_text};
use crate::event::{
    canonical::{DEPTH_MAX, JsonError, Numbers, Object, Value},
    content::Policy,
    format::{self, FormatError, PDU_BYTES_MAX},
    pdu::{Pdu, PduError},
};

/// Why a policy server's signature cannot be added to an event.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not the policy server's signature of this event.
    #[error("not a signature of the policy server: {0}")]
    Signature(#[from] VerificationError),
    /// The event would become too long.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The event's stored text is damaged.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// The event's stored text is damaged.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// Whether an event of a room with a policy server needs that server's signature: all do but the `m.room.policy` state
/// event itself.
pub fn is_for_policy_server(pdu: &Pdu) -> bool {
    !pdu.is_state(&TimelineEventType::from("m.room.policy"), "")
}

/// Checks that the policy server has signed the event. Whether it must: [`is_for_policy_server`].
///
/// # Errors
/// When the signature is missing or wrong.
pub fn verify_policy(pdu: &Pdu, policy: &Policy, rules: &RoomVersionRules) -> Result<(), VerificationError> {
    let object = Object::parse(pdu.json.as_bytes(), Numbers::Lenient, DEPTH_MAX).map_err(malformed)?;
    let signatures = object.get("signatures").and_then(Value::as_object);
    let signature = signatures
        .and_then(|all| all.get(policy.via.as_str()))
        .and_then(Value::as_object)
        .and_then(|found| found.get_str(POLICY_SERVER_ED25519_SIGNING_KEY_ID))
        .ok_or_else(|| VerificationError::NoSignaturesForEntity(policy.via.to_string()))?;
    check(&object, policy, signature, rules)
}

/// The event with the policy server's signature (unpadded base64), once that is found right; the other signatures stay.
/// The id is the same, as it covers no signatures.
pub fn with_policy_signature(
    pdu: &Pdu,
    policy: &Policy,
    signature: &str,
    rules: &RoomVersionRules,
) -> Result<Pdu, PolicyError> {
    let mut object = Object::parse(pdu.json.as_bytes(), Numbers::Lenient, DEPTH_MAX)?;
    check(&object, policy, signature, rules)?;
    let mut signatures = object_of(object.remove("signatures"));
    let mut of_server = object_of(signatures.remove(policy.via.as_str()));
    of_server.insert(POLICY_SERVER_ED25519_SIGNING_KEY_ID, Value::String(signature.into()));
    signatures.insert(policy.via.as_str(), Value::Object(of_server));
    object.insert("signatures", Value::Object(signatures));
    let json = object.to_text();
    format::check_length("event", json.len(), PDU_BYTES_MAX)?;
    let signed = Pdu::from_stored(pdu.event_id.clone(), json)?;
    Ok(Pdu { rejected: pdu.rejected, ..signed })
}

fn check(
    object: &Object<'_>,
    policy: &Policy,
    signature: &str,
    rules: &RoomVersionRules,
) -> Result<(), VerificationError> {
    let path = format!("signatures.{}.{POLICY_SERVER_ED25519_SIGNING_KEY_ID}", policy.via);
    verify_text(&path, &policy.ed25519_key, signature, &signed_text(object, rules))
}

fn object_of(value: Option<Value<'_>>) -> Object<'_> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Object::default(),
    }
}
