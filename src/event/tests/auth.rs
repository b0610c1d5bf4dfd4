//! The authorisation rules by room version, as this folder hands them to ruma-state-res.

use ruma::events::{StateEventType, room::member::MembershipState};
use serde_json::{Value as Json, json};

use super::{ALICE, BOB, CAROL, TestRoom, key, known, rules};
use crate::event::{
    auth::{auth_types, check_message, check_own, check_state_dependent, check_state_independent},
    content,
    power::PowerLevels,
};

fn member(room: &mut TestRoom, sender: &str, target: &str, content: &Json) -> bool {
    room.send(sender, "m.room.member", Some(target), content).is_ok()
}

fn join_rule(room: &mut TestRoom, content: &Json) {
    room.send(ALICE, "m.room.join_rules", Some(""), content).unwrap();
}

/// Power levels with Alice at 100 where she must be named.
fn levels(version: u8, mut content: Json) -> Json {
    if version < 12 {
        content["users"][ALICE] = json!(100);
    }
    content
}

#[test]
fn knocking_exists_from_version_7() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        join_rule(&mut room, &json!({ "join_rule": "knock" }));
        assert_eq!(member(&mut room, BOB, BOB, &json!({ "membership": "knock" })), version >= 7, "version {version}");
        assert!(!member(&mut room, CAROL, CAROL, &json!({ "membership": "join" })));
    }
}

#[test]
fn restricted_joins_exist_from_version_8() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        join_rule(&mut room, &json!({ "join_rule": "restricted", "allow": [] }));
        let vouched = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
        assert!(!member(&mut room, BOB, BOB, &json!({ "membership": "join" })));
        let by_stranger = json!({ "membership": "join", "join_authorised_via_users_server": CAROL });
        assert!(!member(&mut room, BOB, BOB, &by_stranger));
        assert_eq!(member(&mut room, BOB, BOB, &vouched), version >= 8, "version {version}");
    }
}

#[test]
fn knock_restricted_exists_from_version_10() {
    for version in 7..=12 {
        let mut room = TestRoom::new(version);
        join_rule(&mut room, &json!({ "join_rule": "knock_restricted" }));
        assert_eq!(
            member(&mut room, CAROL, CAROL, &json!({ "membership": "knock" })),
            version >= 10,
            "version {version}"
        );
        let vouched = json!({ "membership": "join", "join_authorised_via_users_server": ALICE });
        assert_eq!(member(&mut room, BOB, BOB, &vouched), version >= 10, "version {version}");
    }
}

#[test]
fn levels_are_integers_from_version_10() {
    for version in 1..=12 {
        for damaged in
            [json!({ "users_default": "0" }), json!({ "users": { BOB: "50" } }), json!({ "events": { "m.x": "1" } })]
        {
            let mut room = TestRoom::new(version);
            let result = room.send(ALICE, "m.room.power_levels", Some(""), &levels(version, damaged));
            assert_eq!(result.is_ok(), version < 10, "version {version}: {result:?}");
        }
    }
}

#[test]
fn notification_levels_are_guarded_from_version_6() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        room.join(BOB);
        let base = levels(version, json!({ "users": { BOB: 50 }, "events": { "m.room.power_levels": 50 } }));
        room.send(ALICE, "m.room.power_levels", Some(""), &base).unwrap();
        let mut raised = base.clone();
        raised["notifications"] = json!({ "room": 99 });
        assert_eq!(room.send(BOB, "m.room.power_levels", Some(""), &raised).is_ok(), version < 6, "version {version}");
    }
}

#[test]
fn creators_are_above_all_from_version_12() {
    for version in [10, 11, 12] {
        let mut room = TestRoom::with_create(version, json!({ "additional_creators": [CAROL] }));
        room.join(BOB);
        room.join(CAROL);
        let named = json!({ "users": { ALICE: 100, BOB: 100 } });
        assert_eq!(room.clone().send(ALICE, "m.room.power_levels", Some(""), &named).is_ok(), version < 12);
        let named = levels(version, json!({ "users": { CAROL: 50 } }));
        assert_eq!(room.clone().send(ALICE, "m.room.power_levels", Some(""), &named).is_ok(), version < 12);
        let levels = levels(version, json!({ "users": { BOB: 9000 }, "kick": 50 }));
        room.send(ALICE, "m.room.power_levels", Some(""), &levels).unwrap();
        let kicked = member(&mut room.clone(), BOB, ALICE, &json!({ "membership": "leave" }));
        assert_eq!(kicked, version < 12, "no number reaches a creator; version {version}");
        if version == 12 {
            assert!(!member(&mut room, BOB, CAROL, &json!({ "membership": "ban" })));
            assert!(member(&mut room, CAROL, BOB, &json!({ "membership": "leave" })));
        }
    }
    for additional in [json!("@a:b"), json!([1]), json!(["nobody"])] {
        let rules = rules(12);
        let mut draft = super::builder(
            "m.room.create",
            Some(""),
            &json!({ "room_version": "12", "additional_creators": additional }),
        );
        (draft.room_id, draft.prev_events, draft.auth_events) = (None, vec![], vec![]);
        let pdu = draft.build_with(&rules, &key(), known).unwrap();
        assert!(check_own(&pdu, &rules, |_, _| None::<&crate::event::pdu::Pdu>).is_err());
    }
}

