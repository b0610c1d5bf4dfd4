//! Well-known documents, SRV records, ports.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::Uri, routing::get};
use serde_json::json;

use super::peer::{Asker, Authority, FakeDns, b};
use crate::{
    clock::Clock,
    ids::Ids,
    remote::{
        RemoteError, Terms, Unreachable,
        discovery::{Target, targets},
        dns::{Names, Service},
    },
};

const DOCUMENT: &str = "/.well-known/matrix/server";

fn ask() -> http::Request<Vec<u8>> {
    http::Request::get("/who").body(Vec::new()).unwrap()
}

/// A server that says who it is.
fn named(name: &'static str) -> Router {
    Router::new().route("/who", get(move || async move { name }))
}

async fn who(asker: &Asker) -> String {
    let answer = asker.client.send_raw(&b(), ask(), Terms::anyway()).await.unwrap();
    String::from_utf8(answer.body().to_vec()).unwrap()
}

/// Documents that delegate to `name`, and how often they were asked for.
fn delegating(name: String) -> (Router, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let document = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let text = json!({ "m.server": name }).to_string();
        async move { text }
    };
    (named("itself").route(DOCUMENT, get(document)), asked)
}

#[tokio::test]
async fn a_server_delegates_by_its_well_known_document() {
    let authority = Authority::new();
    let delegate = authority.serve(&["m.b.example"], named("delegate")).await;
    let (router, asked) = delegating(format!("m.b.example:{delegate}"));
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example", "m.b.example"]), port);
    for _ in 0..3 {
        assert_eq!(who(&asker).await, "delegate");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the document is kept");
    asker.clock.advance(Duration::from_hours(24));
    assert_eq!(who(&asker).await, "delegate");
    assert_eq!(asked.load(Ordering::Relaxed), 2, "not for longer than a day");
}

#[tokio::test]
async fn one_document_is_fetched_for_many_requests() {
    let authority = Authority::new();
    let delegate = authority.serve(&["m.b.example"], named("delegate")).await;
    let (router, asked) = delegating(format!("m.b.example:{delegate}"));
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example", "m.b.example"]), port);
    tokio::join!(who(&asker), who(&asker), who(&asker));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_delegate_must_show_a_certificate_for_its_own_name() {
    let authority = Authority::new();
    let delegate = authority.serve(&["b.example"], named("delegate")).await;
    let (router, _) = delegating(format!("m.b.example:{delegate}"));
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example", "m.b.example"]), port);
    let error = asker.client.send_raw(&b(), ask(), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Tls, .. }), "{error}");
}

#[tokio::test]
async fn a_document_that_makes_no_sense_counts_as_none() {
    for text in ["", "{}", r#"{"m.server": ""}"#, r#"{"m.server": "a/b"}"#, "<html>"] {
        let authority = Authority::new();
        let router = named("itself").route(DOCUMENT, get(move || async move { text }));
        let port = authority.serve(&["b.example"], router).await;
        let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
        assert_eq!(who(&asker).await, "itself", "{text}");
    }
}

#[tokio::test]
async fn a_document_of_great_length_counts_as_none() {
    let authority = Authority::new();
    let long = || async { format!("{}{}", json!({ "m.server": "m.b.example" }), " ".repeat(50 * 1024)) };
    let port = authority.serve(&["b.example"], named("itself").route(DOCUMENT, get(long))).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    assert_eq!(who(&asker).await, "itself");
}

#[tokio::test]
async fn a_document_may_be_redirected_five_times() {
    for (hops, expected) in [(5, "delegate"), (6, "itself")] {
        let authority = Authority::new();
        let delegate = authority.serve(&["m.b.example"], named("delegate")).await;
        let step = move |uri: Uri| async move {
            let at: usize = uri.query().and_then(|query| query.parse().ok()).unwrap_or(0);
            if at == hops {
                Ok(json!({ "m.server": format!("m.b.example:{delegate}") }).to_string())
            } else {
                Err((axum::http::StatusCode::FOUND, [("location", format!("{DOCUMENT}?{}", at + 1))]))
            }
        };
        let port = authority.serve(&["b.example"], named("itself").route(DOCUMENT, get(step))).await;
        let asker = Asker::new(&authority, FakeDns::here(&["b.example", "m.b.example"]), port);
        assert_eq!(who(&asker).await, expected, "{hops} hops");
    }
}

