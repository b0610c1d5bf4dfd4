//! Whatever a server sends, reading it ends, and ends with an event or an error (security.md, "Denial of service").

use proptest::prelude::*;
use ruma::RoomVersionId;
use serde_json::{Value as Json, json};

use super::{builder, key, known, rules};
use crate::event::{Pdu, canonical::JsonError, format::FormatError, pdu::PduError, room_version, sign::SignedEvent};

fn event(version: u8) -> Json {
    let pdu = builder("m.room.member", Some(super::BOB), &json!({ "membership": "join", "reason": "r" }))
        .build_with(&rules(version), &key(), known)
        .unwrap();
    serde_json::from_str(&pdu.json).unwrap()
}

fn parse(event: &Json, version: u8) -> Result<Pdu, PduError> {
    Pdu::parse(event.to_string().as_bytes(), &rules(version))
}

#[test]
fn malformed_or_huge_pdus_are_refused() {
    for version in 1..=12 {
        let mut huge = event(version);
        huge["content"]["reason"] = json!("x".repeat(70_000));
        assert!(matches!(parse(&huge, version), Err(PduError::Format(FormatError::TooLarge { what: "event", .. }))));
        // What no hash covers does not count, and goes.
        let mut padded = event(version);
        padded["unsigned"] = json!({ "x": "x".repeat(70_000) });
        assert!(parse(&padded, version).unwrap().json.len() < 2_000);

        let mut deep = event(version).to_string();
        deep.pop();
        deep.push_str(&[",\"x\":", &"[".repeat(50_000), &"]".repeat(50_000), "}"].concat());
        let refused = Pdu::parse(deep.as_bytes(), &rules(version));
        assert!(matches!(refused, Err(PduError::Json(JsonError::TooDeep | JsonError::Syntax(_)))), "{refused:?}");

        let mut twice = event(version).to_string();
        twice.pop();
        twice.push_str(",\"sender\":\"@other:domain\"}");
        let refused = Pdu::parse(twice.as_bytes(), &rules(version));
        assert!(matches!(refused, Err(PduError::Json(JsonError::DuplicateKey))));
        for text in [&b""[..], b"null", b"[]", b"{", b"{}", b"\xff\xfe", b"{\"type\":\"\\ud800\"}"] {
            assert!(Pdu::parse(text, &rules(version)).is_err());
        }
    }
}

#[test]
fn depth_2_63_is_refused_or_harmless() {
    for version in 1..=12 {
        let with_depth = |depth: &str| {
            let text = event(version).to_string().replace("\"depth\":12", &format!("\"depth\":{depth}"));
            Pdu::parse(text.as_bytes(), &rules(version))
        };
        for depth in ["9223372036854775808", "18446744073709551615", "1e40", "-1", "1.5", "\"1\"", "null"] {
            assert!(with_depth(depth).is_err(), "{depth} in version {version}");
        }
        assert_eq!(with_depth("9007199254740991").unwrap().depth, 9_007_199_254_740_991);
        // Old rooms have such events; the next one made here is one deeper and still a number of canonical JSON.
        let deepest = with_depth("9223372036854775807");
        assert_eq!(deepest.is_ok(), version < 6);
        if let Ok(pdu) = deepest {
            assert_eq!(pdu.depth, 9_007_199_254_740_991);
            let next = crate::event::PduBuilder { depth: pdu.depth + 1, ..builder("m.x", None, &json!({})) };
            let next = next.build_with(&rules(version), &key(), known).unwrap();
            assert!(next.json.contains("\"depth\":9007199254740991,"));
        }
    }
}

/// Values that fit nowhere.
fn odd() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(|text| json!(text)),
        Just(json!([])),
        Just(json!([[]])),
        Just(json!([["$a:b", {}], "$c"])),
        Just(json!({})),
        Just(json!({ "domain": { "ed25519:a_key": 5 }, "sha256": [] })),
        Just(json!("@a:b")),
        Just(json!("$a:b")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_odd_field_is_an_event_or_an_error(version in 1_u8..=12, field in 0_usize..16, value in odd()) {
        let mut event = event(version);
        let fields = [
            "auth_events", "content", "depth", "event_id", "hashes", "origin_server_ts", "prev_events", "redacts",
            "room_id", "sender", "signatures", "state_key", "type", "unsigned", "membership", "x",
        ];
        event[fields[field]] = value;
        let rules = room_version::supported(&RoomVersionId::try_from(version.to_string()).unwrap()).unwrap();
        if let Ok(pdu) = Pdu::parse(event.to_string().as_bytes(), &rules) {
            let stored = Pdu::from_stored(pdu.event_id.clone(), pdu.json.clone()).unwrap();
            prop_assert_eq!(format!("{stored:?}"), format!("{pdu:?}"));
            let again = Pdu::parse(pdu.json.as_bytes(), &rules).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{pdu:?}"), "its text is canonical");
            let _ = SignedEvent::read(&pdu.json, &rules);
        }
    }

    #[test]
    fn cut_and_changed_bytes_are_an_event_or_an_error(
        version in 1_u8..=12,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut text = event(version).to_string().into_bytes();
        for (place, byte) in changes {
            let place = place.index(text.len());
            text[place] = byte;
        }
        if cut {
            text.truncate(length.index(text.len()));
        }
        if let Ok(pdu) = Pdu::parse(&text, &rules(version)) {
            let _ = SignedEvent::read(&pdu.json, &rules(version));
        }
    }
}
