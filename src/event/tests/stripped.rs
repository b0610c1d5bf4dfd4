//! What other servers say about a room one is invited to.

use proptest::prelude::*;
use serde_json::{Value as Json, json, value::RawValue};

use super::{ALICE, BOB, TestRoom, known};
use crate::event::stripped::{ENTRIES_MAX, STRIPPED_BYTES_MAX, StrippedError, read, room_events};

fn entries(values: &[Json]) -> Vec<Box<RawValue>> {
    values.iter().map(|value| serde_json::value::to_raw_value(value).unwrap()).collect()
}

fn read_all(values: &[Json]) -> Vec<Json> {
    let entries = entries(values);
    read(entries.iter().map(AsRef::as_ref)).iter().map(|one| serde_json::from_str(one.json.get()).unwrap()).collect()
}

fn name(value: &Json) -> Json {
    json!({ "type": "m.room.name", "state_key": "", "sender": ALICE, "content": { "name": value } })
}

#[test]
fn both_forms_become_the_form_for_clients() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        let sent = room.send(ALICE, "m.room.name", Some(""), &json!({ "name": "n" })).unwrap();
        let full: Json = serde_json::from_str(&sent.json).unwrap();
        assert_eq!(read_all(&[full]), [name(&json!("n"))]);
    }
    let mut with_more = name(&json!("n"));
    with_more["unsigned"] = json!({ "age": 1 });
    with_more["event_id"] = json!("$x");
    assert_eq!(read_all(&[with_more]), [name(&json!("n"))]);
}

#[test]
fn hostile_stripped_state_does_not_break_sync() {
    let good = name(&json!("n"));
    let mut hostile = vec![json!(null), json!(1), json!("x"), json!([]), json!({})];
    for (key, value) in [
        ("type", json!(null)),
        ("type", json!("x".repeat(256))),
        ("state_key", json!(5)),
        ("state_key", json!("x".repeat(256))),
        ("sender", json!("nobody")),
        ("sender", json!({})),
        ("content", json!("x")),
        ("content", json!(null)),
        ("content", json!({ "x": "x".repeat(70_000) })),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        hostile.push(bad);
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove(key);
        hostile.push(missing);
    }
    hostile.push(good.clone());
    hostile.push(name(&json!("the second is not looked at")));
    assert_eq!(read_all(&hostile), [good]);
    let deep = RawValue::from_string(format!(
        "{{\"type\":\"t\",\"state_key\":\"\",\"sender\":\"{ALICE}\",\"content\":{{\"x\":{}{}}}}}",
        "[".repeat(120),
        "]".repeat(120)
    ))
    .unwrap();
    assert!(read([&*deep]).is_empty());
}

#[test]
fn oversized_invite_state_is_cut() {
    let many: Vec<Json> = (0..10_000)
        .map(|number| json!({ "type": "m.x", "state_key": number.to_string(), "sender": ALICE, "content": {} }))
        .collect();
    assert_eq!(read_all(&many).len(), ENTRIES_MAX);
    let large: Vec<Json> = (0..ENTRIES_MAX)
        .map(|number| {
            json!({
                "type": "m.x", "state_key": number.to_string(), "sender": ALICE, "content": { "x": "x".repeat(15_000) },
            })
        })
        .collect();
    let kept = read_all(&large);
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().map(|one| one.to_string().len()).sum::<usize>() <= STRIPPED_BYTES_MAX);
}

#[test]
fn full_events_are_of_the_room_and_start_with_its_beginning() {
    for version in 1..=12 {
        let room = TestRoom::new(version);
        let pdus: Vec<Json> = room.state.values().map(|pdu| serde_json::from_str(&pdu.json).unwrap()).collect();
        let room_id = room.state.values().next().unwrap().room_id.clone();
        let check = |values: &[Json]| {
            let entries = entries(values);
            room_events(entries.iter().map(AsRef::as_ref), &room_id, &room.rules).map(|events| events.len())
        };
        assert_eq!(check(&pdus).unwrap(), 3);
        let without: Vec<Json> = pdus.iter().filter(|pdu| pdu["type"] != "m.room.create").cloned().collect();
        assert!(matches!(check(&without), Err(StrippedError::NoCreate)));
        assert!(matches!(check(&[]), Err(StrippedError::NoCreate)));
        assert!(matches!(check(&vec![pdus[0].clone(); 101]), Err(StrippedError::TooMany)));
        assert!(matches!(check(&[name(&json!("n"))]), Err(StrippedError::Pdu(_))));
        let message = room.draft(ALICE, "m.x", None, &json!({})).build_with(&room.rules, &super::key(), known).unwrap();
        assert!(matches!(check(&[serde_json::from_str(&message.json).unwrap()]), Err(StrippedError::NotState)));
        let mut draft = room.draft(ALICE, "m.x", Some(""), &json!({}));
        draft.room_id = Some("!other:domain".try_into().unwrap());
        let other = draft.build_with(&room.rules, &super::key(), known).unwrap();
        assert!(matches!(check(&[serde_json::from_str(&other.json).unwrap()]), Err(StrippedError::OtherRoom)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_reads_back(kind in any::<String>(), key in any::<String>(), text in any::<String>(), number in any::<f64>()) {
        let entry = json!({ "type": kind, "state_key": key, "sender": BOB, "content": { &text: [text, number] } });
        for one in read_all(&[entry]) {
            prop_assert_eq!(one.as_object().unwrap().len(), 4);
            prop_assert_eq!(&one["type"], &json!(kind));
            prop_assert_eq!(&one["state_key"], &json!(key));
        }
    }
}
