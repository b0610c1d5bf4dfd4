//! Redaction: what remains of an event, and what a redaction aims at.
//!
//! The redacted form is also what is signed and what gives an event its id (spec v1.19: Client-Server API "Redactions",
//! Appendices "Signing Events", Server-Server API "Calculating the reference hash", and each room version's page).
//! ruma's `canonical_json` is the oracle of the tests.

use std::borrow::Cow;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ruma::{
    OwnedEventId,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, RedactionRules, RoomVersionRules},
};
use sha2::{Digest as _, Sha256};

use super::{
    canonical::{DEPTH_MAX, JsonError, Numbers, Object, Value},
    content,
    pdu::Pdu,
};

/// The canonical text of an event after redaction, `hashes` and `signatures` kept, `unsigned` dropped.
pub fn redact(json: &str, rules: &RedactionRules) -> Result<Box<str>, JsonError> {
    let object = Object::parse(json.as_bytes(), Numbers::Lenient, DEPTH_MAX)?;
    let mut out = String::with_capacity(json.len());
    write_redacted(&object, rules, false, &mut out);
    Ok(out.into())
}

/// The event a redaction aims at; `None` for other events and for redactions without a readable target.
pub fn target(pdu: &Pdu, rules: &RedactionRules) -> Option<OwnedEventId> {
    if pdu.kind != TimelineEventType::RoomRedaction {
        return None;
    }
    if rules.content_field_redacts { content::redacts(&pdu.content) } else { pdu.redacts.clone() }
}

/// Whether an event is already in its redacted form. Costs one redaction.
pub fn is_redacted(json: &str, rules: &RedactionRules) -> bool {
    redact(json, rules).is_ok_and(|redacted| *redacted == *json)
}

/// The reference hash of an event from its canonical text, as bytes.
pub(super) fn reference_digest(json: &str, rules: &RoomVersionRules) -> Result<[u8; 32], JsonError> {
    let object = Object::parse(json.as_bytes(), Numbers::Lenient, DEPTH_MAX)?;
    let mut text = String::with_capacity(json.len());
    write_redacted(&object, &rules.redaction, true, &mut text);
    Ok(Sha256::digest(text.as_bytes()).into())
}

/// The reference hash in the base64 alphabet of the room version: the event id without its `$`.
pub(super) fn reference_hash(object: &Object<'_>, rules: &RoomVersionRules) -> String {
    let mut text = String::new();
    write_redacted(object, &rules.redaction, true, &mut text);
    encode_reference_hash(&Sha256::digest(text.as_bytes()), rules)
}

/// Prints a reference hash: standard base64 up to room version 3, URL-safe from version 4, both without padding.
pub(super) fn encode_reference_hash(hash: &[u8], rules: &RoomVersionRules) -> String {
    match rules.event_id_format {
        EventIdFormatVersion::V1 | EventIdFormatVersion::V2 => STANDARD_NO_PAD.encode(hash),
        EventIdFormatVersion::V3 => URL_SAFE_NO_PAD.encode(hash),
    }
}

/// Appends the redacted form; `for_signing` also leaves out `signatures`, which gives the text that is signed and
/// hashed.
pub fn write_redacted(object: &Object<'_>, rules: &RedactionRules, for_signing: bool, out: &mut String) {
    let kind = object.get_str("type").unwrap_or_default();
    object.write_filtered(
        out,
        |key| keeps_key(key, rules) && !(for_signing && key == "signatures"),
        |value, key, out| match value {
            Value::Object(content) if key == "content" => write_redacted_content(kind, content, rules, out),
            other => other.write(out),
        },
    );
}

/// The redacted form of a content text, without reading it where the answer does not depend on it.
pub(super) fn redacted_content<'c>(
    kind: &str,
    content: &'c str,
    rules: &RedactionRules,
) -> Result<Cow<'c, str>, JsonError> {
    match kind {
        "m.room.create" if rules.keep_room_create_content => Ok(Cow::Borrowed(content)),
        "m.room.member"
        | "m.room.create"
        | "m.room.join_rules"
        | "m.room.power_levels"
        | "m.room.history_visibility"
        | "m.room.redaction"
        | "m.room.aliases" => {
            let object = Object::parse(content.as_bytes(), Numbers::Lenient, DEPTH_MAX)?;
            let mut out = String::with_capacity(content.len());
            write_redacted_content(kind, &object, rules, &mut out);
            Ok(Cow::Owned(out))
        }
        _ => Ok(Cow::Borrowed("{}")),
    }
}

/// Whether a top-level key survives.
fn keeps_key(key: &str, rules: &RedactionRules) -> bool {
    match key {
        "event_id" | "type" | "room_id" | "sender" | "state_key" | "content" | "hashes" | "signatures" | "depth"
        | "prev_events" | "auth_events" | "origin_server_ts" => true,
        "origin" | "membership" | "prev_state" => rules.keep_origin_membership_prev_state,
        _ => false,
    }
}

/// Whether a key of the content survives.
fn keeps_content_key(kind: &str, key: &str, rules: &RedactionRules) -> bool {
    match (kind, key) {
        ("m.room.member", "membership")
        | ("m.room.join_rules", "join_rule")
        | ("m.room.history_visibility", "history_visibility")
        | (
            "m.room.power_levels",
            "ban" | "events" | "events_default" | "kick" | "redact" | "state_default" | "users" | "users_default",
        )
        | ("m.room.create", "creator") => true,
        ("m.room.member", "join_authorised_via_users_server") => {
            rules.keep_room_member_join_authorised_via_users_server
        }
        ("m.room.member", "third_party_invite") => rules.keep_room_member_third_party_invite_signed,
        ("m.room.create", _) => rules.keep_room_create_content,
        ("m.room.join_rules", "allow") => rules.keep_room_join_rules_allow,
        ("m.room.power_levels", "invite") => rules.keep_room_power_levels_invite,
        ("m.room.redaction", "redacts") => rules.keep_room_redaction_redacts,
        ("m.room.aliases", "aliases") => rules.keep_room_aliases_aliases,
        _ => false,
    }
}

fn write_redacted_content(kind: &str, content: &Object<'_>, rules: &RedactionRules, out: &mut String) {
    content.write_filtered(
        out,
        |key| keeps_content_key(kind, key, rules),
        |value, key, out| match value {
            Value::Object(invite) if kind == "m.room.member" && key == "third_party_invite" => {
                invite.write_filtered(out, |key| key == "signed", |value, _, out| value.write(out));
            }
            other => other.write(out),
        },
    );
}
