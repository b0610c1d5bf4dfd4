//! What is stored of a source, as a bundle.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use utoipa::IntoParams;

use super::{administrator::Administrator, errors::ErrorReply, slips::unstored};
use crate::http::{ApiError, Query, services::Services};

/// Bytes read from the file at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The query of an export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Which source; the only one there is if not given.
    pub source: Option<String>,
}

/// `GET /_homeroom/v1/export`: a source as a `OneRoster` 1.2 bundle, which imports to the same state.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/export",
    tag = "administration",
    params(ExportQuery),
    responses(
        (status = 200, description = "The bundle", body = Vec<u8>, content_type = "application/zip"),
        (status = 400, description = "There are several sources and none is named", body = ErrorReply),
        (status = 404, description = "No such source", body = ErrorReply),
    )
)]
pub async fn get_export(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let place = services.school.exchange.export(query.source.as_deref(), &administrator.author()).await?;
    let file = tokio::fs::File::open(place.path()).await.map_err(ApiError::internal)?;
    let length = file.metadata().await.map_err(ApiError::internal)?.len();
    // The file is deleted with `place`, once the last piece is read or nobody reads any more.
    let pieces = stream::try_unfold((file, place), |(mut file, place)| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), (file, place))))
    });
    let mut response = unstored(Response::new(Body::from_stream(pieces)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"oneroster.zip\""));
    Ok(response)
}
