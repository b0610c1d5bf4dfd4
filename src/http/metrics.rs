//! Figures for Prometheus, and the router that shows them.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::http::{error::ApiError, fallback, health::Health};

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Matched {
    method: &'static str,
    route: Arc<str>,
}

/// Sets gauges just before they are read.
type Probe = Box<dyn Fn() + Send + Sync>;

/// The registry, and the figures of the HTTP server in it.
pub struct Metrics {
    registry: Mutex<Registry>,
    probes: Mutex<Vec<Probe>>,
    answered: Family<Answered, Counter>,
    latency: Family<Matched, Histogram, fn() -> Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// A registry with the figures of the HTTP server and of the process.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("homeroom");
        let answered = Family::default();
        let latency = Family::new_with_constructor((|| Histogram::new(LATENCY_BOUNDS)) as fn() -> Histogram);
        let in_flight = Gauge::default();
        let resident = Gauge::<i64, AtomicI64>::default();
        registry.register("http_requests", "Requests answered", answered.clone());
        registry.register_with_unit("http_latency", "Time to answer", Unit::Seconds, latency.clone());
        registry.register("http_in_flight", "Requests being answered", in_flight.clone());
        registry.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, resident.clone());
        let probe: Probe = Box::new(move || {
            if let Some(bytes) = resident_bytes() {
                resident.set(bytes);
            }
        });
        let probes = Mutex::new(vec![probe]);
        Arc::new(Self { registry: Mutex::new(registry), probes, answered, latency, in_flight })
    }

    /// Lets another part of the server register its figures. Names get the prefix `homeroom_`.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock());
    }

    /// Calls `probe` before each reading, to set gauges that are costly to keep.
    pub fn before_reading(&self, probe: impl Fn() + Send + Sync + 'static) {
        self.probes.lock().push(Box::new(probe));
    }

    /// Counts a request as being answered until the guard is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answer. `route` is a pattern or a constant, never a path that a client chose.
    pub(crate) fn answered(&self, method: &http::Method, route: &str, status: StatusCode, took: Duration) {
        let method = method_label(method);
        let route: Arc<str> = route.into();
        let matched = Matched { method, route: Arc::clone(&route) };
        self.latency.get_or_create(&matched).observe(took.as_secs_f64());
        self.answered.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
    }

    /// Every figure in the `OpenMetrics` text format.
    ///
    /// # Errors
    /// An internal error when a figure of another part does not encode.
    pub fn text(&self) -> Result<String, ApiError> {
        for probe in self.probes.lock().iter() {
            probe();
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry.lock()).map_err(ApiError::internal)?;
        Ok(out)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Methods are free text; a client must not be able to grow the registry with them.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Resident memory of this process; `None` where `/proc` is missing.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The router of the operator's own listener: `/metrics` and `/health`.
pub fn operations(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    Router::new()
        .route("/metrics", get(move || async move { metrics_answer(&metrics) }))
        .route("/health", get(move || async move { health.answer() }))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
}

fn metrics_answer(metrics: &Metrics) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn get_text(router: &Router, path: &str) -> (StatusCode, String) {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn figures_of_all_parts_are_shown() {
        let metrics = Metrics::new();
        let gauge = Gauge::<i64, AtomicI64>::default();
        metrics.register(|registry| registry.register("rooms", "Rooms", gauge.clone()));
        metrics.before_reading(move || {
            gauge.set(7);
        });
        let method = http::Method::from_bytes(b"BREW").unwrap();
        metrics.answered(&method, "/a/{b}", StatusCode::OK, Duration::from_millis(2));
        let entered = metrics.enter();
        let router = operations(Arc::clone(&metrics), Health::new());
        let (status, text) = get_text(&router, "/metrics").await;
        assert_eq!(status, 200);
        let counted = r#"homeroom_http_requests_total{method="other",route="/a/{b}",status="200"} 1"#;
        assert!(text.contains(counted), "{text}");
        assert!(text.contains("homeroom_http_in_flight 1"), "{text}");
        assert!(text.contains("homeroom_rooms 7"), "{text}");
        assert!(text.contains("homeroom_resident_memory_bytes"), "{text}");
        drop(entered);
        assert!(metrics.text().unwrap().contains("homeroom_http_in_flight 0"));
    }

    #[tokio::test]
    async fn health_names_what_fails() {
        let health = Health::new();
        let router = operations(Metrics::new(), Arc::clone(&health));
        assert_eq!(get_text(&router, "/health").await, (StatusCode::OK, r#"{"status":"healthy"}"#.to_owned()));
        health.fail("store", "the disk is full");
        health.fail("media", "the folder is read-only");
        health.recover("media");
        let (status, text) = get_text(&router, "/health").await;
        assert_eq!(status, 503);
        assert_eq!(text, r#"{"reasons":{"store":"the disk is full"},"status":"failing"}"#);
        assert!(!health.is_healthy());
        health.recover("store");
        assert_eq!(get_text(&router, "/health").await.0, 200);
    }
}
