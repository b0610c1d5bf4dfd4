//! Whether the server can do its work.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use parking_lot::RwLock;
use serde_json::json;

use crate::http::reply::json_response;

/// What is wrong at the moment, by the part of the server that says so. Healthy when nothing is.
#[derive(Debug, Default)]
pub struct Health(RwLock<BTreeMap<&'static str, String>>);

impl Health {
    /// A healthy state.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A part of the server cannot do its work. A later reason of the same part replaces the earlier one.
    pub fn fail(&self, part: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(part, reason, "unhealthy");
        self.0.write().insert(part, reason);
    }

    /// A part of the server works again.
    pub fn recover(&self, part: &'static str) {
        if self.0.write().remove(part).is_some() {
            tracing::info!(part, "healthy again");
        }
    }

    /// Whether every part works.
    pub fn is_healthy(&self) -> bool {
        self.0.read().is_empty()
    }

    /// 200 `{"status":"healthy"}` or 503 with the reasons by part.
    pub fn answer(&self) -> Response {
        let failing = self.0.read().clone();
        let (status, body) = if failing.is_empty() {
            (StatusCode::OK, json!({ "status": "healthy" }))
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "failing", "reasons": failing }))
        };
        json_response(status, body.to_string().into()).into_response()
    }
}
