//! Signatures of events.

use std::{collections::BTreeSet, time::Duration};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedServerName, RoomVersionId, ServerName, UInt, owned_server_name,
    room_version_rules::RoomVersionRules, server_name, signatures::Verified,
};
use serde_json::{Value, json};

use super::network::{DAY_MS, Fixture, NOW_MS, document, key, signed};
use crate::{
    config::ServerPattern,
    event::{Pdu, SigningKey},
    remote::keys::VerifyError,
};

fn a() -> &'static ServerName {
    server_name!("a.example")
}

/// A member event, hashed and signed by ruma, so that nothing of ours checks itself.
#[expect(clippy::needless_pass_by_value, reason = "contents are made for the call")]
pub(super) fn member(rules: &RoomVersionRules, number: u64, at_ms: u64, content: Value, keys: &[&SigningKey]) -> Pdu {
    let sender = format!("@user{number}:{}", keys[0].server_name());
    let event = json!({
        "type": "m.room.member", "state_key": sender, "sender": sender, "room_id": "!room:a.example",
        "content": content, "origin_server_ts": MilliSecondsSinceUnixEpoch(UInt::new_saturating(at_ms)), "depth": 5,
        "prev_events": ["$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        "auth_events": ["$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"],
    });
    let mut object = serde_json::from_value(event).unwrap();
    ruma::signatures::add_content_hash_to_event(&mut object).unwrap();
    for key in keys {
        ruma::signatures::sign_event(key.server_name().as_str(), *key, &mut object, &rules.redaction).unwrap();
    }
    Pdu::parse(&serde_json::to_vec(&object).unwrap(), rules).unwrap()
}

/// The event, changed on its way.
fn changed(pdu: &Pdu, from: &str, to: &str) -> Pdu {
    let mut pdu = pdu.clone();
    pdu.json = pdu.json.replace(from, to).into();
    pdu
}

pub(super) fn joined() -> Value {
    json!({ "membership": "join", "displayname": "Somebody" })
}

fn rules(version: &RoomVersionId) -> RoomVersionRules {
    version.rules().unwrap()
}

#[tokio::test]
async fn signatures_and_hashes_are_checked() {
    let (fixture, rules) = (Fixture::new(), rules(&RoomVersionId::V11));
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let verify = async |pdu: &Pdu| fixture.ring.verify_pdu(pdu, &rules).await;
    let good = member(&rules, 1, NOW_MS, joined(), &[&key(a(), 1)]);
    assert_eq!(verify(&good).await, Ok(Verified::All));

    let change = |from: &str, to: &str| changed(&good, from, to);
    // What a redaction drops is covered by the hash alone, the rest by the signature.
    assert_eq!(verify(&change("Somebody", "Nobody")).await, Ok(Verified::Signatures));
    assert_eq!(verify(&change("\"join\"", "\"ban\"")).await, Err(VerifyError::BadSignature(a().to_owned())));
    assert_eq!(verify(&change("\"signatures\":{\"a.", "\"signatures\":{\"b.")).await, {
        Err(VerifyError::NoSignature(a().to_owned()))
    });
    assert!(matches!(verify(&change("\"hashes\"", "\"hashs\"")).await, Err(VerifyError::Malformed(_))));
    assert!(matches!(verify(&change("\"signatures\"", "\"signed\"")).await, Err(VerifyError::Malformed(_))));
    let forged = member(&rules, 1, NOW_MS, joined(), &[&key(a(), 7)]);
    let refused = verify(&forged).await.unwrap_err();
    assert!(refused == VerifyError::UnknownKey(a().to_owned()) && refused.is_temporary());
}

#[tokio::test]
async fn own_events_verify_with_the_key_of_their_time() {
    let (fixture, rules) = (Fixture::new(), rules(&RoomVersionId::V12));
    let own = key(server_name!("school.example"), 200);
    let pdu = member(&rules, 1, NOW_MS, joined(), &[&own]);
    assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, Ok(Verified::All));
    assert_eq!(fixture.network.times_asked(), 0);
}

