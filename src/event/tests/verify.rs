//! Whose signatures an event needs, and what becomes of it when they or its hash are wrong.

use ruma::{
    CanonicalJsonObject,
    events::room::policy::RoomPolicyEventContent,
    serde::Base64,
    signatures::{PublicKeyMap, Verified, required_server_signatures_to_verify_event, verify_policy_server_signature},
};
use serde_json::{Value as Json, json};

use super::{ALICE, BOB, builder, key, known, rules, user};
use crate::event::{
    Pdu,
    build::PduBuilder,
    content::Policy,
    redact,
    sign::{
        SigningKey,
        policy::{is_for_policy_server, verify_policy, with_policy_signature},
        redact_if_hash_wrong, required_servers, signing_keys, verify,
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
    required_servers(pdu, &rules(version)).unwrap().into_iter().map(|server| server.to_string()).collect()
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
            assert_eq!(required_servers(&pdu, &rules).unwrap(), ruma, "version {version}: {content}");
        }
        let expected: &[&str] = if version >= 8 { &["domain", "vouching"] } else { &["domain"] };
        assert_eq!(servers(&of(&vouched), version), expected);
        assert_eq!(servers(&of(&third), version).len(), usize::from(version < 3), "the id's server alone");
        // Only a join is vouched for; a voucher who is no user makes it unverifiable.
        let left = json!({ "membership": "leave", "join_authorised_via_users_server": "@v:vouching" });
        assert_eq!(servers(&of(&left), version), ["domain"]);
        let odd = of(&json!({ "membership": "join", "join_authorised_via_users_server": "nobody" }));
        assert_eq!(required_servers(&odd, &rules).is_err(), version >= 8);
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
        assert!(verify(&pdu, &keys, &rules).is_err());
        let both = also_signed(&pdu, version, &far);
        assert_eq!(verify(&both, &keys, &rules).unwrap(), Verified::All);
        assert!(verify(&both, &far.public_key_map(), &rules).is_err());
    }
}

#[test]
fn the_keys_to_fetch_are_those_the_event_names() {
    let pdu = builder("m.x", None, &json!({})).build(&rules(11), &key()).unwrap();
    let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
    let named = |whole: &Json| {
        let pdu = Pdu::parse(whole.to_string().as_bytes(), &rules(11)).unwrap();
        let keys = signing_keys(&pdu, &rules(11)).unwrap();
        assert_eq!(keys.len(), 1);
        keys[ruma::server_name!("domain")].iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    whole["signatures"]["domain"]["ed25519:policy_server"] = json!("x");
    whole["signatures"]["domain"]["rsa:1"] = json!("x");
    whole["signatures"]["elsewhere"] = json!({ "ed25519:other": "x" });
    assert_eq!(named(&whole), ["ed25519:a_key"]);
    for number in 0..1_000 {
        whole["signatures"]["domain"][format!("ed25519:{number}")] = json!("x");
    }
    assert_eq!(named(&whole).len(), 8);
    whole["signatures"] = json!({ "domain": "nonsense" });
    assert!(named(&whole).is_empty());
}

#[test]
fn unknown_keys_are_skipped_and_known_ones_must_be_right() {
    let rules = rules(11);
    let pdu = builder("m.x", None, &json!({})).build(&rules, &key()).unwrap();
    let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
    let parse = |whole: &Json| Pdu::parse(whole.to_string().as_bytes(), &rules).unwrap();
    whole["signatures"]["domain"]["ed25519:unknown"] = json!("not even base64!");
    let mut keys = key().public_key_map();
    assert_eq!(verify(&parse(&whole), &keys, &rules).unwrap(), Verified::All);
    let other = Base64::new(key_of("domain", 9).public_key_map()["domain"]["ed25519:k"].as_bytes().to_vec());
    keys.get_mut("domain").unwrap().insert("ed25519:unknown".to_owned(), other);
    assert!(verify(&parse(&whole), &keys, &rules).is_err());
    for damage in [json!({}), json!(null), json!({ "domain": 1 }), json!({ "domain": { "ed25519:a_key": 1 } })] {
        whole["signatures"] = damage;
        assert!(verify(&parse(&whole), &keys, &rules).is_err());
    }
    assert!(verify(&pdu, &PublicKeyMap::new(), &rules).is_err());
    for damage in [json!({}), json!(null), json!({ "sha256": 1 })] {
        let mut whole: Json = serde_json::from_str(&pdu.json).unwrap();
        whole["hashes"] = damage;
        assert!(verify(&parse(&whole), &keys, &rules).is_err());
    }
}

#[test]
fn a_wrong_hash_leaves_the_redacted_form() {
    for version in 1..=12 {
        let rules = rules(version);
        let draft = builder("m.room.message", None, &json!({ "body": "original" }));
        let pdu = draft.build_with(&rules, &key(), known).unwrap();
        let forged = Pdu::parse(pdu.json.replace("original", "changed!").as_bytes(), &rules).unwrap();
        let verified = verify(&forged, &key().public_key_map(), &rules).unwrap();
        assert_eq!(verified, Verified::Signatures);
        let used = redact_if_hash_wrong(forged, &verified, &rules).unwrap();
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
        let found = verify(&pdu, &key().public_key_map(), &rules).unwrap();
        assert_eq!(found, Verified::Signatures, "the hash is still that of the other content");
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
            assert_eq!(verify(&signed, &key().public_key_map(), &rules).unwrap(), Verified::All, "ours is kept");
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
