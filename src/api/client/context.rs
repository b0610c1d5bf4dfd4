//! An event and what happened around it.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::context::get_context as get_context_v3;

use super::reading;
use crate::{
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::{Form, event_filter::EventFilter},
};

/// `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_NOT_FOUND` for an event they may not see.
pub async fn get_context(
    State(services): State<Arc<Services>>,
    request: Ruma<get_context_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = &request.body;
    let reader = reading::reader(&services, &request.session, &body.room_id).await?;
    let filter = EventFilter::new(&body.filter);
    let limit = usize::try_from(body.limit).unwrap_or(usize::MAX);
    let around = (limit / 2, limit - limit / 2);
    let context = services.rooms.context(&reader, &body.event_id, around, &filter).await?;

    let mut out = Vec::with_capacity((context.state.len() + limit.min(100)) * 768);
    out.push(b'{');
    reading::write_token(&mut out, "start", context.start);
    out.push(b',');
    reading::write_token(&mut out, "end", context.end);
    out.extend_from_slice(b",\"event\":");
    services.rooms.write_event(&mut out, &reader, &context.event, Form::FULL).await?;
    out.push(b',');
    reading::write_list(&services, &mut out, &reader, "events_before", &context.before).await?;
    out.push(b',');
    reading::write_list(&services, &mut out, &reader, "events_after", &context.after).await?;
    out.push(b',');
    reading::write_state(&services, &mut out, &reader, "state", &context.state).await?;
    out.push(b'}');
    Ok(out.into())
}
