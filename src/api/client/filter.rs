//! Filters that clients store.
//!
//! Specification v1.19, client-server API, "Filtering".

use std::sync::Arc;

use axum::extract::State;
use ruma::{UserId, api::client::filter::create_filter::v3 as create_filter_v3};
use serde_json::value::RawValue;

use crate::http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, Reply, Session, services::Services};

/// `POST /_matrix/client/v3/user/{userId}/filter`: stores a filter.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter)
pub async fn create_filter(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<Reply<create_filter_v3::Response>, ApiError> {
    check_own(&session, &path)?;
    let id = services.users.filters.create(session.user, body.parse::<&RawValue>()?).await?;
    Ok(Reply(create_filter_v3::Response::new(id)))
}

/// `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`: a stored filter.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid)
pub async fn get_filter(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let filter = services.users.filters.get(session.user, path.get(1)).await?;
    let filter = filter.ok_or_else(|| ApiError::not_found("There is no such filter"))?;
    Ok(JsonBytes::from(Box::<str>::from(filter).into_string()))
}

fn check_own(session: &Session, path: &PathArgs) -> Result<(), ApiError> {
    if path.parse::<&UserId>(0)? == session.user_id {
        return Ok(());
    }
    Err(ApiError::forbidden("Filters are their user's alone"))
}
