//! The threads of a room.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::threads::get_threads as get_threads_v1;

use super::reading;
use crate::{
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::Include,
};

/// Threads of a page when the client does not say.
const LIMIT_DEFAULT: usize = 20;
/// Most threads of a page.
const LIMIT_MAX: usize = 100;

/// `GET /_matrix/client/v1/rooms/{roomId}/threads`
///
/// Thread roots, those with the newest replies first.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_INVALID_PARAM` for a foreign token.
pub async fn get_threads(
    State(services): State<Arc<Services>>,
    request: Ruma<get_threads_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = request.body;
    let reader = reading::reader(&services, &request.session, &body.room_id).await?;
    let include = match body.include {
        get_threads_v1::v1::IncludeThreads::Participated => Include::Participated,
        _ => Include::All,
    };
    let limit =
        body.limit.map_or(LIMIT_DEFAULT, |limit| usize::try_from(limit).unwrap_or(LIMIT_MAX)).clamp(1, LIMIT_MAX);
    let from = reading::token(body.from.as_deref())?;
    let page = services.rooms.threads(&reader, include, from, limit).await?;

    let mut out = Vec::with_capacity(page.roots.len() * 1536 + 64);
    out.push(b'{');
    reading::write_list(&services, &mut out, &reader, "chunk", &page.roots).await?;
    if let Some(next) = page.next {
        out.push(b',');
        reading::write_token(&mut out, "next_batch", next);
    }
    out.push(b'}');
    Ok(out.into())
}