#[tokio::test]
async fn keys_that_an_event_needs_are_stored_though_a_stranger_asked_for_them_first() {
    let (fixture, rules) = (Fixture::new(), rules(&RoomVersionId::V11));
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    assert_eq!(fixture.ring.notarise(vec![(a().to_owned(), NOW_MS)]).await.unwrap().len(), 1);
    let pdu = member(&rules, 1, NOW_MS, joined(), &[&key(a(), 1)]);
    assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, Ok(Verified::All));
    fixture.accept_of(a()).await;
    fixture.network.silence(a());
    let restarted = fixture.restarted();
    assert_eq!(restarted.verify_pdu(&pdu, &rules).await, Ok(Verified::All));
    assert_eq!(restarted.notarise(vec![(a().to_owned(), NOW_MS)]).await.unwrap().len(), 1);
    assert_eq!(fixture.network.times_asked(), 1);
}

#[tokio::test]
async fn the_keys_of_an_event_have_to_be_valid_at_its_time() {
    let fixture = Fixture::new();
    let (new, old) = (key(a(), 1), key(a(), 2));
    fixture.network.publish(a(), document(&[&new], &[(&old, NOW_MS - DAY_MS)], NOW_MS + DAY_MS));
    for (version, key, at_ms, valid) in [
        (RoomVersionId::V11, &new, NOW_MS, true),
        (RoomVersionId::V11, &new, NOW_MS + DAY_MS, true),
        (RoomVersionId::V11, &new, NOW_MS + DAY_MS + 1, false),
        (RoomVersionId::V11, &old, NOW_MS - DAY_MS, true),
        (RoomVersionId::V11, &old, NOW_MS - DAY_MS + 1, false),
        (RoomVersionId::V5, &old, NOW_MS, false),
        (RoomVersionId::V4, &old, NOW_MS, true),
        (RoomVersionId::V4, &new, NOW_MS + 30 * DAY_MS, true),
    ] {
        let rules = rules(&version);
        let verified = fixture.ring.verify_pdu(&member(&rules, 1, at_ms, joined(), &[key]), &rules).await;
        let expected = if valid { Ok(Verified::All) } else { Err(VerifyError::KeyNotValid(a().to_owned())) };
        assert_eq!(verified, expected, "version {version}, {at_ms}");
    }
}

#[tokio::test]
async fn whoever_vouches_for_a_join_must_have_signed_it() {
    let fixture = Fixture::new();
    let b = server_name!("b.example");
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    fixture.network.publish(b, document(&[&key(b, 1)], &[], NOW_MS + DAY_MS));
    let content = json!({ "membership": "join", "join_authorised_via_users_server": "@head:b.example" });
    for (version, keys, expected) in [
        (RoomVersionId::V11, vec![key(a(), 1)], Err(VerifyError::NoSignature(b.to_owned()))),
        (RoomVersionId::V11, vec![key(a(), 1), key(b, 1)], Ok(Verified::All)),
        (RoomVersionId::V11, vec![key(a(), 1), key(b, 2)], Err(VerifyError::UnknownKey(b.to_owned()))),
        (RoomVersionId::V7, vec![key(a(), 1)], Ok(Verified::All)),
    ] {
        let rules = rules(&version);
        let pdu = member(&rules, 1, NOW_MS, content.clone(), &keys.iter().collect::<Vec<_>>());
        assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, expected, "version {version}");
    }
}

#[tokio::test]
async fn an_invite_by_third_party_id_needs_no_signature_of_its_sender() {
    let (fixture, rules) = (Fixture::new(), rules(&RoomVersionId::V11));
    let content = json!({ "membership": "invite", "third_party_invite": { "signed": {} } });
    let pdu = member(&rules, 1, NOW_MS, content, &[&key(a(), 1)]);
    assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, Ok(Verified::All));
    assert_eq!(fixture.network.times_asked(), 0);
}

