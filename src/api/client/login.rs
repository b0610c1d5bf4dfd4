//! Signing in.
//!
//! Specification v1.19, client-server API, "Legacy API", "Login".

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::{
    client::{
        session::{
            get_login_types::v3::{self as get_login_types_v3, LoginType, PasswordLoginType},
            login::v3::{self as login_v3, LoginInfo},
            refresh_token::v3 as refresh_token_v3,
        },
        uiaa::UserIdentifier,
    },
    error::ErrorCode,
};

use crate::{
    http::{ApiError, Class, Reply, Ruma, services::Services},
    secret::Secret,
    users::{NewDevice, UsersError},
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

/// `POST /_matrix/client/v3/login`: signs a device in.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login)
pub async fn login(
    State(services): State<Arc<Services>>,
    request: Ruma<login_v3::Request>,
) -> Result<Reply<login_v3::Response>, ApiError> {
    let body = request.body;
    let LoginInfo::Password(credentials) = body.login_info else {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, ErrorCode::Unknown, "This kind of login is not offered"));
    };
    #[expect(deprecated, reason = "clients of before r0.4 name the user here")]
    let name = match credentials.identifier {
        Some(UserIdentifier::Matrix(identifier)) => identifier.user,
        Some(_) => return Err(UsersError::WrongCredentials.into()),
        None => credentials.user.ok_or_else(|| ApiError::missing_param("The user name is missing"))?,
    };
    limit_attempts(&services, &name)?;
    let device = NewDevice {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refreshable: body.refresh_token,
    };
    let grant = services.users.login(&name, Secret::from(credentials.password), &device).await?;
    let access_token = grant.access_token.expose().clone();
    let mut response = login_v3::Response::new(grant.user_id, access_token, grant.device_id);
    response.refresh_token = grant.refresh_token.map(|token| token.expose().clone());
    response.expires_in = grant.expires_in;
    Ok(Reply(response))
}

/// Counts an attempt against the account it is on, whichever way the account is named and wherever it comes from.
fn limit_attempts(services: &Services, name: &str) -> Result<(), ApiError> {
    let meant = crate::users::meant_user_id(name, &services.config.server.name);
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
