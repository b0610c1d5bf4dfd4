//! The compiled rules against ruma's evaluation of the same rules.

use proptest::prelude::*;
use ruma::{
    OwnedUserId, UInt, owned_room_id, owned_user_id,
    power_levels::NotificationPowerLevels,
    push::{PushConditionPowerLevelsCtx, PushConditionRoomCtx, Ruleset},
    room_version_rules::RoomVersionRules,
    serde::Raw,
    user_id,
};
use serde_json::{Value, json, value::to_raw_value};

use super::{
    facts::Facts,
    rules::{Context, Outcome, Rules},
};
use crate::{event::PowerLevels, store::UserNo};

const NAME: &str = "Ben B";

fn me() -> OwnedUserId {
    owned_user_id!("@ben:a")
}

/// The room both sides are told of.
struct Room {
    joined: u64,
    /// The power needed to notify the room, and the sender's.
    needed: i64,
    power: i64,
}

fn ours(rules: &Ruleset, event: &Value, room: &Room) -> Outcome {
    let sender: OwnedUserId = event["sender"].as_str().unwrap().try_into().unwrap();
    let levels =
        to_raw_value(&json!({ "users": { &sender: room.power }, "notifications": { "room": room.needed } })).unwrap();
    let power = PowerLevels::from_content(&RoomVersionRules::V11, vec![owned_user_id!("@root:a")], Some(&levels));
    let context = Context { room_id: "!r:a", joined: room.joined, power: &power, display_name: Some(NAME) };
    Rules::compile(rules).evaluate(&facts(event), &context)
}

fn facts(event: &Value) -> Facts {
    Facts::for_test(
        UserNo(7),
        event["sender"].as_str().unwrap(),
        event["type"].as_str().unwrap(),
        event.get("state_key").and_then(Value::as_str),
        event["content"].clone(),
    )
}

async fn theirs(rules: &Ruleset, event: &Value, room: &Room) -> Outcome {
    let sender: OwnedUserId = event["sender"].as_str().unwrap().try_into().unwrap();
    let mut notifications = NotificationPowerLevels::new();
    notifications.room = room.needed.try_into().unwrap();
    let power = PushConditionPowerLevelsCtx::new(
        [(sender, room.power.try_into().unwrap())].into(),
        0_u32.into(),
        notifications,
        ruma::room_version_rules::RoomPowerLevelsRules::new(&RoomVersionRules::V11.authorization, None::<OwnedUserId>),
    );
    let room_id = owned_room_id!("!r:a");
    let context = PushConditionRoomCtx::new(room_id, UInt::new_saturating(room.joined), me(), NAME.to_owned())
        .with_power_levels(power);
    let raw: Raw<Value> = Raw::from_json(to_raw_value(event).unwrap());
    let actions = rules.get_actions(&raw, &context).await;
    let notify = actions.iter().any(ruma::push::Action::should_notify);
    Outcome { notify, highlight: notify && actions.iter().any(ruma::push::Action::is_highlight) }
}

