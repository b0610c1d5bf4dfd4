//! The lenient readers: contents, power levels, client format.

use ruma::{
    events::room::{guest_access::GuestAccess, history_visibility::HistoryVisibility, member::MembershipState},
    room::{JoinRuleKind, RoomType},
};
use serde_json::{Value as Json, json, value::RawValue};

use super::{ALICE, BOB, CAROL, TestRoom, builder, key, known, rules, user};
use crate::event::{
    client_format::{ClientEvent, stripped_state},
    content::{self, CanonicalAlias, Create, JoinRules, Member, Mentions, RelatesTo},
    pdu::Pdu,
    power::{PowerLevels, UserLevel},
};

fn raw(value: &Json) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

#[test]
fn damaged_contents_read_as_absent() {
    for damaged in [
        json!([]),
        json!(1),
        json!({}),
        json!({
            "membership": 1, "displayname": {}, "is_direct": "yes", "join_rule": [], "allow": {}, "alias": 1, "alt_aliases": "x",
            "history_visibility": 5, "guest_access": null, "name": 1, "topic": [], "url": {}, "type": 1, "predecessor": "x",
            "m.federate": "no", "creator": 1, "additional_creators": [1, "nobody"], "room_version": 1, "m.relates_to": "x",
            "m.mentions": [],
        }),
    ] {
        let raw = raw(&damaged);
        assert_eq!(Member::read(&raw), Member::default());
        assert_eq!(content::membership(&raw), None);
        assert_eq!(JoinRules::read(&raw), JoinRules { rule: JoinRuleKind::Invite, allow: vec![] });
        assert_eq!(CanonicalAlias::read(&raw), CanonicalAlias::default());
        assert_eq!(content::history_visibility(&raw), HistoryVisibility::Shared);
        assert_eq!(content::guest_access(&raw), GuestAccess::Forbidden);
        assert_eq!((content::name(&raw), content::topic(&raw), content::avatar_url(&raw)), (None, None, None));
        let create = Create::read(&raw, &user(ALICE), &rules(12));
        assert_eq!(
            (create.federate, create.room_type, create.predecessor, create.creators),
            (true, None, None, vec![user(ALICE)])
        );
        assert_eq!(RelatesTo::read(&raw), None);
        assert_eq!(Mentions::read(&raw), None);
    }
}

#[test]
fn one_damaged_field_hides_no_other() {
    let member = Member::read(&raw(&json!({
        "membership": "join", "displayname": 5, "avatar_url": "mxc://d/m", "reason": "r", "is_direct": true,
        "third_party_invite": { "signed": {} },
    })));
    assert_eq!(member.membership, Some(MembershipState::Join));
    assert_eq!((member.displayname, member.reason.as_deref(), member.is_direct), (None, Some("r"), Some(true)));
    assert_eq!(member.avatar_url.unwrap(), "mxc://d/m");
    assert!(member.third_party_invite);
    let alias = CanonicalAlias::read(&raw(&json!({ "alias": null, "alt_aliases": ["#a:d", 5, "nonsense", "#b:d"] })));
    assert_eq!(alias.all().map(|alias| alias.as_str()).collect::<Vec<_>>(), ["#a:d", "#b:d"]);
}

