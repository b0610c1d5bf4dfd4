//! Room versions 1 and 2, whose events say their own ids and name others together with their hashes.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::OwnedEventId;
use serde_json::{Value as Json, json};

use super::{ALICE, BOB, TestRoom, builder, key, known, rules, user};
use crate::event::{ClientEvent, Pdu, build::PduBuilder, format::FormatError, pdu::PduError, redact};

fn event(version: u8) -> Json {
    let pdu =
        builder("m.room.message", None, &json!({ "body": "b" })).build_with(&rules(version), &key(), known).unwrap();
    serde_json::from_str(&pdu.json).unwrap()
}

fn parse(event: &Json, version: u8) -> Result<Pdu, PduError> {
    Pdu::parse(event.to_string().as_bytes(), &rules(version))
}

#[test]
fn references_are_pairs_of_id_and_hash() {
    for version in [1, 2] {
        let mut room = TestRoom::new(version);
        let before = room.last[0].clone();
        let sent = room.send(ALICE, "m.room.name", Some(""), &json!({ "name": "n" })).unwrap();
        let text: Json = serde_json::from_str(&sent.json).unwrap();
        let hash = STANDARD_NO_PAD.encode(room.events[&before].reference_hash(&room.rules).unwrap());
        assert_eq!(text["prev_events"], json!([[before, { "sha256": hash }]]));
        assert_eq!(text["auth_events"].as_array().unwrap().len(), 2, "the create event and Alice's membership");
        assert_eq!(text["event_id"], json!(sent.event_id));
        // Nobody outside the folder sees the difference.
        let read = Pdu::parse(sent.json.as_bytes(), &room.rules).unwrap();
        assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        let stored = Pdu::from_stored(sent.event_id.clone(), &*sent.json).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{sent:?}"));
        let client = ClientEvent::from_pdu(&sent).unwrap().to_json(None, None);
        let client: Json = serde_json::from_str(client.get()).unwrap();
        assert_eq!(client["event_id"], json!(sent.event_id));
        assert!(client.get("prev_events").is_none() && client.get("auth_events").is_none());
    }
}

#[test]
fn a_hash_that_is_not_known_is_left_out() {
    let without = builder("m.x", None, &json!({})).build(&rules(1), &key()).unwrap();
    let text: Json = serde_json::from_str(&without.json).unwrap();
    assert_eq!(text["prev_events"], json!([["$prev", {}]]));
    assert!(Pdu::parse(without.json.as_bytes(), &rules(1)).is_ok());
    assert!(builder("m.x", None, &json!({})).build(&rules(3), &key()).is_ok());
}

#[test]
fn no_two_events_have_one_id() {
    let rules = rules(2);
    let base = builder("m.x", None, &json!({ "a": 1 }));
    let build = |draft: PduBuilder| draft.build_with(&rules, &key(), known).unwrap().event_id;
    let id = build(base.clone());
    assert_eq!(id, build(base.clone()), "the same event is the same");
    let others = [
        builder("m.x", None, &json!({ "a": 2 })),
        PduBuilder { depth: 13, ..base.clone() },
        PduBuilder { prev_events: vec!["$other".try_into().unwrap()], ..base.clone() },
        PduBuilder { sender: user(BOB), ..base.clone() },
        PduBuilder { room_id: Some("!other:domain".try_into().unwrap()), ..base.clone() },
        PduBuilder { state_key: Some("".into()), ..base },
    ];
    for other in others {
        assert_ne!(build(other), id);
    }
}

