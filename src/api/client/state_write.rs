//! Setting state.

use std::sync::Arc;

use axum::extract::State;
use ruma::RoomId;

use super::{
    actor::actor,
    send::{content, event_id_reply},
};
use crate::http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, services::Services};

/// `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: sets a piece of state. The last argument and
/// the slash before it may be absent: the state key is empty then.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey)
pub async fn send_state_event(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let room_id: &RoomId = arguments.parse(0)?;
    let (kind, state_key) = (arguments.get(1), arguments.get(2));
    let event_id = services.rooms.send_state(&actor(&session), room_id, kind, state_key, content(&body)?).await?;
    Ok(event_id_reply(&event_id))
}
