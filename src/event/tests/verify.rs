//! Whose signatures an event needs, and what becomes of it when they or its hash are wrong.

use ruma::{
    CanonicalJsonObject,
    events::room::policy::RoomPolicyEventContent,
    signatures::{Verified, required_server_signatures_to_verify_event, verify_policy_server_signature},
};
use serde_json::{Value as Json, json};

use super::{ALICE, BOB, builder, key, known, rules, user, verified};
use crate::event::{
    Pdu,
    build::PduBuilder,
    content::Policy,
    redact,
    sign::{
        SIGNATURES_MAX, SignedEvent, SigningKey,
        policy::{is_for_policy_server, verify_policy, with_policy_signature},
        redact_if_hash_wrong,
    },
};

fn key_of(server: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32], "k", server.try_into().unwrap()).unwrap()
}

fn object(pdu: &Pdu) -> CanonicalJsonObject {
    serde_json::from_str(&pdu.json).unwrap()
}

fn raw(value: &Json) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

/// The event with one more signature, as another server would add it.
fn also_signed(pdu: &Pdu, version: u8, key: &SigningKey) -> Pdu {
    let rules = rules(version);
    let redacted = redact::redact(&pdu.json, &rules.redaction).unwrap();
    let mut signed: CanonicalJsonObject = serde_json::from_str(&redacted).unwrap();
    key.sign_json(&mut signed).unwrap();
    let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
    whole["signatures"] = serde_json::to_value(&signed["signatures"]).unwrap();
    Pdu::parse(whole.to_string().as_bytes(), &rules).unwrap()
}

fn servers(pdu: &Pdu, version: u8) -> Vec<String> {
    let event = SignedEvent::read(&pdu.json, &rules(version)).unwrap();
    event.required.iter().map(|signer| signer.server.to_string()).collect()
}

#[test]
fn who_must_sign() {
    let vouched = json!({ "membership": "join", "join_authorised_via_users_server": "@v:vouching" });
    let third = json!({ "membership": "invite", "third_party_invite": { "signed": {} } });
    for version in 1..=12 {
        let rules = rules(version);
        let of = |content: &Json| {
            let draft = builder("m.room.member", Some(BOB), content);
            draft.build_with(&rules, &key(), known).unwrap()
        };
        for content in [&vouched, &third, &json!({ "membership": "join" }), &json!({ "membership": "invite" })] {
            let pdu = of(content);
            let ruma = required_server_signatures_to_verify_event(&object(&pdu), &rules.signatures).unwrap();
            let ruma: Vec<_> = ruma.iter().map(ToString::to_string).collect();
            assert_eq!(servers(&pdu, version), ruma, "version {version}: {content}");
        }
        let expected: &[&str] = if version >= 8 { &["domain", "vouching"] } else { &["domain"] };
        assert_eq!(servers(&of(&vouched), version), expected);
        assert_eq!(servers(&of(&third), version).len(), usize::from(version < 3), "the id's server alone");
        // Only a join is vouched for; a voucher who is no user makes it unverifiable.
        let left = json!({ "membership": "leave", "join_authorised_via_users_server": "@v:vouching" });
        assert_eq!(servers(&of(&left), version), ["domain"]);
        let odd = of(&json!({ "membership": "join", "join_authorised_via_users_server": "nobody" }));
        assert_eq!(SignedEvent::read(&odd.json, &rules).is_err(), version >= 8);
    }
}

#[test]
fn versions_1_and_2_want_the_server_of_the_id_too() {
    for version in [1, 2] {
        let rules = rules(version);
        let (far, near) = (key_of("far", 3), key());
        let draft = PduBuilder { sender: user("@a:far"), ..builder("m.x", None, &json!({})) };
        let pdu = draft.build_with(&rules, &near, known).unwrap();
        assert_eq!(servers(&pdu, version), ["domain", "far"]);
        let mut keys = near.public_key_map();
        keys.extend(far.public_key_map());
        assert_eq!(verified(&pdu, &keys, &rules), None);
        let both = also_signed(&pdu, version, &far);
        assert_eq!(verified(&both, &keys, &rules), Some(true));
        assert_eq!(verified(&both, &far.public_key_map(), &rules), None);
    }
}