#[test]
fn the_create_event_is_selected_only_before_version_12() {
    for version in 1..=12 {
        let content = super::content(&json!({ "body": "b" }));
        let types =
            auth_types(&"m.room.message".into(), &super::user(BOB), None, content.raw(), &rules(version)).unwrap();
        assert_eq!(types.iter().any(|(kind, _)| *kind == StateEventType::RoomCreate), version < 12);
        assert!(types.contains(&(StateEventType::RoomPowerLevels, String::new())));
        assert!(types.contains(&(StateEventType::RoomMember, BOB.to_owned())));
        let create =
            auth_types(&"m.room.create".into(), &super::user(BOB), Some(""), content.raw(), &rules(version)).unwrap();
        assert!(create.is_empty());
        assert!(
            auth_types(&"m.room.member".into(), &super::user(BOB), Some(BOB), content.raw(), &rules(version)).is_err()
        );
    }
}

#[test]
fn a_creator_is_named_before_version_11() {
    for version in 3..=11 {
        let rules = rules(version);
        let mut draft = super::builder("m.room.create", Some(""), &json!({}));
        (draft.prev_events, draft.auth_events) = (vec![], vec![]);
        let pdu = draft.build_with(&rules, &key(), known).unwrap();
        let result = check_state_independent(&pdu, &rules, |_| None::<&crate::event::pdu::Pdu>);
        assert_eq!(result.is_ok(), version >= 11, "version {version}");
    }
}

#[test]
fn aliases_are_special_before_version_6() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        let own = room.send(BOB, "m.room.aliases", Some("domain"), &json!({ "aliases": [] }));
        assert_eq!(own.is_ok(), version < 6, "only old rooms let a server's aliases in without membership");
        assert!(room.send(BOB, "m.room.aliases", Some("elsewhere"), &json!({ "aliases": [] })).is_err());
    }
}

#[test]
fn membership_rules_hold_in_every_version() {
    for version in 1..=12 {
        let mut room = TestRoom::new(version);
        let say = |room: &mut TestRoom, who| room.send(who, "m.room.message", None, &json!({ "body": "b" })).is_ok();
        assert!(say(&mut room, ALICE));
        assert!(!say(&mut room, BOB), "not joined");
        room.join(BOB);
        assert!(say(&mut room, BOB));
        assert!(room.send(BOB, "m.room.name", Some(""), &json!({ "name": "mine" })).is_err(), "state needs 50");
        assert!(!member(&mut room, BOB, ALICE, &json!({ "membership": "leave" })));
        assert!(member(&mut room, ALICE, BOB, &json!({ "membership": "ban" })));
        assert!(!say(&mut room, BOB));
        assert!(!member(&mut room, BOB, BOB, &json!({ "membership": "join" })), "banned");
        assert!(!member(&mut room, BOB, BOB, &json!({ "membership": "leave" })), "cannot lift the own ban");
        assert!(member(&mut room, ALICE, BOB, &json!({ "membership": "leave" })));
        join_rule(&mut room, &json!({ "join_rule": "invite" }));
        assert!(!member(&mut room, BOB, BOB, &json!({ "membership": "join" })));
        assert!(member(&mut room, ALICE, BOB, &json!({ "membership": "invite" })));
        assert!(member(&mut room, BOB, BOB, &json!({ "membership": "join" })));
        assert!(!member(&mut room, BOB, CAROL, &json!({ "membership": "join" })), "for someone else");
    }
}

