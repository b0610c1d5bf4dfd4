//! When documents are fetched, and when they are not.

use std::{collections::HashSet, time::Duration};

use ruma::{OwnedServerName, RoomVersionId, ServerName, server_name, signatures::Verified};

use super::{
    events::{joined, member},
    network::{DAY_MS, Fixture, NOW_MS, document, key, signed},
};
use crate::{
    config::ServerPattern,
    remote::keys::{VerifyError, fetch::Asker, ring::STRANGERS_MAX},
    store::{
        Batch, Order,
        schema::federation::{KEY_DOCUMENTS, SERVER_KEYS},
    },
};

const ASCENDING: Order = Order::Ascending;

fn a() -> &'static ServerName {
    server_name!("a.example")
}

fn greeting(number: u8) -> String {
    signed(r#"{"hello":"school"}"#, &key(a(), number))
}

#[tokio::test]
async fn a_key_is_fetched_once_and_kept_over_a_restart() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    fixture.ring.fetch_all(HashSet::from([a().to_owned()])).await;
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    fixture.accept_of(a()).await;
    fixture.restarted().verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    assert_eq!(fixture.network.times_asked(), 1);
}

/// Strangers can invent servers without end, documents of some size for each, and events that are signed as they should be.
#[tokio::test]
async fn what_only_strangers_name_is_not_stored() {
    let fixture = Fixture::new();
    let rules = RoomVersionId::V11.rules().unwrap();
    for n in 0..20 {
        let name: OwnedServerName = format!("s{n}.example").parse().unwrap();
        fixture.network.publish(&name, document(&[&key(&name, 1)], &[], fixture.clock.now_ms() + DAY_MS));
        // Twice: what was asked for once more is not more of our business.
        for _ in 0..2 {
            match n % 3 {
                0 => assert_eq!(fixture.ring.notarise(vec![(name.clone(), NOW_MS)]).await.unwrap().len(), 1),
                1 => fixture.ring.verify_json(signed("{}", &key(&name, 1)).as_bytes(), &name).await.unwrap(),
                _ => {
                    let event = member(&rules, n, fixture.clock.now_ms(), joined(), &[&key(&name, 1)]);
                    assert_eq!(fixture.ring.verify_pdu(&event, &rules).await, Ok(Verified::All));
                }
            }
            fixture.clock.advance(Duration::from_hours(13));
            fixture.network.publish(&name, document(&[&key(&name, 1)], &[], fixture.clock.now_ms() + DAY_MS));
        }
        fixture.ring.fetch(&name, Asker::Stranger).await;
    }
    let (first, last) = ((String::new(), String::new()), ("t".to_owned(), String::new()));
    assert_eq!(fixture.store.range(&SERVER_KEYS, &first, &last, ASCENDING, 100).await.unwrap(), []);
    assert_eq!(fixture.store.range(&KEY_DOCUMENTS, &first.0, &last.0, ASCENDING, 100).await.unwrap(), []);
}

#[tokio::test]
async fn keys_are_stored_with_an_event_that_was_accepted() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    fixture.accept_of(a()).await;
    let stored = async || fixture.store.get(&KEY_DOCUMENTS, &a().to_string()).await.unwrap().unwrap();
    let first = stored().await;
    let mut again = Batch::new();
    fixture.ring.keep_with(a(), &mut again);
    assert!(again.is_empty(), "they are in the store");
    // What is fetched later follows by itself.
    fixture.clock.advance(Duration::from_hours(30));
    fixture.network.publish(a(), document(&[&key(a(), 2)], &[], fixture.clock.now_ms() + DAY_MS));
    fixture.ring.verify_json(greeting(2).as_bytes(), a()).await.unwrap();
    assert_ne!(stored().await, first);
}

#[tokio::test]
async fn what_is_signed_wrongly_by_another_or_not_at_all_is_refused() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let verify = async |text: String| fixture.ring.verify_json(text.as_bytes(), a()).await;
    let changed = greeting(1).replace("school", "scholar");
    assert_eq!(verify(changed).await, Err(VerifyError::BadSignature(a().to_owned())));
    assert_eq!(verify("{}".to_owned()).await, Err(VerifyError::NoSignature(a().to_owned())));
    let other = signed("{}", &key(server_name!("b.example"), 1));
    assert_eq!(verify(other).await, Err(VerifyError::NoSignature(a().to_owned())));
    assert!(matches!(verify("{".to_owned()).await, Err(VerifyError::Malformed(_))));
}

