//! The one middleware that every request passes.
//!
//! One function instead of a stack of layers: a waiting long poll holds one boxed future, and the order is plain to
//! read. Neither the log nor the metrics see a path that a client wrote, only the pattern it matched: paths name rooms
//! and people, queries may carry access tokens.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use http::HeaderValue;
use tracing::Instrument as _;

use crate::http::{
    address::{Peer, TrustedProxies},
    cors,
    error::ApiError,
    fallback,
    metrics::Metrics,
    request_id::RequestId,
};

/// The route in log and metrics of requests that match none.
const UNMATCHED: &str = "unmatched";

/// What the middleware needs.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Arc<TrustedProxies>,
}

impl Entry {
    /// Puts the middleware and the JSON fallbacks around a complete router.
    pub fn guard<S: Clone + Send + Sync + 'static>(self, router: Router<S>) -> Router<S> {
        router
            .fallback(fallback::not_found)
            .method_not_allowed_fallback(fallback::method_not_allowed)
            .layer(middleware::from_fn_with_state(self, pass))
    }
}

/// Gives a request its id, address and span, counts it, turns a panic into a 500, and adds the CORS headers.
pub async fn pass(State(entry): State<Entry>, mut request: Request, next: Next) -> Response {
    if let Some(response) = cors::preflight(request.method()) {
        return response;
    }
    let started = Instant::now();
    let in_flight = entry.metrics.enter();
    let id = RequestId::new();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    if let Some(&Peer(peer)) = request.extensions().get() {
        let address = entry.proxies.client_address(peer.ip(), request.headers());
        request.extensions_mut().insert(address);
    }
    request.extensions_mut().insert(id);

    let matched = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let span = tracing::info_span!("request", %id, %method, route = matched);
    let run = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone());
    let answered = if method.is_safe() {
        run.await
    } else {
        // What changes something runs to its end though the client hangs up: half of it must not be all that happens.
        tokio::spawn(run).await.unwrap_or_else(|error| Err(Box::new(error.to_string())))
    };

    let _inside = span.enter();
    let mut response = answered.unwrap_or_else(|panic| ApiError::internal(Panicked::new(&*panic)).into_response());
    drop(in_flight);
    cors::apply(response.headers_mut());
    let status = response.status();
    if status.is_server_error() {
        // So that a report of a user leads to the line in the log.
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert("x-request-id", value);
        }
    }
    let took = started.elapsed();
    entry.metrics.answered(&method, matched, status, took);
    tracing::debug!(status = status.as_u16(), took_us = took.as_micros(), "answered");
    response
}

/// A handler panicked.
#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

impl Panicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned()))
    }
}
