//! Proof for third parties of who somebody is.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::{error::ErrorCode, federation::openid::get_openid_userinfo::v1 as get_openid_userinfo_v1};

use crate::http::{ApiError, FederationOn, Reply, Ruma, services::Services};

/// `GET /_matrix/federation/v1/openid/userinfo`: whose `OpenID` token it is. Not signed: identity servers and widgets ask.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo)
pub async fn get_openid_userinfo(
    State(services): State<Arc<Services>>,
    _: FederationOn,
    request: Ruma<get_openid_userinfo_v1::Request>,
) -> Result<Reply<get_openid_userinfo_v1::Response>, ApiError> {
    let user_id = services.users.openid.user(&request.body.access_token).ok_or_else(|| {
        ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::UnknownToken, "The token is unknown or has expired")
    })?;
    Ok(Reply(get_openid_userinfo_v1::Response::new(user_id)))
}