#[tokio::test]
async fn strangers_cannot_make_this_server_ask_without_end() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    // A server that answers, but never with the key that is wanted.
    for _ in 0..10 {
        let refused = fixture.ring.verify_json(greeting(9).as_bytes(), a()).await;
        assert_eq!(refused, Err(VerifyError::UnknownKey(a().to_owned())));
    }
    assert_eq!(fixture.network.times_asked(), 1);
    fixture.clock.advance(Duration::from_secs(61));
    fixture.network.publish(a(), document(&[&key(a(), 9)], &[], NOW_MS + DAY_MS));
    fixture.ring.verify_json(greeting(9).as_bytes(), a()).await.unwrap();
    assert_eq!(fixture.network.times_asked(), 2);
}

#[tokio::test]
async fn a_dead_server_is_asked_less_and_less_often() {
    let fixture = Fixture::new();
    let mut asked_at = Vec::new();
    for second in 0..200_u64 {
        let before = fixture.network.times_asked();
        fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap_err();
        if fixture.network.times_asked() > before {
            asked_at.push(second);
        }
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(asked_at, [0, 5, 15, 35, 75, 155]);
}

#[tokio::test]
async fn many_who_wait_for_one_server_make_one_fetch() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let closed = fixture.network.gate.write().await;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let ring = fixture.ring.clone();
            tokio::spawn(async move { ring.verify_json(greeting(1).as_bytes(), a()).await })
        })
        .collect();
    while fixture.network.times_asked() == 0 {
        tokio::task::yield_now().await;
    }
    drop(closed);
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    assert_eq!(fixture.network.times_asked(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_talked_to_is_not_asked() {
    let fixture = Fixture::with(|config| config.federation.allow = vec![ServerPattern::parse("b.example").unwrap()]);
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let refused = fixture.ring.verify_json(greeting(1).as_bytes(), a()).await;
    assert_eq!(refused, Err(VerifyError::UnknownKey(a().to_owned())));
    assert_eq!(fixture.network.times_asked(), 0);
}

#[tokio::test]
async fn a_key_out_of_use_signs_no_requests() {
    let fixture = Fixture::new();
    let (new, old) = (key(a(), 1), key(a(), 2));
    fixture.network.publish(a(), document(&[&new], &[(&old, NOW_MS - 1)], NOW_MS + DAY_MS));
    let refused = fixture.ring.verify_json(greeting(2).as_bytes(), a()).await;
    assert_eq!(refused, Err(VerifyError::KeyNotValid(a().to_owned())));
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    // After its time the document is fetched anew; while the server is down, nothing it signs is believed.
    fixture.network.silence(a());
    fixture.clock.advance(Duration::from_hours(25));
    let refused = fixture.ring.verify_json(greeting(1).as_bytes(), a()).await;
    assert_eq!(refused, Err(VerifyError::KeyNotValid(a().to_owned())));
}

#[tokio::test]
async fn keys_are_refreshed_before_they_end() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    fixture.clock.advance(Duration::from_hours(13));
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + 3 * DAY_MS));
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    // The fetch beside the request ends before one that joins it.
    fixture.ring.fetch(a(), Asker::Ourselves).await;
    assert_eq!(fixture.network.times_asked(), 2);
    fixture.network.silence(a());
    fixture.clock.advance(Duration::from_hours(20));
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
}

#[tokio::test]
async fn strangers_who_name_servers_that_stall_keep_nobody_else_from_keys() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let slow = |n: u8| -> OwnedServerName { format!("slow{n}.example").parse().unwrap() };
    (0..100).for_each(|n| fixture.network.stall(&slow(n)));
    // Half of them are asked of the notary, the others are said to have signed something.
    for n in 0..100 {
        let (ring, name) = (fixture.ring.clone(), slow(n));
        tokio::spawn(async move {
            if n % 2 == 0 {
                drop(ring.notarise(vec![(name, NOW_MS)]).await);
            } else {
                drop(ring.verify_json(signed("{}", &key(&name, 1)).as_bytes(), &name).await);
            }
        });
    }
    while fixture.network.times_asked() < STRANGERS_MAX {
        tokio::task::yield_now().await;
    }
    let ring = fixture.ring.clone();
    let waiting = tokio::spawn(async move { ring.notarise(vec![(a().to_owned(), NOW_MS)]).await });
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.network.times_asked(), STRANGERS_MAX);
    let fetching = fixture.ring.fetch_all(HashSet::from([a().to_owned()]));
    tokio::time::timeout(Duration::from_secs(20), fetching).await.unwrap();
    fixture.ring.verify_json(greeting(1).as_bytes(), a()).await.unwrap();
    assert_eq!(fixture.network.times_asked(), STRANGERS_MAX + 1);
    // When it is its turn, what is wanted is there already.
    while !waiting.is_finished() {
        fixture.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
}
