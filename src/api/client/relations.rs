//! Events that relate to an event.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    EventId, RoomId, UInt,
    api::{
        Direction,
        client::relations::{
            get_relating_events as all_v1, get_relating_events_with_rel_type as by_rel_type_v1,
            get_relating_events_with_rel_type_and_event_type as by_type_v1,
        },
    },
};

use super::reading;
use crate::{
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::relations::{RECURSION_DEPTH, RelationsQuery},
    users::Session,
};

/// What the three forms have in common.
struct Paging {
    from: Option<String>,
    to: Option<String>,
    dir: Direction,
    limit: Option<UInt>,
    recurse: bool,
}

macro_rules! paging {
    ($body:expr) => {
        Paging { from: $body.from, to: $body.to, dir: $body.dir, limit: $body.limit, recurse: $body.recurse }
    };
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_NOT_FOUND` for an event they may not see.
pub async fn get_relating_events(
    State(services): State<Arc<Services>>,
    request: Ruma<all_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = request.body;
    let query = RelationsQuery::default();
    relations(&services, &request.session, (&body.room_id, &body.event_id), query, paging!(body)).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltype)
///
/// # Errors
/// As [`get_relating_events`].
pub async fn get_relating_events_with_rel_type(
    State(services): State<Arc<Services>>,
    request: Ruma<by_rel_type_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = request.body;
    let query = RelationsQuery { rel_type: Some(body.rel_type.to_string()), ..RelationsQuery::default() };
    relations(&services, &request.session, (&body.room_id, &body.event_id), query, paging!(body)).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventidreltypeeventtype)
///
/// # Errors
/// As [`get_relating_events`].
pub async fn get_relating_events_with_rel_type_and_event_type(
    State(services): State<Arc<Services>>,
    request: Ruma<by_type_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = request.body;
    let query = RelationsQuery {
        rel_type: Some(body.rel_type.to_string()),
        kind: Some(body.event_type),
        ..RelationsQuery::default()
    };
    relations(&services, &request.session, (&body.room_id, &body.event_id), query, paging!(body)).await
}

async fn relations(
    services: &Services,
    session: &Session,
    (room, event): (&RoomId, &EventId),
    query: RelationsQuery,
    paging: Paging,
) -> Result<JsonBytes, ApiError> {
    let reader = reading::reader(services, session, room).await?;
    let query = RelationsQuery {
        from: reading::token(paging.from.as_deref())?,
        to: reading::token(paging.to.as_deref())?,
        forwards: paging.dir == Direction::Forward,
        limit: paging.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        recurse: paging.recurse,
        ..query
    };
    let page = services.rooms.relations(&reader, event, &query).await?;

    let mut out = Vec::with_capacity(page.events.len() * 768 + 128);
    out.push(b'{');
    reading::write_list(services, &mut out, &reader, "chunk", &page.events).await?;
    if let Some(next) = page.next {
        out.push(b',');
        reading::write_token(&mut out, "next_batch", next);
    }
    if let Some(from) = query.from {
        out.push(b',');
        reading::write_token(&mut out, "prev_batch", from);
    }
    if query.recurse {
        out.extend_from_slice(format!(",\"recursion_depth\":{RECURSION_DEPTH}").as_bytes());
    }
    out.push(b'}');
    Ok(out.into())
}
