//! Who may take part according to `m.room.server_acl`, and the readers for third-party invites.

use proptest::prelude::*;
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value as Json, json};

use super::BOB;
use crate::event::content::{ServerAcl, SignedInvite, ThirdPartyInvite};

fn acl(content: &Json) -> ServerAcl {
    ServerAcl::read(&serde_json::value::to_raw_value(content).unwrap())
}

fn server(name: &str) -> OwnedServerName {
    ServerName::parse(name).unwrap()
}

#[test]
fn deny_goes_before_allow() {
    let acl = acl(&json!({ "allow": ["*.example", "school.test"], "deny": ["*.evil.example", "evil?.example"] }));
    for (name, allowed) in [
        ("a.example", true),
        ("A.EXAMPLE", true),
        ("a.example:8448", true),
        ("school.test", true),
        ("school.tests", false),
        ("xschool.test", false),
        ("example", false),
        (".example", true),
        ("x.evil.example", false),
        ("x.Evil.example:1", false),
        ("evil.example", true),
        ("evil1.example", false),
        ("evil12.example", true),
        ("1.2.3.4", false),
    ] {
        let Ok(name) = ServerName::parse(name) else { continue };
        assert_eq!(acl.allows(&name), allowed, "{name}");
    }
}

#[test]
fn ip_literals_are_denied_where_the_room_says_so() {
    for (flag, allowed) in [(json!(false), false), (json!(true), true), (json!("false"), true), (json!(null), true)] {
        let acl = acl(&json!({ "allow": ["*"], "allow_ip_literals": flag }));
        for name in ["1.2.3.4", "1.2.3.4:8448", "[2001:db8::1]", "[2001:db8::1]:8448"] {
            assert_eq!(acl.allows(&server(name)), allowed, "{name} {flag}");
        }
        assert!(acl.allows(&server("a.example")));
    }
}

#[test]
fn without_an_allow_list_nobody_takes_part() {
    for content in [json!({}), json!({ "allow": "*" }), json!({ "allow": [1, null, ["*"]] }), json!(null)] {
        assert!(!acl(&content).allows(&server("a.example")), "{content}");
    }
    let damaged = acl(&json!({ "allow": [1, "*"], "deny": [{}, "evil.example"] }));
    assert!(damaged.allows(&server("a.example")) && !damaged.allows(&server("evil.example")));
}

/// The longest content that an event can have, made of what slows matchers down.
#[test]
fn huge_or_globbed_server_acls_cost_little() {
    let name = server(&format!("{}.example", "a".repeat(240)));
    let tricky = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
    let contents = [
        json!({ "allow": ["*"], "deny": vec![tricky; 65_000 / 64] }),
        json!({ "allow": ["*"], "deny": ["*?".repeat(32_000)] }),
        json!({ "allow": ["*"], "deny": [format!("{}b", "*a".repeat(32_000))] }),
        json!({ "allow": ["*"], "deny": vec!["*?b"; 10_000] }),
        json!({ "allow": ["*"], "deny": vec![format!("*{}b", "a".repeat(200)); 300] }),
        json!({ "deny": ["x"], "allow": vec!["*"; 16_000] }),
    ];
    let started = std::time::Instant::now();
    for content in &contents {
        let acl = acl(content);
        for _ in 0..10 {
            assert!(acl.allows(&name));
        }
    }
    // About 50 ms in a test build. A matcher that goes back would need hours for one of them.
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}

/// The plain definition of a pattern, good enough for short ones.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], name) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        ([b'?', pattern @ ..], [_, name @ ..]) => matches(pattern, name),
        ([wanted, pattern @ ..], [found, name @ ..]) => wanted.eq_ignore_ascii_case(found) && matches(pattern, name),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patterns_mean_what_they_say(pattern in "[ab*?.A]{0,8}", name in "[abAB]{1,3}(\\.[ab]{1,4}){0,2}", tail in 0_usize..3) {
        let name = format!("{name}{}", ["", ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.a", ".b"][tail]);
        let acl = acl(&json!({ "allow": [pattern] }));
        prop_assert_eq!(acl.allows(&server(&name)), matches(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn any_content_is_read(content in any::<String>(), allow in prop::collection::vec(any::<String>(), 0..4)) {
        let name = server("a.example");
        acl(&json!(content)).allows(&name);
        acl(&json!({ "allow": allow, "deny": [content] })).allows(&name);
    }
}

#[test]
fn third_party_invites_are_bounded() {
    let read = |content: Json| ThirdPartyInvite::read(&serde_json::value::to_raw_value(&content).unwrap());
    let key = |name: &str| json!({ "public_key": name, "key_validity_url": "https://id.example/valid" });
    let invite = read(json!({
        "display_name": "b...@example", "public_key": "one", "key_validity_url": "https://id.example/valid",
        "public_keys": [key("two"), 5, { "public_key": "three" }, { "key_validity_url": "x" }],
    }));
    let names: Vec<&str> = invite.public_keys.iter().map(|key| &*key.public_key).collect();
    assert_eq!(
        (names.as_slice(), invite.display_name.as_deref()),
        (&["one", "two", "three"][..], Some("b...@example"))
    );
    assert_eq!(invite.public_keys[1].key_validity_url.as_deref(), Some("https://id.example/valid"));
    assert!(invite.public_keys[2].key_validity_url.is_none());
    assert_eq!(read(json!({})), ThirdPartyInvite::default());
    let huge = read(json!({ "display_name": "x".repeat(2_000), "public_keys": vec![key("k"); 1_000] }));
    assert_eq!((huge.public_keys.len(), huge.display_name), (10, None));
}

#[test]
fn unbounded_third_party_id_strings_read_as_none() {
    let read = |content: Json| SignedInvite::read(&serde_json::value::to_raw_value(&content).unwrap());
    let good = json!({ "third_party_invite": { "display_name": "b", "signed": { "mxid": BOB, "token": "t", "signatures": {} } } });
    let invite = read(good.clone()).unwrap();
    assert_eq!((invite.mxid.as_str(), &*invite.token), (BOB, "t"));
    assert!(invite.signed.get().contains("signatures"));
    for (key, value) in [("mxid", json!("bob")), ("token", json!("t".repeat(256))), ("token", json!(1))] {
        let mut bad = good.clone();
        bad["third_party_invite"]["signed"][key] = value;
        assert!(read(bad).is_none());
    }
    assert!(read(json!({ "third_party_invite": [] })).is_none());
    assert!(read(json!({})).is_none());
}
