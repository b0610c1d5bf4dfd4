//! Which keys of an invite to an e-mail address or the like have answered it (spec v1.19, Client-Server API "Third-party
//! invites"). Whether an event stands is decided by [`crate::event::auth`]; this tells whose validity is to be asked for.

use ruma::third_party_invite::IdentityServerBase64PublicKey;

use super::verify::verify_text;
use crate::event::{
    canonical::{DEPTH_MAX, Numbers, Object, Value},
    content::{InviteKey, SignedInvite, ThirdPartyInvite},
};

/// The most signatures that are checked, each with every key of the invite.
const SIGNATURES_MAX: usize = 16;

/// The keys of the invite with which the answer is signed, in the invite's order.
pub fn answering_keys<'k>(answer: &SignedInvite, invite: &'k ThirdPartyInvite) -> Vec<&'k InviteKey> {
    let Ok(object) = Object::parse(answer.signed.get().as_bytes(), Numbers::Strict, DEPTH_MAX) else {
        return Vec::new();
    };
    let mut text = String::new();
    let covered = |key: &str| !matches!(key, "signatures" | "unsigned");
    object.write_filtered(&mut text, covered, |value, _, out| value.write(out));
    let servers = object.get("signatures").and_then(Value::as_object);
    let by_key = servers.into_iter().flat_map(Object::iter).filter_map(|(_, keys)| keys.as_object());
    let signatures: Vec<&str> = by_key
        .flat_map(Object::iter)
        .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
        .filter_map(|(_, signature)| signature.as_str())
        .take(SIGNATURES_MAX)
        .collect();
    let has_signed = |key: &&InviteKey| {
        let decoded = IdentityServerBase64PublicKey(key.public_key.to_string()).decode();
        decoded.is_ok_and(|bytes| {
            signatures.iter().any(|signature| verify_text("signatures", &bytes, signature, &text).is_ok())
        })
    };
    invite.public_keys.iter().filter(has_signed).collect()
}
