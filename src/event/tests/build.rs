//! The fast path of [`PduBuilder`] against ruma's functions.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use proptest::prelude::*;
use ruma::{
    CanonicalJsonObject, OwnedEventId,
    room_version_rules::RoomVersionRules,
    signatures::{Verified, hash_and_sign_event, reference_hash, verify_event},
};
use serde_json::{Value as Json, json};

use super::{ALICE, BOB, builder, key, known, rules, user, verified};
use crate::event::{
    build::{BuildError, PduBuilder},
    pdu::Pdu,
    redact,
};

/// Contents that touch every key any redaction rule knows, and some it does not.
fn samples() -> Vec<(&'static str, Option<&'static str>, Json)> {
    let extra = json!({ "x": [1, { "b": "\u{0}\u{7f}\"\\é😀", "a": null }], "body": "hello", "membership": "ban" });
    let with = |value: Json| {
        let mut all = extra.clone();
        all.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        all
    };
    vec![
        ("m.room.message", None, with(json!({ "msgtype": "m.text" }))),
        ("m.room.encrypted", None, json!({ "ciphertext": "x".repeat(2_000) })),
        ("m.reaction", None, json!({})),
        (
            "m.room.member",
            Some(BOB),
            with(json!({
                "membership": "invite", "displayname": "Bob", "join_authorised_via_users_server": ALICE,
                "third_party_invite": { "display_name": "b", "signed": { "token": "t", "mxid": BOB, "signatures": {} } },
            })),
        ),
        ("m.room.member", Some(BOB), json!({ "membership": "join", "third_party_invite": "no object" })),
        ("m.room.member", Some(BOB), json!({ "membership": "join", "third_party_invite": { "unsigned": 1 } })),
        (
            "m.room.join_rules",
            Some(""),
            with(json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership" }] })),
        ),
        (
            "m.room.power_levels",
            Some(""),
            with(json!({
                "ban": 1, "events": { "m.room.name": 5 }, "events_default": 2, "invite": 3, "kick": 4, "redact": 6,
                "state_default": 7, "users": { BOB: 8 }, "users_default": 9, "notifications": { "room": 20 },
            })),
        ),
        ("m.room.history_visibility", Some(""), with(json!({ "history_visibility": "joined" }))),
        ("m.room.aliases", Some("domain"), with(json!({ "aliases": ["#a:domain"] }))),
        ("m.room.server_acl", Some(""), json!({ "allow": ["*"], "deny": [], "allow_ip_literals": false })),
        ("m.room.redaction", None, with(json!({ "reason": "spam" }))),
        ("m.room.name", Some("a \"quoted\"\nkey"), json!({ "name": "n" })),
        ("org.example.\"odd\"\\type", None, json!({ "content": { "content": 1 } })),
    ]
}

/// Rebuilds the event with ruma and compares text, id, signature and redacted form.
fn compare_with_ruma(pdu: &Pdu, rules: &RoomVersionRules) {
    let mut object: CanonicalJsonObject = serde_json::from_str(&pdu.json).unwrap();
    assert_eq!(serde_json::to_string(&object).unwrap(), *pdu.json, "the text is canonical");
    object.remove("hashes").unwrap();
    object.remove("signatures").unwrap();
    hash_and_sign_event("domain", &key(), &mut object, &rules.redaction).unwrap();
    assert_eq!(serde_json::to_string(&object).unwrap(), *pdu.json);
    let reference = reference_hash(&object, rules).unwrap();
    if rules.event_format.require_event_id {
        assert_eq!(pdu.event_id.server_name().unwrap(), "domain");
        assert_eq!(STANDARD_NO_PAD.encode(pdu.reference_hash(rules).unwrap()), reference);
    } else {
        assert_eq!(pdu.event_id.as_str(), format!("${reference}"));
    }
    let keys = key().public_key_map();
    assert_eq!(verified(pdu, &keys, rules), Some(true));
    assert_eq!(verify_event(&keys, &object, rules).unwrap(), Verified::All);

    let parsed = Pdu::parse(pdu.json.as_bytes(), rules).unwrap();
    assert_eq!((&parsed.event_id, &parsed.json, &parsed.room_id), (&pdu.event_id, &pdu.json, &pdu.room_id));
    assert_eq!(parsed.content.get(), pdu.content.get());
    assert_eq!(
        (parsed.depth, parsed.origin_server_ts, &parsed.redacts),
        (pdu.depth, pdu.origin_server_ts, &pdu.redacts)
    );

    let redacted = ruma::canonical_json::redact(object, &rules.redaction, None).unwrap();
    let ours = redact::redact(&pdu.json, &rules.redaction).unwrap();
    assert_eq!(*ours, *serde_json::to_string(&redacted).unwrap());
    assert_eq!(Pdu::parse(ours.as_bytes(), rules).unwrap().event_id, pdu.event_id, "redaction keeps the id");
}

#[test]
fn every_version_and_type_equals_ruma() {
    for version in 1..=12 {
        let rules = rules(version);
        for (kind, state_key, content) in samples() {
            let pdu = builder(kind, state_key, &content).build_with(&rules, &key(), known).unwrap();
            compare_with_ruma(&pdu, &rules);
        }
    }
}

#[test]
fn the_create_event_names_its_room_from_version_12() {
    for version in 1..=12 {
        let rules = rules(version);
        let content = json!({ "creator": ALICE, "room_version": version.to_string(), "m.federate": true, "x": 1 });
        let mut create = builder("m.room.create", Some(""), &content);
        (create.prev_events, create.auth_events) = (vec![], vec![]);
        let unnamed = PduBuilder { room_id: None, ..create.clone() };
        let (right, wrong) = if version >= 12 { (unnamed, create) } else { (create, unnamed) };
        let pdu = right.build_with(&rules, &key(), known).unwrap();
        compare_with_ruma(&pdu, &rules);
        assert!(matches!(wrong.build_with(&rules, &key(), known), Err(BuildError::Format(_))));
        assert_eq!(pdu.json.contains("room_id"), version < 12);
        if version >= 12 {
            assert_eq!(pdu.room_id.as_str(), format!("!{}", &pdu.event_id.as_str()[1..]));
            assert_eq!(crate::event::pdu::create_event_id(&pdu.room_id).unwrap(), pdu.event_id);
        }
    }
    let other = PduBuilder { room_id: None, ..builder("m.room.name", Some(""), &json!({})) };
    assert!(matches!(other.build_with(&rules(12), &key(), known), Err(BuildError::Format(_))));
}

#[test]
fn redacts_stands_where_the_version_wants_it() {
    let target: OwnedEventId = "$target".try_into().unwrap();
    for version in 1..=12 {
        let rules = rules(version);
        let mut redaction = builder("m.room.redaction", None, &json!({ "reason": "spam", "a": 1 }));
        redaction.redacts = Some(target.clone());
        let pdu = redaction.build_with(&rules, &key(), known).unwrap();
        compare_with_ruma(&pdu, &rules);
        assert_eq!(pdu.redaction_target(&rules.redaction), Some(target.clone()));
        assert_eq!(pdu.redacts.is_some(), version < 11);
        assert_eq!(pdu.content.get().contains("redacts"), version >= 11);
        // The other place does not count.
        let mut object: Json = serde_json::from_str(&pdu.json).unwrap();
        if version < 11 {
            object.as_object_mut().unwrap().remove("redacts");
            object["content"]["redacts"] = json!("$target");
        } else {
            object["content"].as_object_mut().unwrap().remove("redacts");
            object["redacts"] = json!("$target");
        }
        let moved = Pdu::parse(object.to_string().as_bytes(), &rules).unwrap();
        assert_eq!(moved.redaction_target(&rules.redaction), None);
    }
}

#[test]
fn a_built_event_reads_back_from_storage() {
    let pdu = builder("m.room.name", Some(""), &json!({ "name": "n" })).build_with(&rules(11), &key(), known).unwrap();
    let stored = Pdu::from_stored(pdu.event_id.clone(), &*pdu.json).unwrap();
    assert_eq!(format!("{stored:?}"), format!("{pdu:?}"));
}

#[test]
fn sizes_are_limited_to_the_byte() {
    let rules = rules(12);
    let bare =
        builder("m.room.message", None, &json!({ "body": "" })).build_with(&rules, &key(), known).unwrap().json.len();
    let sized = |bytes: usize| {
        let body = "x".repeat(bytes - bare);
        builder("m.room.message", None, &json!({ "body": body })).build_with(&rules, &key(), known)
    };
    let largest = sized(65_536).unwrap();
    assert_eq!(largest.json.len(), 65_536);
    assert!(Pdu::parse(largest.json.as_bytes(), &rules).is_ok());
    assert!(matches!(sized(65_537), Err(BuildError::TooLarge { what: "event", bytes: 65_537, bytes_max: 65_536 })));

    let long = |bytes: usize| "é".repeat(bytes / 2) + &"x".repeat(bytes % 2);
    let build = |builder: PduBuilder| builder.build_with(&rules, &key(), known);
    assert!(build(builder("m.x", Some(&long(255)), &json!({}))).is_ok());
    assert!(matches!(
        build(builder("m.x", Some(&long(256)), &json!({}))),
        Err(BuildError::TooLarge { what: "state_key", .. })
    ));
    assert!(build(builder(&long(255), None, &json!({}))).is_ok());
    assert!(matches!(build(builder(&long(256), None, &json!({}))), Err(BuildError::TooLarge { what: "type", .. })));
    let sender = format!("@{}:domain", "x".repeat(248));
    let builder_of_long_sender = PduBuilder { sender: user(&sender), ..builder("m.x", None, &json!({})) };
    assert!(matches!(build(builder_of_long_sender), Err(BuildError::TooLarge { what: "sender", .. })));
    let many = PduBuilder { auth_events: vec!["$a".try_into().unwrap(); 11], ..builder("m.x", None, &json!({})) };
    assert!(matches!(build(many), Err(BuildError::Format(_))));
    let many = PduBuilder { prev_events: vec!["$a".try_into().unwrap(); 21], ..builder("m.x", None, &json!({})) };
    assert!(matches!(build(many), Err(BuildError::Format(_))));
}

#[test]
fn depth_is_capped() {
    let deep = PduBuilder { depth: u64::MAX, ..builder("m.x", None, &json!({})) };
    let pdu = deep.build_with(&rules(12), &key(), known).unwrap();
    assert_eq!(pdu.depth, 9_007_199_254_740_991);
    compare_with_ruma(&pdu, &rules(12));
}

#[test]
fn tampering_shows() {
    for version in [1, 3, 6, 11, 12] {
        let rules = rules(version);
        let pdu =
            builder("m.room.message", None, &json!({ "body": "original" })).build_with(&rules, &key(), known).unwrap();
        let keys = key().public_key_map();
        let content_changed = Pdu::parse(pdu.json.replace("original", "changed!").as_bytes(), &rules).unwrap();
        assert_eq!(content_changed.event_id, pdu.event_id, "the id covers the content only through its hash");
        assert_eq!(verified(&content_changed, &keys, &rules), Some(false));
        let depth_changed = Pdu::parse(pdu.json.replace("\"depth\":12", "\"depth\":13").as_bytes(), &rules).unwrap();
        assert_eq!(depth_changed.event_id == pdu.event_id, version == 1, "there the event says its id itself");
        assert_eq!(verified(&depth_changed, &keys, &rules), None);
        assert_eq!(verified(&pdu, &ruma::signatures::PublicKeyMap::new(), &rules), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_equals_ruma(
        version in 1_u8..=12,
        sample in 0_usize..14,
        kind in "\\PC{1,40}",
        state_key in prop::option::of(any::<String>()),
        body in any::<String>(),
        depth in any::<u64>(),
        known_kind in any::<bool>(),
    ) {
        let rules = rules(version);
        let samples = samples();
        let (sample_kind, _, mut content) = samples[sample % samples.len()].clone();
        content["body"] = json!(body);
        let kind = if known_kind { sample_kind } else { kind.as_str() };
        // A create event has no room id in version 12; it has its own test.
        prop_assume!(kind != "m.room.create" && state_key.as_ref().is_none_or(|key| key.len() <= 255));
        let pdu = PduBuilder { depth, ..builder(kind, state_key.as_deref(), &content) }.build_with(&rules, &key(), known).unwrap();
        compare_with_ruma(&pdu, &rules);
    }
}