fn service(priority: u16, port: u16, target: &str) -> Vec<Service> {
    vec![Service { priority, weight: 0, port, target: target.to_owned() }]
}

#[tokio::test]
async fn srv_records_say_host_and_port_and_the_certificate_is_the_names() {
    let authority = Authority::new();
    let (new, old) =
        (authority.serve(&["b.example"], named("new")).await, authority.serve(&["b.example"], named("old")).await);
    let dns = FakeDns::here(&["host.example"]);
    dns.services.lock().insert("_matrix._tcp.b.example".to_owned(), service(1, old, "host.example"));
    assert_eq!(who(&Asker::new(&authority, dns.clone(), 1)).await, "old");
    dns.services.lock().insert("_matrix-fed._tcp.b.example".to_owned(), service(1, new, "host.example"));
    assert_eq!(who(&Asker::new(&authority, dns.clone(), 1)).await, "new", "the old record is looked at last");
    // The host's own name is not what the certificate has to say.
    let other = authority.serve(&["host.example"], named("other")).await;
    dns.services.lock().insert("_matrix-fed._tcp.b.example".to_owned(), service(1, other, "host.example"));
    let asker = Asker::new(&authority, dns, 1);
    let error = asker.client.send_raw(&b(), ask(), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Tls, .. }), "{error}");
}

#[tokio::test]
async fn srv_records_of_a_delegate_are_followed() {
    let authority = Authority::new();
    let delegate = authority.serve(&["m.b.example"], named("delegate")).await;
    let (router, _) = delegating("m.b.example".to_owned());
    let port = authority.serve(&["b.example"], router).await;
    let dns = FakeDns::here(&["b.example", "host.example"]);
    dns.services.lock().insert("_matrix-fed._tcp.m.b.example".to_owned(), service(1, delegate, "host.example"));
    assert_eq!(who(&Asker::new(&authority, dns, port)).await, "delegate");
}

#[tokio::test]
async fn the_next_host_is_tried_where_the_first_does_not_answer() {
    let authority = Authority::new();
    let living = authority.serve(&["b.example"], named("living")).await;
    let dns = FakeDns::here(&["host.example"]);
    let mut services = service(2, living, "host.example");
    services.extend(service(1, 1, "host.example"));
    services.extend(service(0, 1, "missing.example"));
    dns.services.lock().insert("_matrix-fed._tcp.b.example".to_owned(), services);
    assert_eq!(who(&Asker::new(&authority, dns, 1)).await, "living");
}

#[tokio::test]
async fn names_of_a_local_network_have_no_srv_records() {
    let dns = FakeDns::here(&["hs1"]);
    dns.services.lock().insert("_matrix-fed._tcp.hs1".to_owned(), service(1, 7, "host.example"));
    let found = targets(&Names::new(dns.clone(), Clock::test(0)), "hs1", 8448, &Ids::seeded(1)).await;
    assert_eq!(found, [Target { host: "hs1".to_owned(), port: 8448 }]);
    assert_eq!(dns.asked("_matrix-fed._tcp.hs1"), 0);
}

#[tokio::test]
async fn names_that_do_not_exist_are_remembered_for_a_minute() {
    let authority = Authority::new();
    let asker = Asker::new(&authority, FakeDns::here(&[]), 1);
    let ask = async || asker.client.send_raw(&b(), ask(), Terms::anyway()).await.unwrap_err();
    for _ in 0..3 {
        let error = ask().await;
        assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{error}");
    }
    let names = ["b.example", "_matrix-fed._tcp.b.example", "_matrix._tcp.b.example"];
    assert_eq!(names.map(|name| asker.dns.asked(name)), [1, 1, 1]);
    asker.clock.advance(Duration::from_mins(1));
    ask().await;
    assert_eq!(names.map(|name| asker.dns.asked(name)), [2, 2, 2]);
}
