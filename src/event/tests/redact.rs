use serde_json::{Value as Json, json};

use super::{ALICE, BOB, builder, key, known, rules};
use crate::event::redact::{is_redacted, redact};

/// The content that remains.
fn remains(version: u8, kind: &str, content: &Json) -> Json {
    let rules = rules(version);
    let mut draft = builder(kind, Some(""), content);
    if kind == "m.room.create" && version >= 12 {
        draft.room_id = None;
    }
    let pdu = draft.build_with(&rules, &key(), known).unwrap();
    let redacted = redact(&pdu.json, &rules.redaction).unwrap();
    assert!(is_redacted(&redacted, &rules.redaction));
    let mut event: Json = serde_json::from_str(&redacted).unwrap();
    event["content"].take()
}

#[test]
fn members_keep_their_membership() {
    let content = json!({
        "membership": "join", "displayname": "Bob", "join_authorised_via_users_server": ALICE,
        "third_party_invite": { "display_name": "b", "signed": { "token": "t" } },
    });
    for version in 1..=12 {
        let mut expected = json!({ "membership": "join" });
        if version >= 9 {
            expected["join_authorised_via_users_server"] = json!(ALICE);
        }
        if version >= 11 {
            expected["third_party_invite"] = json!({ "signed": { "token": "t" } });
        }
        assert_eq!(remains(version, "m.room.member", &content), expected, "version {version}");
    }
}

#[test]
fn create_keeps_everything_from_version_11() {
    let content = json!({ "creator": ALICE, "room_version": "x", "m.federate": false });
    for version in 1..=12 {
        let expected = if version >= 11 { content.clone() } else { json!({ "creator": ALICE }) };
        assert_eq!(remains(version, "m.room.create", &content), expected, "version {version}");
    }
}

#[test]
fn join_rules_keep_allow_from_version_8() {
    let content = json!({ "join_rule": "restricted", "allow": [], "x": 1 });
    for version in 1..=12 {
        let expected = if version >= 8 {
            json!({ "join_rule": "restricted", "allow": [] })
        } else {
            json!({ "join_rule": "restricted" })
        };
        assert_eq!(remains(version, "m.room.join_rules", &content), expected, "version {version}");
    }
}

#[test]
fn power_levels_keep_invite_from_version_11() {
    let kept = json!({
        "ban": 1, "events": {}, "events_default": 2, "kick": 4, "redact": 6, "state_default": 7, "users": { BOB: 8 },
        "users_default": 9,
    });
    let mut content = kept.clone();
    content["invite"] = json!(3);
    content["notifications"] = json!({ "room": 20 });
    for version in 1..=12 {
        let mut expected = kept.clone();
        if version >= 11 {
            expected["invite"] = json!(3);
        }
        assert_eq!(remains(version, "m.room.power_levels", &content), expected, "version {version}");
    }
}

#[test]
fn the_rest_by_version() {
    for version in 1..=12 {
        let keep = |since: bool, value: Json| if since { value } else { json!({}) };
        let visibility = json!({ "history_visibility": "joined", "x": 1 });
        assert_eq!(
            remains(version, "m.room.history_visibility", &visibility),
            json!({ "history_visibility": "joined" })
        );
        let aliases = json!({ "aliases": ["#a:domain"] });
        assert_eq!(remains(version, "m.room.aliases", &aliases), keep(version < 6, aliases.clone()));
        let redaction = json!({ "redacts": "$x", "reason": "r" });
        assert_eq!(remains(version, "m.room.redaction", &redaction), keep(version >= 11, json!({ "redacts": "$x" })));
        assert_eq!(remains(version, "m.room.message", &json!({ "body": "secret", "membership": "join" })), json!({}));
        assert_eq!(remains(version, "m.room.name", &json!({ "name": "secret" })), json!({}));
    }
}

#[test]
fn top_level_keys_by_version() {
    let event = json!({
        "type": "m.x", "room_id": "!r:d", "sender": ALICE, "content": { "a": 1 }, "origin": "d", "membership": "join",
        "prev_state": [], "unsigned": { "age": 1 }, "redacts": "$x", "extra": 1, "depth": 1, "hashes": {}, "signatures": {},
        "prev_events": [], "auth_events": [], "origin_server_ts": 1, "state_key": "", "event_id": "$e",
    });
    for version in 1..=12 {
        let redacted: Json =
            serde_json::from_str(&redact(&event.to_string(), &rules(version).redaction).unwrap()).unwrap();
        for gone in ["unsigned", "redacts", "extra"] {
            assert!(redacted.get(gone).is_none(), "{gone} in version {version}");
        }
        for old in ["origin", "membership", "prev_state"] {
            assert_eq!(redacted.get(old).is_some(), version < 11, "{old} in version {version}");
        }
        assert_eq!(redacted["content"], json!({}));
        assert_eq!(redacted.as_object().unwrap().len(), if version < 11 { 15 } else { 12 });
    }
}
