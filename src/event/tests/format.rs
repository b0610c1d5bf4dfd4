use serde_json::{Value as Json, json};

use super::{builder, key, rules};
use crate::event::{
    canonical::JsonError,
    format::FormatError,
    pdu::{Pdu, PduError},
};

fn event() -> Json {
    let pdu = builder("m.room.message", None, &json!({ "body": "b" })).build(&rules(11), &key()).unwrap();
    serde_json::from_str(&pdu.json).unwrap()
}

fn parse(event: &Json, version: u8) -> Result<Pdu, PduError> {
    Pdu::parse(event.to_string().as_bytes(), &rules(version))
}

#[test]
fn required_fields_and_their_types() {
    assert!(parse(&event(), 11).is_ok());
    for key in ["type", "sender", "room_id", "content", "origin_server_ts", "depth", "prev_events", "auth_events"] {
        let mut missing = event();
        missing.as_object_mut().unwrap().remove(key);
        assert!(
            matches!(parse(&missing, 11), Err(PduError::Format(FormatError::Missing(found))) if found == key),
            "{key}"
        );
        for wrong in [json!(null), json!(true), json!({ "a": 1 }), json!([1]), json!(-1)] {
            if key == "content" && wrong.is_object() {
                continue;
            }
            let mut bad = event();
            bad[key] = wrong;
            assert!(
                matches!(parse(&bad, 11), Err(PduError::Format(FormatError::Invalid(found))) if found == key),
                "{key}"
            );
        }
    }
    let mut bad = event();
    bad["state_key"] = json!(1);
    assert!(matches!(parse(&bad, 11), Err(PduError::Format(FormatError::Invalid("state_key")))));
    let mut bad = event();
    bad["sender"] = json!("nobody");
    assert!(matches!(parse(&bad, 11), Err(PduError::Field(_))));
}

#[test]
fn lengths_and_counts() {
    let mut bad = event();
    bad["prev_events"] = json!(vec!["$a"; 21]);
    assert!(matches!(parse(&bad, 11), Err(PduError::Format(FormatError::TooMany("prev_events")))));
    bad["prev_events"] = json!(vec!["$a"; 20]);
    assert!(parse(&bad, 11).is_ok());
    bad["auth_events"] = json!(vec!["$a"; 11]);
    assert!(matches!(parse(&bad, 11), Err(PduError::Format(FormatError::TooMany("auth_events")))));
    bad["auth_events"] = json!([["$a", { "sha256": "x" }]]);
    assert!(matches!(parse(&bad, 11), Err(PduError::Format(FormatError::Invalid("auth_events")))));
    for key in ["type", "sender", "room_id", "state_key"] {
        let mut long = event();
        long[key] = json!("x".repeat(256));
        assert!(
            matches!(parse(&long, 11), Err(PduError::Format(FormatError::TooLarge { what, .. })) if what == key),
            "{key}"
        );
    }
    let mut large = event();
    large["content"]["body"] = json!("x".repeat(65_536));
    assert!(matches!(parse(&large, 11), Err(PduError::Format(FormatError::TooLarge { what: "event", .. }))));
}

#[test]
fn numbers_are_strict_from_version_6() {
    let mut odd = event();
    odd["content"]["n"] = json!(1.5);
    for version in 3..=12 {
        match parse(&odd, version) {
            Ok(_) => assert!(version < 6),
            Err(error) => assert!(version >= 6 && matches!(error, PduError::Json(JsonError::Number)), "{error}"),
        }
    }
}

#[test]
fn version_12_does_not_list_the_create_event() {
    let mut listed = event();
    listed["room_id"] = json!("!hash");
    listed["auth_events"] = json!(["$other", "$hash"]);
    assert!(parse(&listed, 11).is_ok());
    assert!(matches!(parse(&listed, 12), Err(PduError::Format(FormatError::CreateInAuthEvents))));
}

#[test]
fn unsigned_is_dropped_and_the_id_ignores_it() {
    let plain = parse(&event(), 11).unwrap();
    let mut with_unsigned = event();
    with_unsigned["unsigned"] = json!({ "age": 5, "redacted_because": {} });
    let parsed = parse(&with_unsigned, 11).unwrap();
    assert_eq!((&parsed.event_id, &parsed.json), (&plain.event_id, &plain.json));
}

#[test]
fn event_ids_are_url_safe_from_version_4() {
    let ids = |version| {
        (0..40).map(move |depth| {
            let mut event = event();
            event["depth"] = json!(depth);
            parse(&event, version).unwrap().event_id.as_str()[1..].to_owned()
        })
    };
    assert!(ids(3).all(|id| id.len() == 43) && ids(3).any(|id| id.contains(['+', '/'])));
    assert!(ids(4).all(|id| id.len() == 43 && !id.contains(['+', '/'])) && ids(4).any(|id| id.contains(['-', '_'])));
}
