//! Reading a room's state.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    RoomId,
    api::client::state::{get_state_event_for_key::v3::StateEventFormat, get_state_events as get_state_events_v3},
    events::StateEventType,
};
use serde::Deserialize;

use super::reading;
use crate::{
    http::{ApiError, Auth, JsonBytes, PathArgs, Query, Ruma, services::Services},
    rooms::Form,
};

/// `GET /_matrix/client/v3/rooms/{roomId}/state`
///
/// The current state, or the state at the caller's leaving.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room.
pub async fn get_state_events(
    State(services): State<Arc<Services>>,
    request: Ruma<get_state_events_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let reader = reading::reader(&services, &request.session, &request.body.room_id).await?;
    let state = services.rooms.readable_state(&reader).await?;
    let mut out = Vec::with_capacity(state.len() * 512);
    out.push(b'[');
    for (place, event) in state.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        services.rooms.write_state(&mut out, &reader, event, true).await?;
    }
    out.push(b']');
    Ok(out.into())
}

/// The query of [`get_state_event_for_key`].
#[derive(Debug, Deserialize)]
pub struct StateQuery {
    #[serde(default)]
    format: StateEventFormat,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// Also without a state key, with and without the last slash: then the key is empty.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_NOT_FOUND` when there is no such state.
pub async fn get_state_event_for_key(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<StateQuery>,
) -> Result<JsonBytes, ApiError> {
    let room: &RoomId = arguments.parse(0)?;
    let kind = StateEventType::from(arguments.get(1));
    let reader = reading::reader(&services, &session, room).await?;
    let event = services.rooms.readable_state_event(&reader, &kind, arguments.get(2)).await?;
    if query.format == StateEventFormat::Event {
        let form = Form { room_id: true, bundle: false };
        return Ok(services.rooms.event_json(&reader, &event, form).await?.into());
    }
    Ok(event.pdu.content.get().to_owned().into())
}