#[test]
fn the_id_must_name_a_server() {
    for version in [1, 2] {
        let text = event(version);
        assert!(parse(&text, version).is_ok());
        for wrong in [json!("$hash"), json!("opaque:domain"), json!("$a:"), json!("$a:no domain"), json!(1), json!("")]
        {
            let mut bad = text.clone();
            bad["event_id"] = wrong.clone();
            assert!(matches!(parse(&bad, version), Err(PduError::Format(FormatError::Invalid("event_id")))), "{wrong}");
        }
        let mut bad = text.clone();
        bad["event_id"] = json!(format!("${}:domain", "x".repeat(248)));
        assert!(matches!(parse(&bad, version), Err(PduError::Format(FormatError::TooLarge { what: "event_id", .. }))));
        bad.as_object_mut().unwrap().remove("event_id");
        assert!(matches!(parse(&bad, version), Err(PduError::Format(FormatError::Missing("event_id")))));
    }
}

#[test]
fn each_version_takes_its_own_references() {
    let wrong = [
        json!("$a:b"),
        json!(["$a:b"]),
        json!(["$a:b", "x"]),
        json!(["a", {}]),
        json!([{}, "$a"]),
        json!([]),
        json!(1),
    ];
    for reference in wrong {
        let mut bad = event(1);
        bad["prev_events"] = json!([reference]);
        assert!(matches!(parse(&bad, 1), Err(PduError::Format(FormatError::Invalid("prev_events")))), "{reference}");
    }
    let mut other = event(1);
    other["prev_events"] = json!([["$a:b", { "md5": "x" }]]);
    assert_eq!(parse(&other, 1).unwrap().prev_events, vec![OwnedEventId::try_from("$a:b").unwrap()]);
    assert!(parse(&event(1), 3).is_err(), "pairs are unknown in version 3");
    other["auth_events"] = json!(vec![json!(["$a:b", {}]); 11]);
    assert!(matches!(parse(&other, 1), Err(PduError::Format(FormatError::TooMany("auth_events")))));
}

#[test]
fn redaction_keeps_the_id_and_the_hash() {
    let rules = rules(1);
    let pdu = builder("m.room.message", None, &json!({ "body": "b" })).build_with(&rules, &key(), known).unwrap();
    let redacted = redact::redact(&pdu.json, &rules.redaction).unwrap();
    assert!(!redacted.contains("\"body\""));
    let redacted = Pdu::parse(redacted.as_bytes(), &rules).unwrap();
    assert_eq!(redacted.event_id, pdu.event_id);
    assert_eq!(redacted.reference_hash(&rules).unwrap(), pdu.reference_hash(&rules).unwrap());
}

#[test]
fn who_may_redact_is_a_rule_of_the_room() {
    for version in [1, 2, 3] {
        let mut room = TestRoom::new(version);
        room.join(BOB);
        room.send(ALICE, "m.room.power_levels", Some(""), &json!({ "users": { ALICE: 100 } })).unwrap();
        let redact = |target: &str| {
            let mut draft = room.draft(BOB, "m.room.redaction", None, &json!({}));
            draft.redacts = Some(target.try_into().unwrap());
            let pdu = draft.build_with(&room.rules, &key(), known).unwrap();
            super::check_own(&pdu, &room.rules, |kind, key| room.state.get(&(kind.clone(), key.to_owned())).cloned())
        };
        assert!(redact("$of_our_server:domain").is_ok());
        assert_eq!(redact("$of_another:elsewhere").is_ok(), version >= 3, "version {version}");
    }
}

#[test]
fn levels_may_be_strings_and_fractions() {
    use crate::event::power::{PowerLevels, UserLevel};
    for version in [1, 2, 9, 10] {
        let levels = serde_json::value::RawValue::from_string(
            json!({ "users": { BOB: " 50 ", ALICE: 99.9 }, "ban": "7" }).to_string(),
        )
        .unwrap();
        let levels = PowerLevels::from_content(&rules(version), vec![user(ALICE)], Some(&levels));
        let read = (levels.user_level(&user(BOB)), levels.user_level(&user(ALICE)), levels.ban());
        let expected = if version < 10 { (50, 99, 7) } else { (0, 0, 50) };
        assert_eq!(read, (UserLevel::Int(expected.0), UserLevel::Int(expected.1), expected.2), "version {version}");
    }
}