#[test]
fn signatures_that_are_none_are_not_looked_at() {
    let pdu = builder("m.x", None, &json!({})).build(&rules(11), &key()).unwrap();
    let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
    let good = whole["signatures"]["domain"]["ed25519:a_key"].clone();
    let named = |whole: &Json| {
        let event = SignedEvent::read(&whole.to_string(), &rules(11)).unwrap();
        assert_eq!(event.required.len(), 1);
        event.required[0].signatures.iter().map(|(key_id, _)| key_id.to_string()).collect::<Vec<_>>()
    };
    whole["signatures"]["domain"]["ed25519:short"] = json!("c2hvcnQ");
    whole["signatures"]["domain"]["ed25519:text"] = json!("not even base64!");
    whole["signatures"]["domain"]["ed25519:number"] = json!(1);
    whole["signatures"]["domain"]["rsa:1"] = good.clone();
    whole["signatures"]["domain"][format!("ed25519:{}", "x".repeat(200))] = good.clone();
    whole["signatures"]["elsewhere"] = json!({ "ed25519:other": good });
    assert_eq!(named(&whole), ["ed25519:a_key"]);
    for number in 0..1_000 {
        whole["signatures"]["domain"][format!("ed25519:{number}")] = good.clone();
    }
    assert_eq!(named(&whole).len(), SIGNATURES_MAX);
    for damage in [json!({}), json!({ "domain": 1 }), json!({ "domain": "nonsense" })] {
        whole["signatures"] = damage;
        assert!(named(&whole).is_empty());
    }
    for (field, damage) in [("signatures", json!(null)), ("hashes", json!({})), ("hashes", json!({ "sha256": 1 }))] {
        let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
        whole[field] = damage;
        assert!(SignedEvent::read(&whole.to_string(), &rules(11)).is_err());
    }
}

#[test]
fn a_wrong_hash_leaves_the_redacted_form() {
    for version in 1..=12 {
        let rules = rules(version);
        let draft = builder("m.room.message", None, &json!({ "body": "original" }));
        let pdu = draft.build_with(&rules, &key(), known).unwrap();
        let forged = Pdu::parse(pdu.json.replace("original", "changed!").as_bytes(), &rules).unwrap();
        assert_eq!(verified(&forged, &key().public_key_map(), &rules), Some(false));
        let used = redact_if_hash_wrong(forged, &Verified::Signatures, &rules).unwrap();
        assert_eq!((&used.event_id, used.content.get()), (&pdu.event_id, "{}"));
        assert!(!used.json.contains("changed!"));
        let kept = redact_if_hash_wrong(pdu.clone(), &Verified::All, &rules).unwrap();
        assert_eq!(kept.json, pdu.json);
    }
}

/// Fractions, exponents and large numbers are allowed in old rooms, where ruma's reader refuses them.
#[test]
fn odd_numbers_of_old_rooms_verify() {
    for version in 1..=5 {
        let rules = rules(version);
        let mut draft: Json = serde_json::from_str(
            &builder("m.room.power_levels", Some(""), &json!({ "users": {} }))
                .build_with(&rules, &key(), known)
                .unwrap()
                .json,
        )
        .unwrap();
        draft["content"]["users"][BOB] = json!(0.5);
        draft["content"]["ban"] = json!(1e300);
        draft["content"]["kick"] = json!(0.000_000_1);
        draft["content"]["redact"] = json!(9_007_199_254_740_993_i64);
        let pdu = Pdu::parse(draft.to_string().as_bytes(), &rules).unwrap();
        let text =
            "\"content\":{\"ban\":1e+300,\"kick\":1e-07,\"redact\":9007199254740993,\"users\":{\"@bob:domain\":0.5}}";
        assert!(pdu.json.contains(text), "{}", pdu.json);
        // The signature of the odd event is made by hand: ruma cannot sign it either.
        let object =
            crate::event::canonical::Object::parse(pdu.json.as_bytes(), crate::event::canonical::Numbers::Lenient, 100)
                .unwrap();
        let mut text = String::new();
        redact::write_redacted(&object, &rules.redaction, true, &mut text);
        draft["signatures"]["domain"]["ed25519:a_key"] = json!(key().sign_base64(text.as_bytes()));
        let pdu = Pdu::parse(draft.to_string().as_bytes(), &rules).unwrap();
        let found = verified(&pdu, &key().public_key_map(), &rules);
        assert_eq!(found, Some(false), "the hash is still that of the other content");
    }
}

