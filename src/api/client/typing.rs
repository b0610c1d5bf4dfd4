//! Typing notices.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use ruma::{OwnedRoomId, OwnedUserId, api::client::typing::create_typing_event as create_typing_event_v3};
use serde::Deserialize;

use crate::http::{ApiError, Auth, JsonBody, PathArgs, Reply, services::Services};

/// How long somebody types whose client does not say it: as long as clients usually say.
const TIMEOUT_DEFAULT_MS: u64 = 30_000;

/// The body. Read by hand, because ruma refuses one without `timeout`, which the specification allows.
#[derive(Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`: says that the user types, or does not any more.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid)
pub async fn create_typing_event(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    body: JsonBody,
) -> Result<Reply<create_typing_event_v3::v3::Response>, ApiError> {
    let room_id: OwnedRoomId = arguments.parse(0)?;
    let user_id: OwnedUserId = arguments.parse(1)?;
    if user_id != session.user_id {
        return Err(ApiError::forbidden("You can only say of yourself that you type"));
    }
    let body: Body = body.parse()?;
    let timeout = body.typing.then(|| Duration::from_millis(body.timeout.unwrap_or(TIMEOUT_DEFAULT_MS)));
    services.typing.set(session.user, &user_id, &room_id, timeout).await?;
    Ok(Reply(create_typing_event_v3::v3::Response::new()))
}
