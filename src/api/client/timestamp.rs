//! The event nearest to a time.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::room::get_event_by_timestamp as get_event_by_timestamp_v1;

use super::reading;
use crate::http::{ApiError, Reply, Ruma, services::Services};

/// `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_NOT_FOUND` when there is no event on that side of the time.
pub async fn get_event_by_timestamp(
    State(services): State<Arc<Services>>,
    request: Ruma<get_event_by_timestamp_v1::v1::Request>,
) -> Result<Reply<get_event_by_timestamp_v1::v1::Response>, ApiError> {
    let body = request.body;
    let reader = reading::reader(&services, &request.session, &body.room_id).await?;
    let found = services.rooms.nearest_event(&reader, u64::from(body.ts.get()), body.dir).await?;
    Ok(Reply(get_event_by_timestamp_v1::v1::Response::new(found.id, found.ts)))
}
