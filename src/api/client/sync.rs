//! `GET /_matrix/client/v3/sync`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use ruma::{
    api::client::{filter::FilterDefinition, sync::sync_events},
    presence::PresenceState,
};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{
    http::{ApiError, Auth, JsonBytes, Query, chunks::ReaderGone, json_chunks, services::Services},
    sync::{Filters, Request, SyncError, token},
    users::Session,
};

/// A filter given as JSON in the query, in bytes.
const FILTER_BYTES_MAX: usize = 64 << 10;
/// Pieces of an answer that may wait for a slow reader.
const PIECES_WAITING: usize = 4;
/// The state after the timeline, for clients that ask in the stable way.
const STABLE: &[&str] = &["state_after"];
/// The same for clients that ask with MSC4222's name.
const UNSTABLE: &[&str] = &["org.matrix.msc4222.state_after"];

/// The query, with the names of MSC4222 that ruma's type does not know.
#[derive(Debug, Deserialize)]
pub struct SyncQuery {
    filter: Option<String>,
    since: Option<String>,
    #[serde(default)]
    full_state: Option<String>,
    set_presence: Option<PresenceState>,
    timeout: Option<u64>,
    use_state_after: Option<String>,
    #[serde(rename = "org.matrix.msc4222.use_state_after")]
    unstable_use_state_after: Option<String>,
}

/// `GET /_matrix/client/v3/sync`
///
/// Everything that changed for the user since a token, or everything there is; waits up to `timeout` milliseconds for
/// something to tell. [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync),
/// [MSC4222](https://github.com/matrix-org/matrix-spec-proposals/pull/4222).
///
/// # Errors
/// `M_INVALID_PARAM` for a token or filter that is not one, `M_UNKNOWN` for a filter id that does not exist.
pub async fn sync(
    State(hs): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<SyncQuery>,
) -> Result<Response, ApiError> {
    let request = request(&hs, &session, query).await?;
    if request.since.is_none() {
        return in_pieces(&hs, request).await;
    }
    let answer = hs.sync.answer(request).await?;
    Ok(JsonBytes::from(answer.body).into_response())
}

/// Streams an initial sync. What fails before the first piece is an error like any other; later it cuts the answer short.
async fn in_pieces(hs: &Services, request: Request) -> Result<Response, ApiError> {
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
    let sync = hs.sync.clone();
    let answering = tokio::spawn(async move { sync.answer_in_pieces(request, sender).await });
    let Some(first) = pieces.recv().await else {
        let failed = answering.await.map_err(ApiError::internal)?;
        return Err(failed.err().map_or_else(|| ApiError::internal("an answer without pieces"), ApiError::from));
    };
    let (mut writer, response) = json_chunks();
    tokio::spawn(async move {
        writer.write(&first).await?;
        while let Some(piece) = pieces.recv().await {
            writer.write(&piece).await?;
        }
        match answering.await {
            Ok(Ok(())) => writer.finish().await?,
            Ok(Err(error)) => tracing::error!(%error, "an initial sync was cut short"),
            Err(error) => tracing::error!(%error, "an initial sync was cut short"),
        }
        Ok::<_, ReaderGone>(())
    });
    Ok(response)
}

async fn request(hs: &Services, session: &Session, query: SyncQuery) -> Result<Request, ApiError> {
    let since = match query.since.as_deref() {
        None | Some("") => None,
        Some(text) => {
            Some(token::parse(text).ok_or_else(|| ApiError::invalid_param("`since` is not a token of ours"))?)
        }
    };
    let is_true = |value: &Option<String>| value.as_deref() == Some("true");
    Ok(Request {
        user: session.user,
        user_id: session.user_id.clone(),
        device: session.device_id.to_string(),
        since,
        filters: filters(hs, session, query.filter.as_deref()).await?,
        full_state: is_true(&query.full_state),
        state_after: match (is_true(&query.use_state_after), is_true(&query.unstable_use_state_after)) {
            (true, _) => Some(STABLE),
            (false, true) => Some(UNSTABLE),
            (false, false) => None,
        },
        presence: query.set_presence.unwrap_or(PresenceState::Online),
        timeout: Duration::from_millis(query.timeout.unwrap_or(0)),
    })
}

/// The filter, given as JSON or by the id of a stored one.
async fn filters(hs: &Services, session: &Session, filter: Option<&str>) -> Result<Arc<Filters>, ApiError> {
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(Arc::default()) };
    if filter.starts_with('{') {
        if filter.len() > FILTER_BYTES_MAX {
            return Err(ApiError::too_large("the filter is too large"));
        }
        let definition: FilterDefinition =
            serde_json::from_str(filter).map_err(|_| ApiError::invalid_param("`filter` is not a filter"))?;
        return Ok(Arc::new(Filters::new(&definition)));
    }
    let definition = hs.users.filters.definition(session.user, filter).await?;
    let definition = definition.ok_or_else(|| ApiError::invalid_param("there is no filter of this id"))?;
    Ok(Arc::new(Filters::new(&definition)))
}

/// The ruma type whose paths [`sync`] answers.
pub type SyncRequest = sync_events::v3::Request;

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Rooms(error) => error.into(),
            SyncError::Users(error) => error.into(),
            SyncError::Store(error) => Self::internal(error),
            SyncError::ReaderGone => Self::request_timeout(),
        }
    }
}
