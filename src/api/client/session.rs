//! Signing out, and asking who one is.
//!
//! Specification v1.19, client-server API, "Login" and "Current account information".

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::{
    account::{request_openid_token::v3 as request_openid_token_v3, whoami::v3 as whoami_v3},
    session::{logout::v3 as logout_v3, logout_all::v3 as logout_all_v3},
};
use ruma::authentication::TokenType;

use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    users::OPENID_LIFETIME,
};

/// `POST /_matrix/client/v3/logout`: ends the session and removes its device.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout)
pub async fn logout(
    State(services): State<Arc<Services>>,
    request: Ruma<logout_v3::Request>,
) -> Result<Reply<logout_v3::Response>, ApiError> {
    services.users.logout(&request.session).await?;
    Ok(Reply(logout_v3::Response::new()))
}

/// `POST /_matrix/client/v3/logout/all`: ends all sessions of the account and removes their devices.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall)
pub async fn logout_all(
    State(services): State<Arc<Services>>,
    request: Ruma<logout_all_v3::Request>,
) -> Result<Reply<logout_all_v3::Response>, ApiError> {
    services.users.logout_all(request.session.user).await?;
    Ok(Reply(logout_all_v3::Response::new()))
}

/// `GET /_matrix/client/v3/account/whoami`: whose session this is.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami)
pub async fn whoami(request: Ruma<whoami_v3::Request>) -> Result<Reply<whoami_v3::Response>, ApiError> {
    let session = request.session;
    let mut response = whoami_v3::Response::new(session.user_id.clone(), session.guest);
    response.device_id = Some(session.device_id.clone());
    Ok(Reply(response))
}

/// `POST /_matrix/client/v3/user/{userId}/openid/request_token`: a token that proves to others who one is.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token)
pub async fn request_openid_token(
    State(services): State<Arc<Services>>,
    request: Ruma<request_openid_token_v3::Request>,
) -> Result<Reply<request_openid_token_v3::Response>, ApiError> {
    let session = request.session;
    if request.body.user_id != session.user_id {
        return Err(ApiError::forbidden("This is not your account"));
    }
    let token = services.users.openid.issue(session.user_id.clone());
    Ok(Reply(request_openid_token_v3::Response::new(
        token.expose().clone(),
        TokenType::Bearer,
        services.config.server.name.clone(),
        OPENID_LIFETIME,
    )))
}
