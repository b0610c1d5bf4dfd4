//! Invites to people of whom only an address is known, by room version: what answers them, and what does not.

use ruma::{
    CanonicalJsonObject,
    events::{StateEventType, TimelineEventType},
};
use serde_json::{Value as Json, json, value::to_raw_value};

use super::{ALICE, BOB, CAROL, TestRoom, content, rules, user};
use crate::event::{
    auth::auth_types,
    content::{SignedInvite, ThirdPartyInvite},
    sign::{SigningKey, answering_keys},
};

const KIND: &str = "m.room.third_party_invite";

fn identity(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32], "0", "id.example".try_into().unwrap()).unwrap()
}

/// What an identity server signs.
fn signed(key: &SigningKey, mxid: &str, token: &str) -> Json {
    let object = json!({ "mxid": mxid, "token": token, "sender": ALICE });
    let mut object: CanonicalJsonObject = serde_json::from_value(object).unwrap();
    key.sign_json(&mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

fn invite(signed: &Json) -> Json {
    json!({ "membership": "invite", "third_party_invite": { "display_name": "b...", "signed": signed } })
}

/// A room in which Alice has invited somebody by an address, under the token `t`.
fn waiting(version: u8, keys: &Json) -> TestRoom {
    let mut room = TestRoom::new(version);
    room.join(CAROL);
    room.send(ALICE, "m.room.join_rules", Some(""), &json!({ "join_rule": "invite" })).unwrap();
    room.send(ALICE, KIND, Some("t"), keys).unwrap();
    room
}

fn one_key() -> Json {
    json!({
        "display_name": "b...", "public_key": identity(5).verify_key(),
        "key_validity_url": "https://id.example/isvalid",
    })
}

#[test]
fn whoever_the_identity_server_has_signed_for_is_invited() {
    for version in 1..=12 {
        let right = invite(&signed(&identity(5), BOB, "t"));
        let mut room = waiting(version, &one_key());
        let pdu = room.send(ALICE, "m.room.member", Some(BOB), &right).unwrap();
        let waits = &room.state[&(StateEventType::RoomThirdPartyInvite, "t".to_owned())];
        assert!(pdu.auth_events.contains(&waits.event_id), "version {version}: it is among the auth events");
        room.join(BOB);

        // The second of several keys, in the alphabet of URLs, does as well.
        let url_safe = identity(5).verify_key().replace('+', "-").replace('/', "_");
        let keys = json!({
            "display_name": "b...", "public_key": identity(6).verify_key(), "key_validity_url": "https://id.example/",
            "public_keys": [{ "public_key": identity(6).verify_key() }, { "public_key": url_safe }],
        });
        waiting(version, &keys).send(ALICE, "m.room.member", Some(BOB), &right).unwrap();
    }
}

#[test]
fn everything_else_is_refused() {
    let right = signed(&identity(5), BOB, "t");
    let changed = |change: fn(&mut Json)| {
        let mut changed = right.clone();
        change(&mut changed);
        changed
    };
    for version in 1..=12 {
        let refused = |case: &str, sender: &str, target: &str, signed: &Json, change: fn(&mut TestRoom)| {
            let mut room = waiting(version, &one_key());
            change(&mut room);
            let result = room.send(sender, "m.room.member", Some(target), &invite(signed));
            assert!(result.is_err(), "version {version}: {case}");
        };
        refused("another's", ALICE, CAROL, &right, |_| {});
        refused("another sender", CAROL, BOB, &right, |_| {});
        refused("another key", ALICE, BOB, &signed(&identity(6), BOB, "t"), |_| {});
        refused("another token", ALICE, BOB, &signed(&identity(5), BOB, "u"), |_| {});
        refused("changed", ALICE, BOB, &changed(|signed| signed["sender"] = json!(CAROL)), |_| {});
        refused("unsigned", ALICE, BOB, &changed(|signed| signed["signatures"] = json!({})), |_| {});
        refused("taken back", ALICE, BOB, &right, |room| {
            room.send(ALICE, KIND, Some("t"), &json!({})).unwrap();
        });
        refused("banned", ALICE, BOB, &right, |room| {
            room.send(ALICE, "m.room.member", Some(BOB), &json!({ "membership": "ban" })).unwrap();
        });
    }
}

#[test]
fn what_names_no_token_has_no_auth_events() {
    let types = |third_party: &Json| {
        let content = content(&json!({ "membership": "invite", "third_party_invite": third_party }));
        auth_types(&TimelineEventType::RoomMember, &user(ALICE), Some(BOB), content.raw(), &rules(12))
    };
    assert!(types(&json!({})).is_err());
    assert!(types(&json!({ "signed": { "mxid": BOB } })).is_err());
    assert!(types(&json!({ "signed": { "mxid": BOB, "token": 1 } })).is_err());
    let wanted = (StateEventType::RoomThirdPartyInvite, "t".to_owned());
    assert!(types(&json!({ "signed": { "mxid": BOB, "token": "t" } })).unwrap().contains(&wanted));
}

#[test]
fn who_may_invite_may_invite_by_an_address() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        room.join(CAROL);
        let users = if version < 12 { json!({ ALICE: 100, CAROL: 10 }) } else { json!({ CAROL: 10 }) };
        room.send(ALICE, "m.room.power_levels", Some(""), &json!({ "users": users, "invite": 10 })).unwrap();
        room.send(CAROL, KIND, Some("t"), &one_key()).unwrap();
        room.join(BOB);
        assert!(room.send(BOB, KIND, Some("u"), &one_key()).is_err(), "version {version}");
        // They take back what others have sent too.
        room.send(ALICE, KIND, Some("t"), &json!({})).unwrap();
    }
}