#[test]
fn auth_events_must_be_the_selected_ones_of_this_room() {
    for version in [6, 11, 12] {
        let mut room = TestRoom::new(version);
        room.join(BOB);
        let find = |room: &TestRoom, id: &ruma::EventId| room.events.get(id).cloned();
        let good = room.draft(BOB, "m.room.message", None, &json!({}));
        let check = |draft: crate::event::PduBuilder, other: Option<&TestRoom>| {
            let pdu = draft.build_with(&room.rules, &key(), known).unwrap();
            check_state_independent(&pdu, &room.rules, |id| find(&room, id).or_else(|| find(other?, id))).is_ok()
        };
        assert!(check(good.clone(), None));

        let mut surplus = good.clone();
        surplus.auth_events.push(room.state[&(StateEventType::RoomJoinRules, String::new())].event_id.clone());
        assert!(!check(surplus, None), "not selected");
        let mut twice = good.clone();
        twice.auth_events.extend(good.auth_events.last().cloned());
        assert!(!check(twice, None), "listed twice");
        let mut unknown = good.clone();
        unknown.auth_events.push("$unknown".try_into().unwrap());
        assert!(!check(unknown, None), "unknown");

        let mut other = TestRoom::with_create(version, json!({ "x": "another room" }));
        if version < 12 {
            continue; // the test's rooms share one id before version 12
        }
        other.join(BOB);
        let mut foreign = good.clone();
        foreign.auth_events = other.draft(BOB, "m.room.message", None, &json!({})).auth_events;
        assert!(!check(foreign, Some(&other)), "of another room");
    }
}

#[test]
fn rejected_auth_events_reject() {
    let mut room = TestRoom::new(11);
    room.join(BOB);
    let pdu = room.draft(BOB, "m.room.message", None, &json!({})).build_with(&room.rules, &key(), known).unwrap();
    let result = check_state_independent(&pdu, &room.rules, |id| {
        let mut found = (**room.events.get(id)?).clone();
        found.rejected = found.state_key.as_deref() == Some(BOB);
        Some(found)
    });
    assert!(result.unwrap_err().0.contains("rejected"));
}

#[test]
fn closed_rooms_refuse_other_servers() {
    for version in [6, 12] {
        let room = TestRoom::with_create(version, json!({ "m.federate": false }));
        let far = "@far:elsewhere";
        let pdu = room
            .draft(far, "m.room.member", Some(far), &json!({ "membership": "join" }))
            .build_with(&room.rules, &key(), known)
            .unwrap();
        let state =
            |kind: &StateEventType, state_key: &str| room.state.get(&(kind.clone(), state_key.to_owned())).cloned();
        assert!(check_state_dependent(&pdu, &room.rules, state).unwrap_err().0.contains("federated"));
    }
}

#[test]
fn the_short_way_says_what_the_rules_say() {
    let settings = [
        None,
        Some(json!({ "events_default": 30, "users": { BOB: 30 } })),
        Some(json!({ "events": { "m.x": 10, "m.room.redaction": 50 }, "users_default": 10, "users": { BOB: -5 } })),
    ];
    let mut refused = 0;
    for version in 1..=12 {
        for setting in settings.iter().cloned() {
            let mut room = TestRoom::with_create(version, json!({ "additional_creators": [CAROL] }));
            room.join(BOB);
            room.join(CAROL);
            room.send(ALICE, "m.room.member", Some("@dan:domain"), &json!({ "membership": "invite" })).unwrap();
            if let Some(setting) = setting {
                room.send(ALICE, "m.room.power_levels", Some(""), &levels(version, setting)).unwrap();
            }
            let find = |kind: &str, key: &str| room.state.get(&(kind.into(), key.to_owned()));
            let create = find("m.room.create", "").unwrap();
            let power = PowerLevels::read(&room.rules, create, find("m.room.power_levels", "").map(|pdu| &**pdu));
            for sender in [ALICE, BOB, CAROL, "@dan:domain", "@eve:domain"] {
                let membership = find("m.room.member", sender).and_then(|pdu| content::membership(&pdu.content));
                for kind in ["m.room.message", "m.x", "m.room.encrypted", "m.room.name"] {
                    let short = check_message(&kind.into(), &super::user(sender), membership.as_ref(), &power).unwrap();
                    let long = room.clone().send(sender, kind, None, &json!({}));
                    assert_eq!(short, long.map(|_| ()), "{kind} of {sender} in version {version}");
                    refused += usize::from(short.is_err());
                }
            }
            for kind in [
                "m.room.create",
                "m.room.member",
                "m.room.power_levels",
                "m.room.third_party_invite",
                "m.room.redaction",
                "m.room.aliases",
            ] {
                assert!(
                    check_message(&kind.into(), &super::user(ALICE), Some(&MembershipState::Join), &power).is_none()
                );
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
