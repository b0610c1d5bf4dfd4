//! This server's own keys.

use std::sync::Arc;

use ruma::owned_server_name;
use serde_json::Value;

use super::network::{DAY_MS, Fixture, NOW_MS};
use crate::remote::keys::{OwnKeys, document::KeyDocument};

#[tokio::test]
async fn the_key_stays_until_a_new_one_is_ordered() {
    let fixture = Fixture::new();
    let open = || OwnKeys::open(&fixture.store, &fixture.clock, owned_server_name!("school.example"));
    let first = open().await.unwrap();
    assert_eq!(open().await.unwrap().current().key_id(), first.current().key_id());

    OwnKeys::order_rotation(&fixture.store).await.unwrap();
    OwnKeys::order_rotation(&fixture.store).await.unwrap();
    let second = open().await.unwrap();
    assert_ne!(second.current().key_id(), first.current().key_id());
    assert_eq!(second.old.len(), 1);
    assert_eq!(second.old[0].key_id, first.current().key_id());
    assert_eq!(second.old[0].expired_ms, NOW_MS);
    // The order was for one start.
    let third = open().await.unwrap();
    assert_eq!(third.current().key_id(), second.current().key_id());
    assert_eq!(third.old, second.old);
}

#[tokio::test]
async fn the_document_names_old_keys_and_is_signed_once_in_a_while() {
    let mut fixture = Fixture::new();
    let open = || OwnKeys::open(&fixture.store, &fixture.clock, owned_server_name!("school.example"));
    let first = open().await.unwrap();
    OwnKeys::order_rotation(&fixture.store).await.unwrap();
    fixture.own = Arc::new(open().await.unwrap());
    let ring = fixture.restarted();

    let json = ring.own_document().unwrap();
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["old_verify_keys"][first.current().key_id()]["expired_ts"], NOW_MS);
    assert_eq!(value["old_verify_keys"][first.current().key_id()]["key"], first.current().verify_key());
    assert_eq!(value["valid_until_ts"], NOW_MS + DAY_MS);
    // It is what this server would believe of another.
    let read = KeyDocument::read_fresh(&json, ring.server_name(), NOW_MS).unwrap();
    assert_eq!(read.keys.len(), 2);

    assert!(Arc::ptr_eq(&json, &ring.own_document().unwrap()));
    fixture.clock.advance(std::time::Duration::from_hours(7));
    let later: Value = serde_json::from_str(&ring.own_document().unwrap()).unwrap();
    assert_eq!(later["valid_until_ts"], NOW_MS + 31 * 3_600_000);
}