fn text() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        Just("ben"),
        Just("Ben"),
        Just("b"),
        Just("cake"),
        Just("CAKE"),
        Just(" "),
        Just("!"),
        Just("é"),
        Just("_")
    ];
    prop::collection::vec(words, 0..6).prop_map(|words| words.concat())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(true)),
        Just(json!(false)),
        Just(json!(1)),
        Just(json!(null)),
        Just(json!("m.replace")),
        Just(json!("@ben:a")),
        text().prop_map(Value::from),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        text().prop_map(|body| ("body".to_owned(), json!(body))),
        prop_oneof![Just("m.text"), Just("m.notice")].prop_map(|kind| ("msgtype".to_owned(), json!(kind))),
        prop::collection::vec(scalar(), 0..3).prop_map(|ids| ("m.mentions".to_owned(), json!({ "user_ids": ids }))),
        scalar().prop_map(|room| ("m.mentions".to_owned(), json!({ "room": room }))),
        scalar().prop_map(|kind| ("m.relates_to".to_owned(), json!({ "rel_type": kind }))),
        prop_oneof![Just("invite"), Just("join")].prop_map(|m| ("membership".to_owned(), json!(m))),
        (scalar(), prop::collection::vec(scalar(), 0..3))
            .prop_map(|(a, b)| ("odd\\key.x".to_owned(), json!({ "a": a, "b": b, "": {}, "f": 1.5 }))),
    ];
    prop::collection::vec(field, 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn event() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        4 => Just("m.room.message"),
        1 => prop_oneof![
            Just("m.room.member"), Just("m.room.encrypted"), Just("m.reaction"), Just("m.room.tombstone"),
            Just("m.room.server_acl"), Just("m.call.invite"), Just("org.matrix.msc3381.poll.start"),
            Just("org.matrix.msc3381.poll.end"), Just("org.matrix.msc3381.poll.response"), Just("x.Other"),
        ],
    ];
    let state_key = prop_oneof![3 => Just(None), 1 => Just(Some("")), 1 => Just(Some("@ben:a"))];
    (kinds, state_key, prop_oneof![Just("@anna:a"), Just("@cleo:a")], content()).prop_map(
        |(kind, key, sender, content)| {
            let mut event =
                json!({ "type": kind, "sender": sender, "content": content, "event_id": "$e", "origin_server_ts": 5 });
            if let Some(key) = key {
                event["state_key"] = key.into();
            }
            event
        },
    )
}

fn condition() -> impl Strategy<Value = Value> {
    let key = || {
        prop_oneof![
            Just("content.body"),
            Just("type"),
            Just("sender"),
            Just("state_key"),
            Just("room_id"),
            Just("content.msgtype"),
            Just("content.m\\.mentions.room"),
            Just("content.m\\.mentions.user_ids"),
            Just("content.m\\.relates_to.rel_type"),
            Just("content.odd\\\\key\\.x.a"),
            Just("content.odd\\\\key\\.x.b"),
            Just("content.odd\\\\key\\.x.f"),
            Just("content.absent"),
            Just("origin_server_ts"),
        ]
    };
    let pattern = prop_oneof![
        Just("m.room.*"),
        Just("*"),
        Just("cake"),
        Just("ca?e"),
        Just("c*e"),
        Just("b*"),
        Just("*en"),
        Just("Ben"),
        Just("@ANNA:*"),
        Just("!r:a"),
        Just("m.text"),
        Just("m.????"),
        Just("x.other"),
        Just(""),
    ];
    prop_oneof![
        3 => (key(), pattern).prop_map(|(key, pattern)| json!({ "kind": "event_match", "key": key, "pattern": pattern })),
        1 => (key(), scalar()).prop_map(|(key, value)| json!({ "kind": "event_property_is", "key": key, "value": value })),
        1 => (key(), scalar()).prop_map(|(key, value)| json!({ "kind": "event_property_contains", "key": key, "value": value })),
        1 => prop_oneof![Just("2"), Just(">2"), Just("<=3"), Just("==3"), Just("<2"), Just(">=2")]
            .prop_map(|is| json!({ "kind": "room_member_count", "is": is })),
        1 => prop_oneof![Just("room"), Just("other")].prop_map(|key| json!({ "kind": "sender_notification_permission", "key": key })),
        1 => Just(json!({ "kind": "contains_display_name" })),
        1 => Just(json!({ "kind": "unheard_of", "x": 1 })),
    ]
}

fn actions() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!([])),
        Just(json!(["notify"])),
        Just(json!(["notify", { "set_tweak": "highlight" }])),
        Just(json!(["notify", { "set_tweak": "highlight", "value": false }])),
        Just(json!(["dont_notify"])),
    ]
}

