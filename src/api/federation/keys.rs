//! Signing keys: this server's, and as a notary those of others. Not signed by who asks: keys are needed to check
//! signatures.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedServerName,
    api::federation::discovery::{get_remote_server_keys, get_remote_server_keys_batch, get_server_keys},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::{ApiError, FederationOn, JsonBytes, Query, Ruma, services::Services};

/// `GET /_matrix/key/v2/server`: this server's keys, the old ones included, signed by itself.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server)
pub async fn get_server_keys(
    State(services): State<Arc<Services>>,
    _: FederationOn,
    _request: Ruma<get_server_keys::v2::Request>,
) -> Result<JsonBytes, ApiError> {
    own_document(&services)
}

/// `GET /_matrix/key/v2/server/{keyId}`: the same, whatever key is named. Deprecated; some still ask.
pub async fn get_server_keys_by_id(
    State(services): State<Arc<Services>>,
    _: FederationOn,
) -> Result<JsonBytes, ApiError> {
    own_document(&services)
}

/// `GET /_matrix/key/v2/query/{serverName}`: another server's keys, with this server's signature added.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2queryservername)
pub async fn get_remote_server_keys(
    State(services): State<Arc<Services>>,
    _: FederationOn,
    Query(query): Query<Minimum>,
    request: Ruma<get_remote_server_keys::v2::Request>,
) -> Result<JsonBytes, ApiError> {
    let valid_until_ms = query.minimum_valid_until_ts.unwrap_or_else(|| services.clock.now_ms());
    notarised(&services, vec![(request.body.server_name, valid_until_ms)]).await
}

/// `POST /_matrix/key/v2/query`: the keys of several servers, with this server's signature added.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#post_matrixkeyv2query)
pub async fn get_remote_server_keys_batch(
    State(services): State<Arc<Services>>,
    _: FederationOn,
    request: Ruma<get_remote_server_keys_batch::v2::Request>,
) -> Result<JsonBytes, ApiError> {
    let now_ms = services.clock.now_ms();
    // Read with our own types: one malformed key id among many must not refuse the rest.
    let wanted: Wanted = request.raw()?;
    let wanted = wanted.server_keys.into_iter().map(|(server, keys)| {
        let minima = keys.into_values().filter_map(|minimum| minimum.minimum_valid_until_ts);
        (server, minima.max().unwrap_or(now_ms))
    });
    notarised(&services, wanted.collect()).await
}

/// Until when keys have to be valid.
#[derive(Debug, Default, Deserialize)]
pub struct Minimum {
    /// Unix milliseconds.
    minimum_valid_until_ts: Option<u64>,
}

#[derive(Deserialize)]
struct Wanted {
    server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Minimum>>,
}

#[derive(serde::Serialize)]
struct Notarised {
    server_keys: Vec<Box<RawValue>>,
}

fn own_document(services: &Services) -> Result<JsonBytes, ApiError> {
    let document = services.remote.keys().own_document().map_err(ApiError::internal)?;
    Ok(JsonBytes::from(document.as_bytes().to_vec()))
}

async fn notarised(services: &Services, wanted: Vec<(OwnedServerName, u64)>) -> Result<JsonBytes, ApiError> {
    let documents = services.remote.keys().notarise(wanted).await?;
    let server_keys = documents.into_iter().filter_map(|json| RawValue::from_string(json).ok()).collect();
    JsonBytes::of(&Notarised { server_keys })
}
