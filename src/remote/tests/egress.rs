//! No name, redirect or change of mind leads to an address of a private network.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::any};
use ruma::OwnedServerName;
use tokio::net::TcpListener;

use super::peer::{Asker, Authority, FakeDns, HERE, INSIDE_NAMES, b};
use crate::remote::{RemoteError, Terms, Unreachable};

/// An address of this machine that is not exempt.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const SECOND: Duration = Duration::from_secs(1);

/// A server inside that must not be reached, and how often it was.
async fn inside(authority: &Authority) -> (u16, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let router = Router::new().fallback(any(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { "secret" }
    }));
    let names = ["b.example", "inside.example", "127.0.0.2"];
    (authority.serve_at(INSIDE, &names, router).await, reached)
}

/// A port inside, without any certificate, and how often somebody connected to it.
async fn connections() -> (Arc<AtomicUsize>, u16) {
    let listener = TcpListener::bind((INSIDE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connected = Arc::new(AtomicUsize::new(0));
    let count = connected.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (connected, port)
}

fn ask() -> http::Request<Vec<u8>> {
    http::Request::get("/").body(Vec::new()).unwrap()
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_not_asked() {
    let authority = Authority::new();
    let (port, reached) = inside(&authority).await;
    for address in ["127.0.0.2", "::ffff:127.0.0.2", "10.0.0.1", "2002:7f00:2::"] {
        let dns = FakeDns::here(&[]);
        dns.set("b.example", &[address]);
        let asker = Asker::new(&authority, dns, port);
        let error = asker.client.send_raw(&b(), ask(), Terms::default()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{address}: {error}");
        let error = asker.client.fetch("https://b.example/", 100, SECOND).await.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{address}: {error}");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn of_several_addresses_only_public_ones_are_used() {
    let authority = Authority::new();
    let (port, reached) = inside(&authority).await;
    let dns = FakeDns::here(&[]);
    dns.set("b.example", &["127.0.0.2", "10.0.0.1"]);
    dns.addresses.lock().get_mut("b.example").unwrap().push(HERE);
    // Nothing listens there at this port.
    let asker = Asker::new(&authority, dns, port);
    let error = asker.client.send_raw(&b(), ask(), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Connect, .. }), "{error}");
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_again() {
    let authority = Authority::new();
    let (port, reached) = inside(&authority).await;
    let dns = FakeDns::here(&["b.example"]);
    let asker = Asker::new(&authority, dns, port);
    // The first answer is the one that is used: the connection does not resolve the name once more.
    let error = asker.client.send_raw(&b(), ask(), Terms::anyway()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Connect, .. }), "{error}");
    asker.dns.set("b.example", &["127.0.0.2"]);
    asker.clock.advance(Duration::from_hours(1));
    let error = asker.client.send_raw(&b(), ask(), Terms::anyway()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{error}");
    assert_eq!((asker.dns.asked("b.example"), reached.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test]
async fn an_address_in_a_url_is_checked() {
    let authority = Authority::new();
    let (port, reached) = inside(&authority).await;
    let asker = Asker::new(&authority, FakeDns::here(&[]), port);
    for host in ["127.0.0.2", "2130706434", "0x7f.0.0.2", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::1]"] {
        let error = asker.client.fetch(&format!("https://{host}:{port}/"), 100, SECOND).await.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{host}: {error}");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    for address in ["file:///etc/passwd", "ftp://b.example/", "//b.example", ""] {
        assert!(matches!(asker.client.fetch(address, 100, SECOND).await, Err(RemoteError::Request(_))), "{address}");
    }
}

#[tokio::test]
async fn a_server_name_that_urls_read_as_a_private_address_is_not_asked() {
    let authority = Authority::new();
    let (connected, listener) = connections().await;
    let asker = Asker::new(&authority, FakeDns::here(&[]), listener);
    for name in INSIDE_NAMES {
        for name in [name.to_owned(), format!("{name}:{listener}")] {
            let server = OwnedServerName::try_from(name.as_str()).unwrap();
            let error = asker.client.send_raw(&server, ask(), Terms::anyway()).await.unwrap_err();
            assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{name}: {error}");
        }
    }
    assert_eq!(connected.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let authority = Authority::new();
    let (inside, reached) = inside(&authority).await;
    let to = |uri: http::Uri| async move { (StatusCode::FOUND, [("location", uri.query().unwrap_or("").to_owned())]) };
    let outside = authority.serve(&["b.example"], Router::new().fallback(any(to))).await;
    let dns = FakeDns::here(&["b.example"]);
    dns.set("inside.example", &["127.0.0.2"]);
    let asker = Asker::new(&authority, dns, outside);
    for target in [
        format!("https://127.0.0.2:{inside}/"),
        format!("https://inside.example:{inside}/"),
        format!("https://b.example:{outside}/?https://127.0.0.2:{inside}/"),
        format!("https://b.example:{outside}/?https://inside.example:{inside}/"),
        format!("http://b.example:{outside}/"),
    ] {
        let error = asker.client.fetch(&format!("https://b.example:{outside}/?{target}"), 100, SECOND).await;
        assert!(matches!(error, Err(RemoteError::Unreachable { .. })), "{target}: {error:?}");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_well_known_document_is_not_fetched_from_inside() {
    let authority = Authority::new();
    let (inside, reached) = inside(&authority).await;
    let to = move || async move { (StatusCode::FOUND, [("location", format!("https://127.0.0.2:{inside}/"))]) };
    let router = Router::new().route("/.well-known/matrix/server", any(to)).fallback(any(|| async { "itself" }));
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    assert!(asker.client.send_raw(&b(), ask(), Terms::default()).await.is_ok());
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_cannot_delegate_to_a_private_address() {
    let authority = Authority::new();
    let (inside, reached) = inside(&authority).await;
    let document = move || async move { format!(r#"{{"m.server": "127.0.0.2:{inside}"}}"#) };
    let port = authority.serve(&["b.example"], Router::new().fallback(any(document))).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    let error = asker.client.send_raw(&b(), ask(), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Dns, .. }), "{error}");
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}
