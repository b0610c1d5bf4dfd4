//! Bounds of size and rate, and whose address counts.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use governor::clock::DefaultClock;
use http::{Method, Request};
use serde_json::json;
use tower::ServiceExt as _;

use super::fixture::{SEND, WHOAMI, call, code, fixture, fixture_with, read, refused, unlimited};
use crate::{
    config::Rate,
    http::{Class, Limiter, address::Peer, limit::Rates},
};

#[tokio::test]
async fn bodies_are_bounded_with_and_without_a_length() {
    let router = fixture();
    let fits = format!(r#"{{"body":"{}"}}"#, "a".repeat(900));
    let large = format!(r#"{{"body":"{}"}}"#, "a".repeat(1000));
    assert_eq!(call(&router, Method::PUT, SEND, "anna", &fits).await.0, 200);
    assert_eq!(refused(&router, Method::PUT, SEND, "anna", &large).await, code(413, "M_TOO_LARGE"));

    let streamed = |text: &str| {
        let piece = |piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece));
        let pieces: Vec<_> = text.as_bytes().chunks(100).map(piece).collect();
        let request = Request::put(SEND).header("authorization", "Bearer anna");
        request.body(Body::from_stream(stream::iter(pieces))).unwrap()
    };
    assert_eq!(router.clone().oneshot(streamed(&fits)).await.unwrap().status(), 200);
    let (status, answer) = read(router.clone().oneshot(streamed(&large)).await.unwrap()).await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (413, &json!("M_TOO_LARGE")));

    // An announced length is refused before the body is touched, and who asks comes before that.
    let announced = |token: &str| {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::put(SEND).header("content-length", "5000000000");
        request.header("authorization", format!("Bearer {token}")).body(body).unwrap()
    };
    assert_eq!(router.clone().oneshot(announced("anna")).await.unwrap().status(), 413);
    assert_eq!(router.oneshot(announced("x")).await.unwrap().status(), 401);
}

fn one_each(_: Class) -> Rates {
    let rate = Rate::new(1, 3600);
    Rates { user: rate, address: rate }
}

#[tokio::test]
async fn limits_count_accounts_and_addresses() {
    let limiter = Limiter::with(&DefaultClock::default(), true, 100, one_each);
    let (router, _) = fixture_with(limiter, &[]);
    assert_eq!(call(&router, Method::PUT, SEND, "anna", "{}").await.0, 200);
    let (status, answer) = call(&router, Method::PUT, SEND, "anna", "{}").await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (429, &json!("M_LIMIT_EXCEEDED")));
    let retry_after_ms = answer["retry_after_ms"].as_u64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&retry_after_ms), "{retry_after_ms}");
    // Reads are not limited.
    for _ in 0..10 {
        assert_eq!(call(&router, Method::GET, WHOAMI, "anna", "").await.0, 200);
    }
    let available = "/_matrix/client/v3/register/available?username=ben";
    assert_eq!(call(&router, Method::GET, available, "", "").await.0, 200);
    assert_eq!(refused(&router, Method::GET, available, "", "").await, code(429, "M_LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn a_forged_forwarded_header_does_not_escape_the_limit() {
    let from = |peer: &str, forwarded: &str| {
        let uri = "/_matrix/client/v3/register/available?username=ben";
        let mut request = Request::get(uri).header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
        request
    };
    let limiter = Limiter::with(&DefaultClock::default(), true, 100, one_each);
    let (router, _) = fixture_with(limiter, &["127.0.0.1"]);
    let mut statuses = Vec::new();
    for (peer, forwarded) in [
        ("203.0.113.9", "1.1.1.1"),
        ("203.0.113.9", "1.1.1.2"),
        ("127.0.0.1", "1.1.1.3, 203.0.113.9"),
        ("127.0.0.1", "203.0.113.10"),
    ] {
        statuses.push(router.clone().oneshot(from(peer, forwarded)).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 429, 200]);
}

#[tokio::test]
async fn sessions_are_asked_with_the_clients_address() {
    let (router, state) = fixture_with(unlimited(), &["10.0.0.1"]);
    let mut request = Request::get(WHOAMI)
        .header("authorization", "bearer anna")
        .header("x-forwarded-for", "203.0.113.9")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(Peer("10.0.0.1:80".parse().unwrap()));
    assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(*state.addresses.lock().unwrap(), ["203.0.113.9"]);
}