#[test]
fn only_short_strings_and_signatures_become_part_of_an_event() {
    let parse = |signed: &Json| SignedInvite::parse(&to_raw_value(signed).unwrap());
    let right = signed(&identity(5), BOB, "t");
    let read = parse(&right).unwrap();
    assert_eq!((read.mxid.as_str(), &*read.token, read.signers()), (BOB, "t", vec!["id.example".to_owned()]));
    assert_eq!(serde_json::from_str::<Json>(read.signed.get()).unwrap(), right);
    let changes: [fn(&mut Json); 11] = [
        |signed| signed["mxid"] = json!("nobody"),
        |signed| signed["token"] = json!(""),
        |signed| signed["token"] = json!("t".repeat(256)),
        |signed| signed["token"] = json!(1),
        |signed| signed["more"] = json!({ "nested": "object" }),
        |signed| signed["more"] = json!("x".repeat(2_000)),
        |signed| signed["signatures"] = json!("none"),
        |signed| signed["signatures"]["id.example"] = json!(["list"]),
        |signed| signed["signatures"]["id.example"]["ed25519:0"] = json!({}),
        |signed| (0..20).for_each(|n| signed[format!("key{n}")] = json!("x")),
        |signed| (0..20).for_each(|n| signed["signatures"][format!("server{n}")] = json!({})),
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut changed = right.clone();
        change(&mut changed);
        assert!(parse(&changed).is_none(), "{place}");
    }
    assert!(parse(&json!([])).is_none());
}

#[test]
fn the_keys_that_have_signed_are_told() {
    let answer = SignedInvite::parse(&to_raw_value(&signed(&identity(5), BOB, "t")).unwrap()).unwrap();
    let keys = json!({
        "public_key": identity(6).verify_key(), "key_validity_url": "https://id.example/6",
        "public_keys": [
            { "public_key": "no key", "key_validity_url": "https://id.example/none" },
            { "public_key": identity(5).verify_key(), "key_validity_url": "https://id.example/5" },
        ],
    });
    let read = ThirdPartyInvite::read(content(&keys).raw());
    let places: Vec<_> = answering_keys(&answer, &read).iter().map(|key| key.key_validity_url.as_deref()).collect();
    assert_eq!(places, [Some("https://id.example/5")]);
    let empty = ThirdPartyInvite::read(content(&json!({})).raw());
    assert!(answering_keys(&answer, &empty).is_empty(), "it was taken back");
}
