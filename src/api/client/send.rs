//! Sending messages.

use std::sync::Arc;

use axum::extract::State;
use ruma::RoomId;

use super::actor::actor;
use crate::http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, services::Services};

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`: sends a message event.
///
/// Without ruma's type: this is the endpoint that is asked most, and the content is read once, by the service.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid)
pub async fn send_message_event(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let room_id: &RoomId = arguments.parse(0)?;
    let (kind, transaction_id) = (arguments.get(1), arguments.get(2));
    let event_id =
        services.rooms.send_message(&actor(&session), room_id, kind, transaction_id, content(&body)?).await?;
    Ok(event_id_reply(&event_id))
}

/// The content of an event: there must be one.
pub(super) fn content(body: &JsonBody) -> Result<&[u8], ApiError> {
    if body.0.is_empty() { Err(ApiError::not_json("The content is missing")) } else { Ok(&body.0) }
}

/// `{"event_id":…}`. Event ids hold no character that JSON escapes.
pub(super) fn event_id_reply(event_id: &ruma::EventId) -> JsonBytes {
    JsonBytes::from(["{\"event_id\":\"", event_id.as_str(), "\"}"].concat())
}
