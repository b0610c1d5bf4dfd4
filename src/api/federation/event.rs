//! Single events, and what allows them.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ruma::api::federation::{
    authorization::get_event_authorization::v1 as get_event_authorization_v1, event::get_event::v1 as get_event_v1,
};

use super::{room_access::reader_of, written};
use crate::http::{ApiError, JsonBytes, Signed, services::Services};

/// `GET /_matrix/federation/v1/event/{eventId}`: one event that the asking server may see.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid)
///
/// # Errors
/// `M_NOT_FOUND`, the same for an event that does not exist, one of a room that the server is not in, and one that none
/// of its users could see.
pub async fn get_event(
    State(services): State<Arc<Services>>,
    request: Signed<get_event_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let found = services.rooms.event_for_server(&request.body.event_id, &request.origin).await?;
    let (reader, event) = found.ok_or_else(no_event)?;
    if !reader.room.view().admits(&request.origin) {
        return Err(no_event());
    }
    Ok(written::pdus(&services, [&*event.pdu.json]))
}

/// `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: the auth events of an event, theirs, and so on.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid)
///
/// # Errors
/// `M_FORBIDDEN` for servers that are not in the room, `M_NOT_FOUND` for an event that is not one of the room.
pub async fn get_event_authorization(
    State(services): State<Arc<Services>>,
    request: Signed<get_event_authorization_v1::Request>,
) -> Result<Response, ApiError> {
    let reader = reader_of(&services, &request.origin, &request.body.room_id).await?;
    let chain = reader.event_auth(&request.body.event_id).await?.ok_or_else(no_event)?;
    Ok(written::events(services, reader.room, vec![("auth_chain", chain)], request.place))
}

/// 404 for whatever keeps an event from a server.
pub(super) fn no_event() -> ApiError {
    ApiError::not_found("There is no such event")
}
