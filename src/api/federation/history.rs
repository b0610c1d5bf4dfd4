//! History: events before others, and the event nearest to a time.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::federation::{
    backfill::get_backfill::v1 as get_backfill_v1,
    event::{get_event_by_timestamp::v1 as get_event_by_timestamp_v1, get_missing_events::v1 as get_missing_events_v1},
};

use super::{event::no_event, room_access::reader_of, written};
use crate::http::{ApiError, JsonBytes, Reply, Signed, services::Services};

/// `GET /_matrix/federation/v1/backfill/{roomId}`: events and those before them, newest first, at most 100. Of what none
/// of the server's users could see it gets what a redaction leaves.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid)
///
/// # Errors
/// `M_FORBIDDEN` for servers that are not in the room.
pub async fn get_backfill(
    State(services): State<Arc<Services>>,
    request: Signed<get_backfill_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_backfill_v1::Request { room_id, v, limit, .. } = request.body;
    let reader = reader_of(&services, &request.origin, &room_id).await?;
    let texts = reader.backfill(&v, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    Ok(written::pdus(&services, texts.iter().map(AsRef::as_ref)))
}

/// `POST /_matrix/federation/v1/get_missing_events/{roomId}`: events between those that the server has, oldest first.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid)
///
/// # Errors
/// As [`get_backfill`].
pub async fn get_missing_events(
    State(services): State<Arc<Services>>,
    request: Signed<get_missing_events_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_missing_events_v1::Request { room_id, limit, min_depth, earliest_events, latest_events, .. } = request.body;
    let reader = reader_of(&services, &request.origin, &room_id).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let texts = reader.missing_events(&earliest_events, &latest_events, min_depth.into(), limit).await?;
    let mut out = Vec::with_capacity(texts.iter().map(|text| text.len() + 1).sum::<usize>() + 16);
    out.extend_from_slice(b"{\"events\":[");
    written::join(&mut out, texts.iter().map(AsRef::as_ref));
    out.extend_from_slice(b"]}");
    Ok(out.into())
}

/// `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`: the event nearest to a time that the server may see.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid)
///
/// # Errors
/// `M_FORBIDDEN` for servers that are not in the room, `M_NOT_FOUND` when there is no event on that side of the time.
pub async fn get_event_by_timestamp(
    State(services): State<Arc<Services>>,
    request: Signed<get_event_by_timestamp_v1::Request>,
) -> Result<Reply<get_event_by_timestamp_v1::Response>, ApiError> {
    let get_event_by_timestamp_v1::Request { room_id, ts, dir, .. } = request.body;
    let reader = reader_of(&services, &request.origin, &room_id).await?;
    let event = reader.event_at_time(ts.get().into(), dir).await?.ok_or_else(no_event)?;
    let (id, ts) = (event.pdu.event_id.clone(), event.pdu.origin_server_ts);
    Ok(Reply(get_event_by_timestamp_v1::Response::new(id, ts)))
}
