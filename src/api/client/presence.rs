//! Presence.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use ruma::api::client::presence::{get_presence as get_presence_v3, set_presence as set_presence_v3};

use crate::http::{ApiError, Reply, Ruma, services::Services};

/// `GET /_matrix/client/v3/presence/{userId}/status`: whether somebody is there.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus)
pub async fn get_presence(
    State(services): State<Arc<Services>>,
    request: Ruma<get_presence_v3::v3::Request>,
) -> Result<Reply<get_presence_v3::v3::Response>, ApiError> {
    let (session, user_id) = (&request.session, &request.body.user_id);
    let status = services.presence.status((session.user, &session.user_id), user_id).await?;
    let mut response = get_presence_v3::v3::Response::new(status.presence);
    response.status_msg = status.status_msg;
    response.currently_active = Some(status.currently_active);
    response.last_active_ago = status.last_active_ago.map(Duration::from_millis);
    Ok(Reply(response))
}

/// `PUT /_matrix/client/v3/presence/{userId}/status`: says that one is there or not, and what one does.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus)
pub async fn set_presence(
    State(services): State<Arc<Services>>,
    request: Ruma<set_presence_v3::v3::Request>,
) -> Result<Reply<set_presence_v3::v3::Response>, ApiError> {
    if request.body.user_id != request.session.user_id {
        return Err(ApiError::forbidden("You can only set your own presence"));
    }
    services.presence.set(request.session.user, &request.body.presence, request.body.status_msg)?;
    Ok(Reply(set_presence_v3::v3::Response::new()))
}
