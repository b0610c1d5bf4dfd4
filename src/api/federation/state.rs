//! The state of a room before an event.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ruma::{
    EventId, RoomId, ServerName,
    api::federation::event::{
        get_room_state::v1 as get_room_state_v1, get_room_state_ids::v1 as get_room_state_ids_v1,
    },
};

use super::{event::no_event, room_access::reader_of, written};
use crate::{
    http::{ApiError, Signed, services::Services},
    rooms::ServerReader,
    store::EventNo,
};

/// `GET /_matrix/federation/v1/state/{roomId}`: the state before an event, with all that allows it.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid)
///
/// # Errors
/// `M_FORBIDDEN` for servers that are not in the room, `M_NOT_FOUND` for an event that is not one of the room, or at which
/// this server does not know the state; 502 when its members are not known in time.
pub async fn get_room_state(
    State(services): State<Arc<Services>>,
    request: Signed<get_room_state_v1::Request>,
) -> Result<Response, ApiError> {
    let (reader, state) =
        state_before(&services, &request.origin, &request.body.room_id, &request.body.event_id).await?;
    let chain = reader.auth_chain(&state).await?;
    Ok(written::events(services, reader.room, vec![("auth_chain", chain), ("pdus", state)], request.place))
}

/// `GET /_matrix/federation/v1/state_ids/{roomId}`: the same, as ids.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid)
///
/// # Errors
/// As [`get_room_state`].
pub async fn get_room_state_ids(
    State(services): State<Arc<Services>>,
    request: Signed<get_room_state_ids_v1::Request>,
) -> Result<Response, ApiError> {
    let (reader, state) =
        state_before(&services, &request.origin, &request.body.room_id, &request.body.event_id).await?;
    let chain = reader.auth_chain(&state).await?;
    Ok(written::ids(services, reader.room, vec![("auth_chain_ids", chain), ("pdu_ids", state)], request.place))
}

/// While the room's members are being fetched, its states are not known: who asks waits, and is looked at once more then.
async fn state_before(
    services: &Services,
    origin: &ServerName,
    room_id: &RoomId,
    event: &EventId,
) -> Result<(ServerReader, Vec<EventNo>), ApiError> {
    let mut reader = reader_of(services, origin, room_id).await?;
    if reader.room.view().partial {
        services.rooms.whole(&reader.room).await?;
        reader = reader_of(services, origin, room_id).await?;
    }
    let state = reader.state_before(event).await?.ok_or_else(no_event)?;
    Ok((reader, state))
}
