//! Servers that do not work are left alone, over restarts too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::any};

use super::peer::{Asker, Authority, FakeDns, b};
use crate::{
    remote::{RemoteError, Terms},
    store::Position,
};

fn ask() -> http::Request<Vec<u8>> {
    http::Request::get("/").body(Vec::new()).unwrap()
}

async fn outcome(asker: &Asker, terms: Terms) -> &'static str {
    match asker.client.send_raw(&b(), ask(), terms).await {
        Ok(_) => "answer",
        Err(RemoteError::Answer(_)) => "error",
        Err(RemoteError::Unreachable { .. }) => "unreachable",
        Err(RemoteError::Backoff { .. }) => "backoff",
        Err(error) => panic!("{error}"),
    }
}

/// Nobody is at `b.example`.
fn alone() -> (Authority, Asker) {
    let authority = Authority::new();
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), 1);
    (authority, asker)
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_longer_and_longer() {
    let (_authority, asker) = alone();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
        assert_eq!(outcome(&asker, Terms::default()).await, "backoff");
        let until_ms = asker.client.destinations().pausing(&b()).await.unwrap().unwrap();
        let pause = Duration::from_millis(until_ms - asker.clock.now_ms());
        asker.clock.advance(pause.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(outcome(&asker, Terms::default()).await, "backoff");
        asker.clock.advance(Duration::from_millis(1));
        pauses.push(pause.as_millis());
    }
    assert!(pauses.is_sorted() && pauses[0] >= 1_600 && pauses[3] >= 12_800, "{pauses:?}");
}

#[tokio::test]
async fn somebody_who_waits_is_served_despite_failures() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    assert_eq!(outcome(&asker, Terms::anyway()).await, "unreachable");
    assert_eq!(asker.client.destinations().get(&b()).await.unwrap().failures, 2);
}

#[tokio::test]
async fn who_waits_is_spared_a_server_that_is_down_for_long() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::anyway()).await, "unreachable");
    asker.clock.advance(Duration::from_secs(3_601));
    for expected in ["unreachable", "backoff", "backoff"] {
        assert_eq!(outcome(&asker, Terms::anyway()).await, expected);
    }
    asker.clock.advance(Duration::from_secs(30));
    assert_eq!(outcome(&asker, Terms::anyway()).await, "unreachable");
}

#[tokio::test]
async fn requests_that_fail_together_are_one_failure() {
    let (_authority, asker) = alone();
    tokio::join!(outcome(&asker, Terms::default()), outcome(&asker, Terms::default()));
    assert_eq!(asker.client.destinations().get(&b()).await.unwrap().failures, 1);
}

#[tokio::test]
async fn failures_are_remembered_over_a_restart() {
    let (authority, asker) = alone();
    asker.meet(&b()).await;
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    let before = asker.client.destinations().get(&b()).await.unwrap();
    let Asker { client, clock: _, dns, store, folder } = asker;
    drop((client, store));
    let asker = Asker::in_folder(folder, &authority, dns, 1);
    assert_eq!(outcome(&asker, Terms::default()).await, "backoff");
    assert_eq!(asker.client.destinations().get(&b()).await.unwrap(), before);
    assert_eq!(asker.client.destinations().list(10).await.unwrap(), [(b(), before)]);
}

#[tokio::test]
async fn names_of_strangers_are_not_written() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    assert_eq!(asker.store.server(&b()).await.unwrap(), None);
    assert!(asker.client.destinations().list(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_error_of_its_own_is_a_failure_and_a_refusal_is_none() {
    let asked = Arc::new(AtomicUsize::new(0));
    let answers = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY];
    let count = asked.clone();
    let router = Router::new().fallback(any(move |uri: http::Uri| {
        let at = if uri.path().starts_with("/.well-known") { 0 } else { count.fetch_add(1, Ordering::Relaxed) };
        let status = answers[at];
        async move { status }
    }));
    let authority = Authority::new();
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    for expected in ["error", "error", "error", "backoff"] {
        assert_eq!(outcome(&asker, Terms::default()).await, expected);
    }
}

#[tokio::test]
async fn a_server_may_say_when_to_come_back() {
    let router =
        Router::new().fallback(any(|| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")], "") }));
    let authority = Authority::new();
    let port = authority.serve(&["b.example"], router).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    assert_eq!(outcome(&asker, Terms::default()).await, "error");
    let until_ms = asker.client.destinations().pausing(&b()).await.unwrap();
    assert_eq!(until_ms, Some(asker.clock.now_ms() + 600_000));
}

#[tokio::test]
async fn a_success_ends_the_pause_and_is_told() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    let destinations = asker.client.destinations().clone();
    let mut returned = destinations.returned();
    let attempt = destinations.attempt(&b()).await.unwrap();
    destinations.record_success(&attempt).await;
    assert_eq!(returned.recv().await.unwrap(), b());
    let record = destinations.get(&b()).await.unwrap();
    assert_eq!((record.failures, record.retry_at_ms, record.failing_since_ms), (0, 0, 0));
    assert_eq!(record.last_success_ms, asker.clock.now_ms());
}

#[tokio::test]
async fn a_request_of_the_server_ends_the_pause() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    let destinations = asker.client.destinations().clone();
    let waiting = tokio::spawn({
        let destinations = destinations.clone();
        async move { destinations.until_due(&b()).await }
    });
    asker.clock.until_sleeping(1).await;
    destinations.heard_from(&b()).await.unwrap();
    waiting.await.unwrap().unwrap();
    // It asks but does not answer: it cannot keep this server busy by that.
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    destinations.heard_from(&b()).await.unwrap();
    assert_eq!(outcome(&asker, Terms::default()).await, "backoff");
    asker.clock.advance(Duration::from_hours(1));
    assert!(destinations.pausing(&b()).await.unwrap().is_none());
}

#[tokio::test]
async fn until_due_ends_with_the_pause() {
    let (_authority, asker) = alone();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    let destinations = asker.client.destinations().clone();
    let waiting = tokio::spawn(async move { destinations.until_due(&b()).await });
    asker.clock.until_sleeping(1).await;
    asker.clock.advance(Duration::from_mins(1));
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn how_far_a_server_was_told_is_kept_beside_its_failures() {
    let (authority, asker) = alone();
    let destinations = asker.client.destinations();
    destinations.set_sent(&b(), Position(7)).await.unwrap();
    assert_eq!(outcome(&asker, Terms::default()).await, "unreachable");
    destinations.set_sent(&b(), Position(5)).await.unwrap();
    let Asker { client, clock: _, dns, store, folder } = asker;
    drop((client, store));
    let asker = Asker::in_folder(folder, &authority, dns, 1);
    let record = asker.client.destinations().get(&b()).await.unwrap();
    assert_eq!((record.sent, record.failures), (Position(7), 1));
}