#[test]
fn contents_read_whole() {
    let rules_content = raw(&json!({ "join_rule": "knock_restricted", "allow": [
        { "type": "m.room_membership", "room_id": "!a:d" }, { "type": "other", "room_id": "!b:d" }, "x",
        { "type": "m.room_membership" }, { "type": "m.room_membership", "room_id": "!c" },
    ] }));
    let join_rules = JoinRules::read(&rules_content);
    assert!(join_rules.is_restricted());
    assert_eq!(join_rules.allow.iter().map(|room| room.as_str()).collect::<Vec<_>>(), ["!a:d", "!c"]);
    let visibility = |value: &str| content::history_visibility(&raw(&json!({ "history_visibility": value })));
    assert_eq!(visibility("world_readable"), HistoryVisibility::WorldReadable);
    assert_eq!(visibility("joined"), HistoryVisibility::Joined);
    assert_eq!(visibility("org.example"), HistoryVisibility::Shared);
    let create = raw(&json!({
        "room_version": "12", "type": "m.space", "m.federate": false, "creator": CAROL,
        "predecessor": { "room_id": "!old:d", "event_id": 7 }, "additional_creators": [BOB, ALICE, BOB, 3],
    }));
    let read = Create::read(&create, &user(ALICE), &rules(12));
    assert_eq!(read.room_version.as_str(), "12");
    assert_eq!((read.room_type, read.federate), (Some(RoomType::Space), false));
    assert_eq!((read.predecessor.unwrap().as_str(), read.predecessor_event), ("!old:d", None));
    assert_eq!(read.creators, [user(ALICE), user(BOB)]);
    assert_eq!(Create::read(&create, &user(ALICE), &rules(11)).creators, [user(ALICE)]);
    assert_eq!(Create::read(&create, &user(ALICE), &rules(10)).creators, [user(CAROL)]);
    assert_eq!(content::create_room_version(&create).unwrap().as_str(), "12");
    assert_eq!(content::create_room_version(&raw(&json!({}))).unwrap().as_str(), "1");
    assert_eq!(content::create_room_version(&raw(&json!({ "room_version": 6 }))), None);
}

#[test]
fn relations_and_mentions() {
    let thread = RelatesTo::read(&raw(&json!({ "body": "b", "m.relates_to": {
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": { "event_id": "$last" },
    } })))
    .unwrap();
    let (rel_type, root) = thread.relation().unwrap();
    assert_eq!((rel_type, root.as_str(), thread.is_falling_back), ("m.thread", "$root", true));
    assert_eq!(thread.in_reply_to.unwrap().as_str(), "$last");
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": "$e", "key": "👍" } });
    assert_eq!(RelatesTo::read(&raw(&reaction)).unwrap().key.as_deref(), Some("👍"));
    assert_eq!(RelatesTo::read(&raw(&json!({ "m.relates_to": { "rel_type": "m.thread" } }))).unwrap().relation(), None);
    let mentions =
        Mentions::read(&raw(&json!({ "m.mentions": { "user_ids": [ALICE, "x", 1], "room": true } }))).unwrap();
    assert_eq!(mentions, Mentions { user_ids: vec![user(ALICE)], room: true });
}

fn read_levels(version: u8, levels: Option<&Json>) -> PowerLevels {
    let room = TestRoom::with_create(version, json!({ "additional_creators": [CAROL] }));
    let create = room.state.values().find(|pdu| pdu.kind == "m.room.create".into()).unwrap();
    let levels = levels
        .map(|levels| builder("m.room.power_levels", Some(""), levels).build_with(&room.rules, &key(), known).unwrap());
    PowerLevels::read(&room.rules, create, levels.as_ref())
}

#[test]
fn levels_without_an_event() {
    for version in 1..=12 {
        let levels = read_levels(version, None);
        let creator = if version >= 12 { UserLevel::Infinite } else { UserLevel::Int(100) };
        assert_eq!(levels.user_level(&user(ALICE)), creator);
        assert_eq!(levels.user_level(&user(BOB)), UserLevel::Int(0));
        assert_eq!(
            levels.user_level(&user(CAROL)),
            if version >= 12 { UserLevel::Infinite } else { UserLevel::Int(0) }
        );
        assert_eq!((levels.invite(), levels.kick(), levels.ban(), levels.redact()), (0, 50, 50, 50));
        assert_eq!(levels.required_for_state(&"m.room.name".into()), 50);
        assert_eq!(levels.required_for_message(&"m.room.message".into()), 0);
        assert_eq!(levels.notification("room"), 50);
    }
}

