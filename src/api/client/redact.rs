//! Taking events back.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::redact::redact_event as redact_event_v3;

use super::actor::actor;
use crate::http::{ApiError, Reply, Ruma, services::Services};

/// `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`: redacts an event.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid)
pub async fn redact_event(
    State(services): State<Arc<Services>>,
    request: Ruma<redact_event_v3::v3::Request>,
) -> Result<Reply<redact_event_v3::v3::Response>, ApiError> {
    let redact_event_v3::v3::Request { room_id, event_id, txn_id, reason, .. } = request.body;
    let actor = actor(&request.session);
    let made = services.rooms.redact(&actor, &room_id, &event_id, txn_id.as_str(), reason.as_deref()).await?;
    Ok(Reply(redact_event_v3::v3::Response::new(made)))
}
