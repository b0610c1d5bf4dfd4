//! Signing in.
//!
//! Specification v1.19, client-server API, "Legacy API", "Login".

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use http::{StatusCode, request::Parts};
use ruma::{
    OwnedDeviceId,
    api::{
        auth_scheme::AppserviceTokenOptional,
        client::session::{
            get_login_types::v3::{self as get_login_types_v3, LoginType, PasswordLoginType},
            login::v3 as login_v3,
            refresh_token::v3 as refresh_token_v3,
        },
        error::ErrorCode,
    },
};
use serde::Deserialize;

use crate::{
    http::{ApiError, Appservice, Authenticate, Class, JsonBody, Reply, Ruma, auth::Identity as _, services::Services},
    secret::Secret,
    users::{Identifier, NewDevice, UsersError, meant_user_id},
};

/// `GET /_matrix/client/v3/login`: how people can sign in.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login)
pub async fn get_login_types(
    _request: Ruma<get_login_types_v3::Request>,
) -> Result<Reply<get_login_types_v3::Response>, ApiError> {
    let password = LoginType::Password(PasswordLoginType::new());
    Ok(Reply(get_login_types_v3::Response::new(vec![password])))
}

/// The body of a login. By hand: ruma's reader panics where `type` is missing, and the three places where old and new
/// clients name the user come together here.
#[derive(Deserialize)]
struct Login {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    user: Option<String>,
    password: Option<Secret>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

/// Whoever signs in has no session, but an application service may have its token, and others an old one.
pub struct Newcomer(#[expect(dead_code, reason = "application services cannot sign in yet")] Option<Appservice>);

impl<S: Authenticate> FromRequestParts<S> for Newcomer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        AppserviceTokenOptional::identify(state, parts).await.map(Self)
    }
}

/// `POST /_matrix/client/v3/login`: signs a device in.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login)
pub async fn login(
    State(services): State<Arc<Services>>,
    _newcomer: Newcomer,
    body: JsonBody,
) -> Result<Reply<login_v3::Response>, ApiError> {
    let body: Login = body.parse()?;
    if body.kind != "m.login.password" {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::Unknown, "This kind of login is not offered"));
    }
    let name = match body.identifier {
        Some(identifier) if identifier.kind == "m.id.user" => identifier.user,
        Some(_) => return Err(UsersError::WrongCredentials.into()),
        None => body.user.ok_or_else(|| ApiError::bad_json("The user name is missing"))?,
    };
    let password = body.password.ok_or_else(|| ApiError::bad_json("The password is missing"))?;
    limit_attempts(&services, &name)?;
    let device = NewDevice {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refreshable: body.refresh_token,
    };
    let grant = services.users.login(&name, password, &device).await?;
    let access_token = grant.access_token.expose().clone();
    let mut response = login_v3::Response::new(grant.user_id, access_token, grant.device_id);
    response.refresh_token = grant.refresh_token.map(|token| token.expose().clone());
    response.expires_in = grant.expires_in;
    Ok(Reply(response))
}

/// Counts an attempt against the account it is on, whichever way the account is named and wherever it comes from.
fn limit_attempts(services: &Services, name: &str) -> Result<(), ApiError> {
    let meant = meant_user_id(name, &services.config.server.name);
    // What names no account here cannot be guessed; its address is counted already.
    meant.map_or(Ok(()), |user_id| services.limiter.check_name(Class::Login, user_id.as_str()))
}

/// `POST /_matrix/client/v3/refresh`: new tokens for a session.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh)
pub async fn refresh_token(
    State(services): State<Arc<Services>>,
    request: Ruma<refresh_token_v3::Request>,
) -> Result<Reply<refresh_token_v3::Response>, ApiError> {
    let refreshed = services.users.sessions.refresh(&request.body.refresh_token).await?;
    let mut response = refresh_token_v3::Response::new(refreshed.access_token);
    response.refresh_token = refreshed.refresh_token;
    response.expires_in_ms = refreshed.expires_in;
    Ok(Reply(response))
}
