//! Spaces, for other servers.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::federation::space::get_hierarchy::v1 as get_hierarchy_v1;

use crate::http::{ApiError, JsonBytes, Signed, services::Services};

/// `GET /_matrix/federation/v1/hierarchy/{roomId}`: a space, and those of its rooms that users of the asking server could
/// join or read.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid)
///
/// # Errors
/// `M_NOT_FOUND` when there is no such room, or it is not for the server to know.
pub async fn get_hierarchy(
    State(services): State<Arc<Services>>,
    request: Signed<get_hierarchy_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_hierarchy_v1::Request { room_id, suggested_only, .. } = &request.body;
    let found = services.rooms.hierarchy_for_server(room_id, &request.origin, *suggested_only).await?;
    let found = found.ok_or_else(|| ApiError::not_found("There is no such room, or your server may not know of it"))?;
    JsonBytes::of(&found)
}
