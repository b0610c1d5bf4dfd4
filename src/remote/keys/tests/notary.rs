//! This server as a notary, and notaries that it trusts.

use std::time::Duration;

use ruma::{ServerName, owned_server_name, server_name};
use serde_json::Value;

use super::network::{DAY_MS, Fixture, NOW_MS, document, key, signed};
use crate::{
    config::ServerPattern,
    event::SigningKey,
    remote::keys::{NOTARY_SERVERS_MAX, VerifyError, document::KeyDocument},
};

fn a() -> &'static ServerName {
    server_name!("a.example")
}

fn notary_name() -> &'static ServerName {
    server_name!("notary.example")
}

#[tokio::test]
async fn documents_are_signed_again_and_stale_ones_served_while_the_server_is_down() {
    let fixture = Fixture::new();
    fixture.network.publish(a(), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let ask = async |minimum: u64| fixture.ring.notarise(vec![(a().to_owned(), minimum)]).await.unwrap();
    let answers = ask(NOW_MS).await;
    let value: Value = serde_json::from_str(&answers[0]).unwrap();
    assert!(value["signatures"]["a.example"]["ed25519:k1"].is_string());
    assert!(value["signatures"]["school.example"]["ed25519:k200"].is_string());
    KeyDocument::read_fresh(&answers[0], a(), NOW_MS).unwrap();
    fixture.ring.verify_json(answers[0].as_bytes(), a()).await.unwrap();
    fixture.ring.verify_json(answers[0].as_bytes(), server_name!("school.example")).await.unwrap();
    // What is asked for again is answered from memory, and more validity than there is asks the server.
    ask(NOW_MS + 1000).await;
    assert_eq!(fixture.network.times_asked(), 1);
    fixture.network.silence(a());
    fixture.clock.advance(Duration::from_mins(2));
    assert_eq!(ask(NOW_MS + 2 * DAY_MS).await, answers);
    assert_eq!(fixture.network.times_asked(), 2);
}

#[tokio::test]
async fn unknown_and_forbidden_servers_are_left_out_and_questions_bounded() {
    let fixture = Fixture::with(|config| config.federation.allow = vec![ServerPattern::parse("a.example").unwrap()]);
    fixture.network.publish(server_name!("b.example"), document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS));
    let asked = vec![(a().to_owned(), NOW_MS), (owned_server_name!("b.example"), NOW_MS)];
    assert!(fixture.ring.notarise(asked).await.unwrap().is_empty());
    assert_eq!(fixture.network.times_asked(), 1);
    let own = vec![(owned_server_name!("school.example"), NOW_MS); NOTARY_SERVERS_MAX + 50];
    assert_eq!(fixture.ring.notarise(own).await.unwrap().len(), NOTARY_SERVERS_MAX);
}

#[tokio::test]
async fn a_notary_signs_nothing_but_key_documents() {
    let fixture = Fixture::new();
    let document = document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS);
    let mut value: Value = serde_json::from_str(&document).unwrap();
    value.as_object_mut().unwrap().remove("signatures");
    value["sender"] = "@head:school.example".into();
    fixture.network.publish(a(), signed(&value.to_string(), &key(a(), 1)));
    assert!(fixture.ring.notarise(vec![(a().to_owned(), NOW_MS)]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_trusted_notary_answers_for_a_dead_server() {
    let fixture = Fixture::with(|config| config.federation.trusted_key_servers = vec![notary_name().to_owned()]);
    let (notary, stranger) = (key(notary_name(), 5), key(notary_name(), 6));
    fixture.network.publish(notary_name(), document(&[&notary], &[], NOW_MS + DAY_MS));
    let document = document(&[&key(a(), 1)], &[], NOW_MS + DAY_MS);
    let greeting = signed("{}", &key(a(), 1));
    // Not signed by the notary, or by a key it does not have.
    for answer in [document.clone(), signed(&document, &stranger)] {
        fixture.network.notary(notary_name(), vec![answer]);
        let refused = fixture.ring.verify_json(greeting.as_bytes(), a()).await;
        assert_eq!(refused, Err(VerifyError::UnknownKey(a().to_owned())));
        fixture.clock.advance(Duration::from_mins(1));
    }
    fixture.network.notary(notary_name(), vec![signed(&document, &notary)]);
    fixture.ring.verify_json(greeting.as_bytes(), a()).await.unwrap();
}

/// Neither a lie nor chance: what a notary has may be old.
#[tokio::test]
async fn an_old_document_of_a_notary_brings_no_key_back() {
    let fixture = Fixture::with(|config| config.federation.trusted_key_servers = vec![notary_name().to_owned()]);
    let (notary, stolen, new, first) = (key(notary_name(), 5), key(a(), 1), key(a(), 2), key(a(), 3));
    fixture.network.publish(notary_name(), document(&[&notary], &[], NOW_MS + 7 * DAY_MS));
    let before = document(&[&stolen], &[(&first, NOW_MS - DAY_MS)], NOW_MS + 2 * DAY_MS);
    fixture.network.publish(a(), document(&[&new], &[(&stolen, NOW_MS)], NOW_MS + 3 * DAY_MS));
    let greets = async |key: &SigningKey| fixture.ring.verify_json(signed("{}", key).as_bytes(), a()).await;
    greets(&new).await.unwrap();
    fixture.network.silence(a());
    fixture.network.notary(notary_name(), vec![signed(&before, &notary)]);
    fixture.clock.advance(Duration::from_mins(2));
    for key in [&stolen, &first] {
        assert_eq!(greets(key).await, Err(VerifyError::KeyNotValid(a().to_owned())));
    }
    greets(&new).await.unwrap();
    assert_eq!(greets(&stolen).await, Err(VerifyError::KeyNotValid(a().to_owned())));
}
