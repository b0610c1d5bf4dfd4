//! The specification's own test vectors (`tests/vectors/`).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD_NO_PAD},
};
use ruma::{
    CanonicalJsonObject,
    room_version_rules::RoomVersionRules,
    signatures::{Verified, verify_event, verify_json},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::event::{
    canonical::{JsonError, Numbers, Object},
    redact,
    sign::SigningKey,
};

#[derive(Deserialize)]
struct Canonical {
    text: String,
    canonical: String,
}

#[derive(Deserialize)]
struct Signing {
    seed: String,
    server_name: String,
    key_id: String,
    objects: Vec<Signed>,
    events: Vec<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    before: CanonicalJsonObject,
    signed: CanonicalJsonObject,
}

fn signing() -> (Signing, SigningKey) {
    let vectors: Signing = serde_json::from_str(include_str!("../../../tests/vectors/signing.json")).unwrap();
    // The seed's last character has bits to spare, which strict decoders refuse.
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let seed = GeneralPurpose::new(&alphabet::STANDARD, config).decode(&vectors.seed).unwrap();
    let version = vectors.key_id.strip_prefix("ed25519:").unwrap();
    let key =
        SigningKey::from_seed(&seed.try_into().unwrap(), version, vectors.server_name.as_str().try_into().unwrap())
            .unwrap();
    (vectors, key)
}

#[test]
fn canonical_json() {
    let vectors: Vec<Canonical> =
        serde_json::from_str(include_str!("../../../tests/vectors/canonical_json.json")).unwrap();
    assert!(vectors.len() >= 8);
    for Canonical { text, canonical } in vectors {
        let lenient = Object::parse(text.as_bytes(), Numbers::Lenient, 20).unwrap();
        assert_eq!(lenient.to_text(), canonical);
        // One example repairs numbers; from room version 6 such a text is refused instead.
        match Object::parse(text.as_bytes(), Numbers::Strict, 20) {
            Ok(strict) => assert_eq!(strict.to_text(), canonical),
            Err(error) => assert!(error == JsonError::Number && text.contains("1e10"), "{text}: {error}"),
        }
    }
}

#[test]
fn json_signing() {
    let (vectors, key) = signing();
    assert_eq!(vectors.objects.len(), 2);
    for Signed { mut before, signed } in vectors.objects {
        key.sign_json(&mut before).unwrap();
        assert_eq!(before, signed);
        verify_json(&key.public_key_map(), &signed).unwrap();
    }
}

#[test]
fn event_signing() {
    let (vectors, key) = signing();
    assert_eq!(vectors.events.len(), 2);
    let rules = RoomVersionRules::V1;
    for Signed { signed, .. } in vectors.events {
        let text = serde_json::to_string(&signed).unwrap();
        let object = Object::parse(text.as_bytes(), Numbers::Strict, 20).unwrap();

        let mut hashed = String::new();
        object.write_filtered(
            &mut hashed,
            |key| !matches!(key, "hashes" | "signatures" | "unsigned"),
            |value, _, out| value.write(out),
        );
        let hash = STANDARD_NO_PAD.encode(Sha256::digest(hashed.as_bytes()));
        let stated = object.get("hashes").and_then(|value| value.as_object()).unwrap();
        assert_eq!(stated.get_str("sha256"), Some(hash.as_str()));

        let mut signing_text = String::new();
        redact::write_redacted(&object, &rules.redaction, true, &mut signing_text);
        let signature = key.sign_base64(signing_text.as_bytes());
        let signatures = object.get("signatures").and_then(|all| all.as_object()).unwrap();
        let ours = signatures.get("domain").and_then(|ours| ours.as_object()).unwrap();
        assert_eq!(ours.get_str("ed25519:1"), Some(signature.as_str()));

        // Version 3 checks the sender's domain only; the events' other fields are those of version 1.
        let verified = verify_event(&key.public_key_map(), &signed, &RoomVersionRules::V3).unwrap();
        assert_eq!(verified, Verified::All);
    }
}

#[test]
fn a_key_survives_its_document() {
    let key = SigningKey::generate("example.org".try_into().unwrap());
    let again = SigningKey::from_der(&key.to_der().unwrap(), key.version(), "example.org".try_into().unwrap()).unwrap();
    assert_eq!(key.verify_key(), again.verify_key());
    assert_eq!(key.sign_base64(b"x"), again.sign_base64(b"x"));
    assert_eq!(key.key_id(), format!("ed25519:{}", key.version()));
    assert_ne!(key.verify_key(), SigningKey::generate("example.org".try_into().unwrap()).verify_key());
    assert!(!format!("{key:?}").contains(&key.verify_key()));
    assert!(SigningKey::from_der(b"nonsense", "1", "example.org".try_into().unwrap()).is_err());
    for version in ["", "a-b", "a b", "a\"b", &"x".repeat(65)] {
        assert!(SigningKey::from_seed(&[1; 32], version, "example.org".try_into().unwrap()).is_err());
    }
}
