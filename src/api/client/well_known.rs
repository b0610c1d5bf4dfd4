//! Where clients find this server.
//!
//! Specification v1.19, client-server API, "Server Discovery".

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::discovery::discover_homeserver;
use serde_json::json;

use super::capabilities::{SCHOOL, school};
use crate::{
    config::{Config, PublicUrl},
    http::{ApiError, JsonBytes, Ruma, services::Services},
};

/// `GET /.well-known/matrix/client`: the address of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient)
pub async fn discover_homeserver(
    State(services): State<Arc<Services>>,
    _request: Ruma<discover_homeserver::Request>,
) -> Result<JsonBytes, ApiError> {
    let base_url = base_url(&services.config);
    JsonBytes::of(&json!({ "m.homeserver": { "base_url": base_url }, SCHOOL: school() }))
}

/// Where clients reach the server: as configured, or under its name.
pub(in crate::api) fn base_url(config: &Config) -> String {
    let configured = config.server.public_url.as_ref().map(PublicUrl::as_str);
    configured.map_or_else(|| format!("https://{}", config.server.name), str::to_owned)
}