/// Otherwise anybody could invite in the name of anybody: the rules take both for invitations of their sender.
#[tokio::test]
async fn what_the_rules_take_for_a_plain_invite_needs_the_signature_of_its_sender() {
    let fixture = Fixture::new();
    let unsigned = Err(VerifyError::NoSignature(a().to_owned()));
    for version in [RoomVersionId::V3, RoomVersionId::V6, RoomVersionId::V10, RoomVersionId::V11, RoomVersionId::V12] {
        let rules = rules(&version);
        let without = |content: Value| {
            let mut pdu = member(&rules, 1, NOW_MS, content, &[&key(a(), 1)]);
            let mut event: Value = serde_json::from_str(&pdu.json).unwrap();
            event["signatures"] = json!({});
            pdu.json = event.to_string().into();
            pdu
        };
        for nothing in [json!(null), json!(true), json!("signed"), json!([])] {
            let pdu = without(json!({ "membership": "invite", "third_party_invite": nothing }));
            assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, unsigned, "version {version}, {nothing}");
        }
        // A redaction, which a wrong hash brings, leaves the invite by third-party id from version 11 on only.
        let pdu =
            without(json!({ "membership": "invite", "displayname": "A", "third_party_invite": { "signed": {} } }));
        assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, Ok(Verified::All), "version {version}");
        let kept = rules.redaction.keep_room_member_third_party_invite_signed;
        let expected = if kept { Ok(Verified::Signatures) } else { unsigned.clone() };
        let pdu = changed(&pdu, "\"A\"", "\"B\"");
        assert_eq!(fixture.ring.verify_pdu(&pdu, &rules).await, expected, "version {version}");
    }
}

/// Every event of a batch is what it is alone, whatever stands beside it; each server is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_keeps_its_order_and_asks_each_server_once() {
    let (fixture, rules) = (Fixture::new(), rules(&RoomVersionId::V11));
    let servers: Vec<OwnedServerName> = (0..30).map(|n| format!("s{n}.example").parse().unwrap()).collect();
    let dead: BTreeSet<_> = [owned_server_name!("s7.example"), owned_server_name!("s8.example")].into();
    for server in servers.iter().filter(|server| !dead.contains(*server)) {
        fixture.network.publish(server, document(&[&key(server, 1)], &[], NOW_MS + DAY_MS));
    }
    let pdus: Vec<Pdu> = (0..600)
        .zip(servers.iter().cycle())
        .map(|(n, server)| {
            let pdu = member(&rules, n, NOW_MS, joined(), &[&key(server, 1)]);
            if n % 100 == 3 { changed(&pdu, "Somebody", "Nobody") } else { pdu }
        })
        .collect();
    let verified = fixture.ring.verify_pdus(&pdus, &rules).await;
    assert_eq!(verified.len(), pdus.len());
    for (n, verified) in verified.into_iter().enumerate() {
        let server = &servers[n % 30];
        let expected = match () {
            () if dead.contains(server) => Err(VerifyError::UnknownKey(server.clone())),
            () if n % 100 == 3 => Ok(Verified::Signatures),
            () => Ok(Verified::All),
        };
        assert_eq!(verified, expected, "event {n}");
    }
    assert_eq!(fixture.network.times_asked(), servers.len());
}

/// A neighbour's room has people of servers that this one does not talk to: these are not asked, nor are they missing.
#[tokio::test]
async fn keys_of_servers_that_are_not_talked_to_come_from_a_trusted_notary() {
    let notary_name = server_name!("notary.example");
    let fixture = Fixture::with(|config| {
        config.federation.allow = vec![ServerPattern::parse("notary.example").unwrap()];
        config.federation.trusted_key_servers = vec![notary_name.to_owned()];
    });
    let (notary, rules) = (key(notary_name, 5), rules(&RoomVersionId::V11));
    fixture.network.publish(notary_name, document(&[&notary], &[], NOW_MS + DAY_MS));
    let keys = document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS);
    fixture.network.publish(a(), keys.clone());
    let event = member(&rules, 1, NOW_MS, joined(), &[&key(a(), 1)]);
    // The server itself would answer.
    assert_eq!(fixture.ring.verify_pdu(&event, &rules).await, Err(VerifyError::UnknownKey(a().to_owned())));
    fixture.clock.advance(Duration::from_mins(1));
    fixture.network.notary(notary_name, vec![signed(&keys, &notary)]);
    assert_eq!(fixture.ring.verify_pdu(&event, &rules).await, Ok(Verified::All));
    // Who merely says that they are somebody makes this server ask nobody.
    let (asked, b) = (fixture.network.times_asked(), server_name!("b.example"));
    let greeting = signed("{}", &key(b, 1));
    assert_eq!(fixture.ring.verify_json(greeting.as_bytes(), b).await, Err(VerifyError::UnknownKey(b.to_owned())));
    assert_eq!(fixture.network.times_asked(), asked);
}
