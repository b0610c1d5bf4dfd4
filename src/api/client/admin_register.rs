//! Registration by tools that know the shared secret: `/_synapse/admin/v1/register`.
//!
//! The interface is Synapse's, as its documentation describes it ("Shared-Secret Registration").

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::error::ErrorCode;
use serde::Deserialize;
use serde_json::{json, value::to_raw_value};

use crate::{
    http::{ApiError, JsonBody, JsonBytes, services::Services},
    secret::Secret,
    users::{DISPLAYNAME, NewAccount, NewDevice, SharedSecretRequest},
};

/// The body of a registration.
#[derive(Deserialize)]
struct Registration {
    nonce: String,
    username: String,
    displayname: Option<String>,
    password: Secret,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
}

/// `GET /_synapse/admin/v1/register`: a nonce, valid for a minute.
pub async fn get_nonce(State(services): State<Arc<Services>>) -> Result<JsonBytes, ApiError> {
    let shared_secret = &services.users.shared_secret;
    if !shared_secret.is_enabled() {
        return Err(ApiError::unrecognized());
    }
    let nonce = shared_secret.nonce();
    let nonce = nonce.ok_or_else(|| ApiError::unavailable("too many nonces of shared-secret registration"))?;
    JsonBytes::of(&json!({ "nonce": nonce }))
}

/// `POST /_synapse/admin/v1/register`: makes an account.
pub async fn register(State(services): State<Arc<Services>>, body: JsonBody) -> Result<JsonBytes, ApiError> {
    let users = &services.users;
    if !users.shared_secret.is_enabled() {
        return Err(ApiError::unrecognized());
    }
    let wanted: Registration = body.parse()?;
    if !users.shared_secret.use_nonce(&wanted.nonce) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::Unknown, "Unknown nonce"));
    }
    let request = SharedSecretRequest {
        nonce: &wanted.nonce,
        username: &wanted.username,
        password: &wanted.password,
        admin: wanted.admin,
        user_type: wanted.user_type.as_deref(),
        mac: &wanted.mac,
    };
    if !users.shared_secret.is_authentic(&request) {
        return Err(ApiError::forbidden("The code is not right"));
    }
    let new = NewAccount {
        localpart: Some(wanted.username.to_ascii_lowercase()),
        password: Some(wanted.password),
        admin: wanted.admin,
        guest: false,
    };
    let registered = users.register(new, (!wanted.inhibit_login).then(NewDevice::default)).await?;
    if let Some(name) = wanted.displayname {
        users.profiles.set(registered.user, DISPLAYNAME, &to_raw_value(&name)?).await?;
    }
    let mut answer = json!({ "user_id": registered.user_id, "home_server": services.config.server.name });
    if let (Some(grant), Some(answer)) = (registered.grant, answer.as_object_mut()) {
        answer.insert("access_token".to_owned(), grant.access_token.expose().clone().into());
        answer.insert("device_id".to_owned(), grant.device_id.as_str().into());
    }
    JsonBytes::of(&answer)
}
