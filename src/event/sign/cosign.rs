//! This server's signature on an event that another server has made: an invite for a user of this server, or a join that
//! one of its users vouches for. Nothing else of others is ever signed.

use ruma::room_version_rules::RoomVersionRules;

use super::{SigningKey, verify::signed_text};
use crate::event::{
    canonical::{DEPTH_MAX, Numbers, Object, Value},
    format::{self, PDU_BYTES_MAX},
    pdu::{Pdu, PduError},
};

/// The event with the signature of `key` added; the other signatures stay. The id is the same, as it covers no
/// signatures. Whether it may be signed is the caller's to decide, before.
///
/// # Errors
/// The event would become too long.
pub fn cosigned(pdu: &Pdu, key: &SigningKey, rules: &RoomVersionRules) -> Result<Pdu, PduError> {
    let mut object = Object::parse(pdu.json.as_bytes(), Numbers::Lenient, DEPTH_MAX)?;
    let signature = key.sign_base64(signed_text(&object, rules).as_bytes());
    let mut signatures = object_of(object.remove("signatures"));
    let mut own = object_of(signatures.remove(key.server_name().as_str()));
    own.insert(key.key_id(), Value::String(signature.into()));
    signatures.insert(key.server_name().as_str(), Value::Object(own));
    object.insert("signatures", Value::Object(signatures));
    let json = object.to_text();
    format::check_length("event", json.len(), PDU_BYTES_MAX)?;
    Pdu::from_stored(pdu.event_id.clone(), json)
}

/// Whether two texts of one event say the same, whoever has signed them and whatever stands outside of what is signed.
pub fn same_but_signatures(one: &Pdu, other: &Pdu) -> bool {
    let bare = |pdu: &Pdu| -> Option<String> {
        let mut object = Object::parse(pdu.json.as_bytes(), Numbers::Lenient, DEPTH_MAX).ok()?;
        object.remove("signatures");
        object.remove("unsigned");
        Some(object.to_text())
    };
    bare(one).is_some_and(|text| bare(other).is_some_and(|other| text == other))
}

fn object_of(value: Option<Value<'_>>) -> Object<'_> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Object::default(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use ruma::{RoomVersionId, server_name};
    use serde_json::json;

    use super::*;
    use crate::event::{Content, PduBuilder, tests::verified};

    #[test]
    fn a_second_signature_stands_beside_the_first() {
        let rules = RoomVersionId::V11.rules().unwrap();
        let first = SigningKey::generate(server_name!("a.example").to_owned());
        let second = SigningKey::generate(server_name!("b.example").to_owned());
        let content = json!({ "membership": "join", "join_authorised_via_users_server": "@v:b.example" });
        let builder = PduBuilder {
            kind: "m.room.member".into(),
            state_key: Some("@u:a.example".into()),
            content: Content::from_serialize(&content).unwrap(),
            redacts: None,
            sender: ruma::owned_user_id!("@u:a.example"),
            room_id: Some(ruma::owned_room_id!("!r:b.example")),
            origin_server_ts: ruma::MilliSecondsSinceUnixEpoch(ruma::uint!(1)),
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            depth: 2,
        };
        let alone = builder.build(&rules, &first).unwrap();
        let mut keys = first.public_key_map();
        keys.extend(second.public_key_map());
        assert_eq!(verified(&alone, &keys, &rules), None, "the voucher's server has not signed");
        let both = cosigned(&alone, &second, &rules).unwrap();
        assert_eq!(both.event_id, alone.event_id);
        assert!(same_but_signatures(&both, &alone));
        let later = json!({ "membership": "join", "join_authorised_via_users_server": "@v:b.example", "more": 1 });
        let later = serde_json::from_str::<serde_json::Value>(&alone.json).map(|mut event| {
            event["content"] = later;
            event.to_string()
        });
        let later = Pdu::from_stored(alone.event_id.clone(), later.unwrap()).unwrap();
        assert!(!same_but_signatures(&later, &alone));
        assert_eq!(verified(&both, &keys, &rules), Some(true));
    }
}
