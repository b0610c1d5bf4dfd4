//! The state of a room before an event.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ruma::{
    EventId,
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
/// this server does not know the state.
pub async fn get_room_state(
    State(services): State<Arc<Services>>,
    request: Signed<get_room_state_v1::Request>,
) -> Result<Response, ApiError> {
    let reader = reader_of(&services, &request.origin, &request.body.room_id).await?;
    let (state, chain) = state_before(&reader, &request.body.event_id).await?;
    Ok(written::events(services, reader.room, vec![("auth_chain", chain), ("pdus", state)]))
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
    let reader = reader_of(&services, &request.origin, &request.body.room_id).await?;
    let (state, chain) = state_before(&reader, &request.body.event_id).await?;
    Ok(written::ids(services, reader.room, vec![("auth_chain_ids", chain), ("pdu_ids", state)]))
}

async fn state_before(reader: &ServerReader, event: &EventId) -> Result<(Vec<EventNo>, Vec<EventNo>), ApiError> {
    let state = reader.state_before(event).await?.ok_or_else(no_event)?;
    let chain = reader.auth_chain(&state).await?;
    Ok((state, chain))
}