fn policy_of(key: &SigningKey) -> (Policy, RoomPolicyEventContent) {
    let content = json!({ "via": key.server_name(), "public_keys": { "ed25519": key.verify_key() } });
    (Policy::read(&raw(&content)).unwrap(), serde_json::from_value(content).unwrap())
}

fn policy_signature(pdu: &Pdu, version: u8, key: &SigningKey) -> String {
    let signed = object(&also_signed(pdu, version, key));
    let signatures = signed["signatures"].as_object().unwrap()[key.server_name().as_str()].as_object().unwrap();
    signatures["ed25519:policy_server"].as_str().unwrap().to_owned()
}

#[test]
fn a_policy_server_signs_too() {
    for version in 1..=12 {
        let rules = rules(version);
        for server in ["policy", "domain"] {
            let policy_key = SigningKey::from_seed(&[5; 32], "policy_server", server.try_into().unwrap()).unwrap();
            let (policy, for_ruma) = policy_of(&policy_key);
            let draft = builder("m.room.message", None, &json!({ "body": "b" }));
            let pdu = draft.build_with(&rules, &key(), known).unwrap();
            assert!(is_for_policy_server(&pdu));
            assert!(verify_policy(&pdu, &policy, &rules).is_err());
            let signature = policy_signature(&pdu, version, &policy_key);
            let signed = with_policy_signature(&pdu, &policy, &signature, &rules).unwrap();
            verify_policy(&signed, &policy, &rules).unwrap();
            verify_policy_server_signature(&for_ruma, &object(&signed), &rules).unwrap();
            assert_eq!(signed.event_id, pdu.event_id);
            assert_eq!(verified(&signed, &key().public_key_map(), &rules), Some(true), "ours is kept");
            assert_eq!(Pdu::parse(signed.json.as_bytes(), &rules).unwrap().json, signed.json);

            let wrong = policy_signature(
                &pdu,
                version,
                &SigningKey::from_seed(&[6; 32], "policy_server", server.try_into().unwrap()).unwrap(),
            );
            assert!(with_policy_signature(&pdu, &policy, &wrong, &rules).is_err());
            assert!(with_policy_signature(&pdu, &policy, "", &rules).is_err());
        }
        for (state_key, asked) in [(Some(""), false), (Some("x"), true), (None, true)] {
            let pdu = builder("m.room.policy", state_key, &json!({})).build_with(&rules, &key(), known).unwrap();
            assert_eq!(is_for_policy_server(&pdu), asked);
        }
    }
}

#[test]
fn an_incomplete_policy_is_none() {
    let good = json!({ "via": "p.example", "public_keys": { "ed25519": key().verify_key() } });
    assert!(Policy::read(&raw(&good)).is_some());
    for (pointer, value) in [
        ("/via", json!(null)),
        ("/via", json!("not a server!")),
        ("/public_keys", json!({})),
        ("/public_keys", json!([])),
        ("/public_keys/ed25519", json!("c2hvcnQ")),
        ("/public_keys/ed25519", json!(ALICE)),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(Policy::read(&raw(&bad)).is_none(), "{bad}");
    }
}
