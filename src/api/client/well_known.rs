//! Where clients and other servers find this server.
//!
//! Specification v1.19, client-server API, "Server Discovery"; server-server API, "Resolving server names".

use std::sync::Arc;

use axum::extract::State;
use ruma::api::{client::discovery::discover_homeserver, federation};
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

/// `GET /.well-known/matrix/server`: where other servers reach this one, as configured; 404 without it.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver)
pub async fn discover_server(
    State(services): State<Arc<Services>>,
    _request: Ruma<federation::discovery::discover_homeserver::Request>,
) -> Result<JsonBytes, ApiError> {
    let configured = services.config.server.federation_address.as_ref();
    let address = configured.ok_or_else(|| ApiError::not_found("This server is found under its name."))?;
    JsonBytes::of(&json!({ "m.server": address }))
}

/// Where clients reach the server: as configured, or under its name.
pub(in crate::api) fn base_url(config: &Config) -> String {
    let configured = config.server.public_url.as_ref().map(PublicUrl::as_str);
    configured.map_or_else(|| format!("https://{}", config.server.name), str::to_owned)
}