#[test]
fn levels_of_an_event() {
    let content = json!({
        "users": { BOB: 75 }, "users_default": 5, "events": { "m.room.name": 30, "m.reaction": 7 }, "events_default": 1,
        "state_default": 60, "invite": 2, "kick": 3, "ban": 4, "redact": 6, "notifications": { "room": 20 },
    });
    for version in [6, 10, 12] {
        let levels = read_levels(version, Some(&content));
        assert_eq!(levels.user_level(&user(BOB)), UserLevel::Int(75));
        let alice = if version >= 12 { UserLevel::Infinite } else { UserLevel::Int(5) };
        assert_eq!(
            levels.user_level(&user(ALICE)),
            alice,
            "an event without the creator takes their power before version 12"
        );
        assert_eq!(levels.required_for_state(&"m.room.name".into()), 30);
        assert_eq!(levels.required_for_state(&"m.room.topic".into()), 60);
        assert_eq!(levels.required_for_message(&"m.reaction".into()), 7);
        assert_eq!(levels.required_for_message(&"m.room.message".into()), 1);
        assert_eq!((levels.invite(), levels.kick(), levels.ban(), levels.redact()), (2, 3, 4, 6));
        assert_eq!((levels.notification("room"), levels.notification("other"), levels.users_default()), (20, 50, 5));
    }
    assert!(UserLevel::Infinite.reaches(i64::MAX) && UserLevel::Int(50).reaches(50) && !UserLevel::Int(49).reaches(50));
}

#[test]
fn string_levels_count_before_version_10() {
    let content =
        json!({ "users": { BOB: " +75 ", "nobody": 1 }, "kick": "x", "ban": "-1", "events": [], "invite": null });
    let old = read_levels(9, Some(&content));
    assert_eq!((old.user_level(&user(BOB)), old.kick(), old.ban(), old.invite()), (UserLevel::Int(75), 50, -1, 0));
    let new = read_levels(10, Some(&content));
    assert_eq!((new.user_level(&user(BOB)), new.kick(), new.ban(), new.invite()), (UserLevel::Int(0), 50, 50, 0));
}

fn client(pdu: &Pdu) -> Json {
    let event = ClientEvent::from_pdu(pdu).unwrap();
    let mut out = Vec::new();
    event.write(&mut out, Some(&pdu.room_id), Some(b"{\"age\":1}"));
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn clients_see_their_keys_only() {
    let pdu =
        builder("m.room.name", Some("\"k\""), &json!({ "name": "n" })).build_with(&rules(11), &key(), known).unwrap();
    assert_eq!(
        client(&pdu),
        json!({
            "content": { "name": "n" }, "event_id": pdu.event_id, "origin_server_ts": 1_700_000_000_000_u64, "room_id": "!room:domain",
            "sender": ALICE, "state_key": "\"k\"", "type": "m.room.name", "unsigned": { "age": 1 },
        })
    );
    let bare: Json = serde_json::from_str(ClientEvent::from_pdu(&pdu).unwrap().to_json(None, None).get()).unwrap();
    assert!(bare.get("room_id").is_none() && bare.get("unsigned").is_none());
    assert!(!bare.as_object().unwrap().contains_key("hashes"));
    let stripped: Json = serde_json::from_str(stripped_state(&pdu).get()).unwrap();
    assert_eq!(
        stripped,
        json!({ "content": { "name": "n" }, "sender": ALICE, "state_key": "\"k\"", "type": "m.room.name" })
    );
}

#[test]
fn clients_find_the_redacted_event_in_both_places() {
    for version in 1..=12 {
        for content in [json!({}), json!({ "reason": "r" })] {
            let mut draft = builder("m.room.redaction", None, &content);
            draft.redacts = Some("$target".try_into().unwrap());
            let seen = client(&draft.build_with(&rules(version), &key(), known).unwrap());
            assert_eq!((&seen["redacts"], &seen["content"]["redacts"]), (&json!("$target"), &json!("$target")));
            assert_eq!(seen["content"].get("reason"), content.get("reason"));
        }
    }
    let other =
        builder("m.room.message", None, &json!({ "redacts": "$x" })).build_with(&rules(12), &key(), known).unwrap();
    assert!(client(&other).get("redacts").is_none());
}
