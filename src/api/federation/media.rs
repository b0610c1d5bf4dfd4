//! Content of this server, for other servers.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderValue, header};
use ruma::{
    ServerName,
    api::federation::authenticated_media::{
        get_content::v1 as get_content_v1, get_content_thumbnail::v1 as get_content_thumbnail_v1,
    },
};
use tokio::io::AsyncReadExt as _;

use crate::{
    api::client::media::{content::disposition, wanted},
    http::{ApiError, OriginPlace, Signed, file_body, services::Services},
    media::Content,
};

/// Letters of the line between the parts of an answer: it does not happen to stand in content.
const BOUNDARY_LETTERS: usize = 40;

/// `GET /_matrix/federation/v1/media/download/{mediaId}`: content of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediadownloadmediaid)
///
/// # Errors
/// `M_NOT_FOUND` when there is none, or whoever uploaded it is hidden from the asking server.
pub async fn get_content(
    State(services): State<Arc<Services>>,
    request: Signed<get_content_v1::Request>,
) -> Result<Response, ApiError> {
    let get_content_v1::Request { media_id, timeout_ms, .. } = request.body;
    check_uploader(&services, &request.origin, &media_id).await?;
    let found = services.media.download(&services.config.server.name, &media_id, timeout_ms).await?;
    parts(&services, found.ok_or_else(unknown)?, request.place)
}

/// `GET /_matrix/federation/v1/media/thumbnail/{mediaId}`: a smaller image of content of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediathumbnailmediaid)
///
/// # Errors
/// As [`get_content`], and what keeps thumbnails from being made.
pub async fn get_content_thumbnail(
    State(services): State<Arc<Services>>,
    request: Signed<get_content_thumbnail_v1::Request>,
) -> Result<Response, ApiError> {
    let get_content_thumbnail_v1::Request { media_id, method, width, height, timeout_ms, .. } = request.body;
    check_uploader(&services, &request.origin, &media_id).await?;
    let wanted = wanted(method.as_ref(), width, height)?;
    let found = services.media.thumbnail(&services.config.server.name, &media_id, wanted, timeout_ms).await?;
    parts(&services, found.ok_or_else(unknown)?, request.place)
}

/// What hidden people upload does not leave this server: their pictures would tell of them.
async fn check_uploader(services: &Services, origin: &ServerName, id: &str) -> Result<(), ApiError> {
    if !services.rooms.policy().is_active() {
        return Ok(());
    }
    let uploader = services.media.uploader(id).await?.ok_or_else(unknown)?;
    let user_id = services.store.user_id(uploader).await?;
    let (known, _) = services.rooms.known_to_server(origin, &user_id);
    if known || services.rooms.shares_room_with_server(uploader, origin).await? { Ok(()) } else { Err(unknown()) }
}

/// `multipart/mixed`: an empty object about the content, then the content.
fn parts(services: &Services, content: Content, place: OriginPlace) -> Result<Response, ApiError> {
    let boundary = services.ids.opaque(BOUNDARY_LETTERS);
    let disposition = disposition(&content);
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: {}\r\n\
         Content-Disposition: {disposition}\r\n\r\n",
        content.content_type
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = content.size.saturating_add((head.len() + tail.len()) as u64);
    let file = tokio::fs::File::from_std(content.file).take(content.size);
    let mut response = Response::new(file_body(head, file, tail, place));
    let kind = format!("multipart/mixed; boundary={boundary}");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).map_err(ApiError::internal)?);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

fn unknown() -> ApiError {
    ApiError::not_found("Unknown media id")
}
