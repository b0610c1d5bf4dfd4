//! One event.

use std::sync::Arc;

use axum::extract::State;
use ruma::{EventId, RoomId, api::client::room::get_room_event as get_room_event_v3};

use super::reading;
use crate::{
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::Form,
    users::Session,
};

/// `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid)
///
/// # Errors
/// `M_NOT_FOUND` whenever the caller may not see it, for whatever reason.
pub async fn get_room_event(
    State(services): State<Arc<Services>>,
    request: Ruma<get_room_event_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    event(&services, &request.session, &request.body.room_id, &request.body.event_id).await
}

async fn event(services: &Services, session: &Session, room: &RoomId, id: &EventId) -> Result<JsonBytes, ApiError> {
    let hidden = || ApiError::not_found("There is no such event, or you may not see it");
    let reader = reading::reader(services, session, room).await;
    let reader = reader.map_err(|error| if error.status().is_server_error() { error } else { hidden() })?;
    let event = services.rooms.visible_event(&reader, id).await?;
    Ok(services.rooms.event_json(&reader, &event, Form::FULL).await?.into())
}
