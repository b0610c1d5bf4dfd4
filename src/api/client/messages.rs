//! A room's history in pages.

use std::sync::Arc;

use axum::extract::State;
use ruma::{RoomId, api::Direction};
use serde::Deserialize;

use super::reading;
use crate::{
    http::{ApiError, Auth, JsonBytes, PathArgs, Query, services::Services},
    rooms::{event_filter::EventFilter, history::Range},
};

/// Events of a page when the client does not say.
const LIMIT_DEFAULT: u64 = 10;

/// The query. Read by hand: whether the caller may read the room is said before what is missing.
#[derive(Debug, Deserialize)]
pub struct MessagesQuery {
    from: Option<String>,
    to: Option<String>,
    dir: Option<Direction>,
    limit: Option<u64>,
    filter: Option<String>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/messages`
///
/// A page of the room's history, as far as the caller may see it.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_INVALID_PARAM` for a foreign token or filter,
/// `M_MISSING_PARAM` without a direction.
pub async fn get_message_events(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<MessagesQuery>,
) -> Result<JsonBytes, ApiError> {
    let room: &RoomId = arguments.parse(0)?;
    let reader = reading::reader(&services, &session, room).await?;
    let filter = EventFilter::new(&reading::filter(query.filter.as_deref())?);
    let range = Range {
        from: reading::token(query.from.as_deref())?,
        to: reading::token(query.to.as_deref())?,
        direction: query.dir.ok_or_else(|| ApiError::missing_param("Missing the direction `dir`"))?,
        limit: usize::try_from(query.limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX),
    };
    let page = services.rooms.page(&reader, range, &filter).await?;

    let mut out = Vec::with_capacity(page.events.len() * 768 + 256);
    out.push(b'{');
    reading::write_token(&mut out, "start", page.start);
    if let Some(end) = page.end {
        out.push(b',');
        reading::write_token(&mut out, "end", end);
    }
    out.push(b',');
    reading::write_list(&services, &mut out, &reader, "chunk", &page.events).await?;
    if !page.members.is_empty() {
        out.push(b',');
        reading::write_state(&services, &mut out, &reader, "state", &page.members).await?;
    }
    out.push(b'}');
    Ok(out.into())
}