fn ruleset() -> impl Strategy<Value = Ruleset> {
    let conditional = |ids: &'static [&'static str]| {
        let rule = (
            prop::sample::select(ids),
            prop::collection::vec(condition(), 0..3),
            actions(),
            any::<bool>(),
            any::<bool>(),
        );
        prop::collection::vec(rule, 0..3).prop_map(|rules| -> Vec<Value> {
            let rule = |(id, conditions, actions, enabled, default)| {
                json!({ "rule_id": id, "conditions": conditions, "actions": actions, "enabled": enabled, "default": default })
            };
            rules.into_iter().map(rule).collect()
        })
    };
    let pattern = prop_oneof![Just("cake"), Just("b*n"), Just("b?n"), Just("é"), Just("")];
    let content =
        (prop::sample::select(&[".m.rule.contains_user_name", "word"][..]), pattern, actions(), any::<bool>());
    let one = || (any::<bool>(), actions(), any::<bool>());
    (
        conditional(&[".m.rule.contains_display_name", ".m.rule.roomnotif", "mine", "other"]),
        prop::collection::vec(content, 0..2),
        prop::option::of(one()),
        prop::option::of(one()),
        conditional(&["under", "below"]),
        any::<bool>(),
    )
        .prop_map(|(over, content, room, sender, under, defaults)| {
            let content: Vec<Value> = content
                .into_iter()
                .map(|(id, pattern, actions, enabled)| {
                    json!({ "rule_id": id, "pattern": pattern, "actions": actions, "enabled": enabled, "default": false })
                })
                .collect();
            let simple = |rule: Option<(bool, Value, bool)>, yes: &str, no: &str| -> Vec<Value> {
                let rule = rule.map(|(this, actions, enabled)| {
                    json!({ "rule_id": if this { yes } else { no }, "actions": actions, "enabled": enabled, "default": false })
                });
                rule.into_iter().collect()
            };
            let rules = json!({
                "override": over, "content": content, "room": simple(room, "!r:a", "!q:a"),
                "sender": simple(sender, "@anna:a", "@bob:a"), "underride": under,
            });
            let mut rules: Ruleset = serde_json::from_value(rules).unwrap();
            if defaults {
                let default = Ruleset::server_default(&me());
                rules.override_.extend(default.override_);
                rules.underride.extend(default.underride);
            }
            rules
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_rules_mean_what_ruma_says(
        rules in ruleset(),
        event in event(),
        joined in 1_u64..5,
        needed in 49_i64..51,
        power in prop_oneof![Just(0_i64), Just(50)],
    ) {
        let room = Room { joined, needed, power };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let expected = runtime.block_on(theirs(&rules, &event, &room));
        prop_assert_eq!(ours(&rules, &event, &room), expected, "{} {}", event, serde_json::to_string(&rules).unwrap());
    }
}

#[test]
fn the_default_rules_tell_talk_from_noise() {
    let rules = Ruleset::server_default(user_id!("@ben:a"));
    let room = Room { joined: 9, needed: 50, power: 0 };
    let message = |content: Value| json!({ "type": "m.room.message", "sender": "@anna:a", "content": content });
    let (silent, notify, highlight) =
        (Outcome::default(), Outcome { notify: true, highlight: false }, Outcome { notify: true, highlight: true });
    for (content, expected) in [
        (json!({ "msgtype": "m.text", "body": "hello" }), notify),
        (json!({ "msgtype": "m.notice", "body": "ben" }), silent),
        (json!({ "body": "x", "m.mentions": { "user_ids": ["@ben:a"] } }), highlight),
        (json!({ "body": "x", "m.mentions": { "room": true } }), notify),
        (json!({ "body": "* x", "m.relates_to": { "rel_type": "m.replace", "event_id": "$a" } }), silent),
    ] {
        assert_eq!(ours(&rules, &message(content.clone()), &room), expected, "{content}");
    }
    let allowed = Room { power: 50, ..room };
    assert_eq!(ours(&rules, &message(json!({ "m.mentions": { "room": true } })), &allowed), highlight);
}
