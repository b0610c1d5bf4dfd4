//! The content repository.
//!
//! Specification v1.19, client-server API, "Content repository". Uploads pass from the socket to the disk in pieces,
//! downloads the other way; neither is ever in memory as a whole.
#![allow(deprecated, reason = "the endpoints of before v1.11 are served where the configuration says so")]

pub(in crate::api) mod content;

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderMap, header};
use ruma::{
    ServerName, UInt,
    api::client::{
        authenticated_media::{
            get_content as get_content_v1, get_content_as_filename as get_content_as_filename_v1,
            get_content_thumbnail as get_content_thumbnail_v1, get_media_config as get_media_config_v1,
        },
        media::{
            create_content as create_content_v3, create_content_async as create_content_async_v3,
            create_mxc_uri as create_mxc_uri_v1, get_content as get_content_v3,
            get_content_as_filename as get_content_as_filename_v3, get_content_thumbnail as get_content_thumbnail_v3,
            get_media_config as get_media_config_v3,
        },
    },
    media::Method as ThumbnailMethod,
};
use serde::Deserialize;

use crate::{
    http::{ApiError, Auth, BoundedBody, PathArgs, Query, Reply, Ruma, Session, services::Services},
    media::{Content, Label, MediaError, Method, Upload, Wanted},
};

/// The query of an upload.
#[derive(Debug, Deserialize)]
pub struct UploadQuery {
    filename: Option<String>,
}

/// `POST /_matrix/media/v3/upload`: stores content and gives it an id.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload)
pub async fn create_content(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply<create_content_v3::v3::Response>, ApiError> {
    let body = bounded(&services, &headers, body)?;
    let upload = services.media.begin(session.user, label(&headers, &query)?).await?;
    let content_uri = services.media.finish(receive(upload, body).await?).await?;
    Ok(Reply(create_content_v3::v3::Response::new(content_uri)))
}

/// `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`: stores the content of an id made before.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid)
pub async fn create_content_async(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply<create_content_async_v3::v3::Response>, ApiError> {
    let server_name: &ServerName = arguments.parse(0)?;
    let id = arguments.get(1);
    let body = bounded(&services, &headers, body)?;
    let label = label(&headers, &query)?;
    let upload = services.media.begin_into(session.user, server_name, id, label).await?;
    services.media.finish_into(receive(upload, body).await?, id).await?;
    Ok(Reply(create_content_async_v3::v3::Response {}))
}

/// `POST /_matrix/media/v1/create`: makes an id whose content is uploaded later.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create)
pub async fn create_mxc_uri(
    State(services): State<Arc<Services>>,
    request: Ruma<create_mxc_uri_v1::v1::Request>,
) -> Result<Reply<create_mxc_uri_v1::v1::Response>, ApiError> {
    let created = services.media.create(request.session.user).await?;
    let mut response = create_mxc_uri_v1::v1::Response::new(created.content_uri);
    let expires = UInt::new_saturating(created.unused_expires_at_ms);
    response.unused_expires_at = Some(ruma::MilliSecondsSinceUnixEpoch(expires));
    Ok(Reply(response))
}

/// `GET /_matrix/client/v1/media/config`: how large an upload may be.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig)
pub async fn get_media_config(
    State(services): State<Arc<Services>>,
    _: Ruma<get_media_config_v1::v1::Request>,
) -> Reply<get_media_config_v1::v1::Response> {
    Reply(get_media_config_v1::v1::Response::new(UInt::new_saturating(services.media.upload_bytes_max())))
}

/// `GET /_matrix/media/v3/config`: the same, by its older path.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3config)
pub async fn get_media_config_legacy(
    State(services): State<Arc<Services>>,
    _: Ruma<get_media_config_v3::v3::Request>,
) -> Reply<get_media_config_v3::v3::Response> {
    Reply(get_media_config_v3::v3::Response::new(UInt::new_saturating(services.media.upload_bytes_max())))
}

/// `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}`: content.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid)
pub async fn get_content(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_v1::v1::Request>,
) -> Result<Response, ApiError> {
    let get_content_v1::v1::Request { server_name, media_id, timeout_ms, .. } = request.body;
    check_origin(&services, Some(&request.session), &server_name).await?;
    let found = services.media.download(&server_name, &media_id, timeout_ms).await?;
    content::serve(known(found)?, &headers).await
}

/// `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}`: content under another name.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename)
pub async fn get_content_as_filename(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_as_filename_v1::v1::Request>,
) -> Result<Response, ApiError> {
    let get_content_as_filename_v1::v1::Request { server_name, media_id, filename, timeout_ms, .. } = request.body;
    check_origin(&services, Some(&request.session), &server_name).await?;
    let found = services.media.download(&server_name, &media_id, timeout_ms).await?;
    content::serve(known(found)?.named(&filename), &headers).await
}

/// `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`: a smaller image of content. Never an animated
/// one: `animated` is accepted, and without effect.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid)
pub async fn get_content_thumbnail(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_thumbnail_v1::v1::Request>,
) -> Result<Response, ApiError> {
    let get_content_thumbnail_v1::v1::Request { server_name, media_id, method, width, height, timeout_ms, .. } =
        request.body;
    check_origin(&services, Some(&request.session), &server_name).await?;
    let found =
        services.media.thumbnail(&server_name, &media_id, wanted(method.as_ref(), width, height)?, timeout_ms).await?;
    content::serve(known(found)?, &headers).await
}

pub(in crate::api) fn wanted(method: Option<&ThumbnailMethod>, width: UInt, height: UInt) -> Result<Wanted, ApiError> {
    let method = match method {
        Some(ThumbnailMethod::Crop) => Method::Crop,
        None | Some(ThumbnailMethod::Scale) => Method::Scale,
        Some(_) => return Err(ApiError::invalid_param("The method is neither crop nor scale")),
    };
    if width == UInt::MIN || height == UInt::MIN {
        return Err(ApiError::invalid_param("A thumbnail has a width and a height"));
    }
    Ok(Wanted::at_least(width.into(), height.into(), method))
}

/// `GET /_matrix/media/v3/download/{serverName}/{mediaId}`: content without signing in, if the
/// configuration allows it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaid)
pub async fn get_content_legacy(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_v3::v3::Request>,
) -> Result<Response, ApiError> {
    let get_content_v3::v3::Request { server_name, media_id, timeout_ms, allow_remote, .. } = request.body;
    check_frozen(&services, &server_name, &media_id, allow_remote).await?;
    let found = services.media.download(&server_name, &media_id, timeout_ms).await?;
    content::serve(known(found)?, &headers).await
}

/// `GET /_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}`: content without signing in, if the
/// configuration allows it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3downloadservernamemediaidfilename)
pub async fn get_content_as_filename_legacy(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_as_filename_v3::v3::Request>,
) -> Result<Response, ApiError> {
    let get_content_as_filename_v3::v3::Request { server_name, media_id, filename, timeout_ms, allow_remote, .. } =
        request.body;
    check_frozen(&services, &server_name, &media_id, allow_remote).await?;
    let found = services.media.download(&server_name, &media_id, timeout_ms).await?;
    content::serve(known(found)?.named(&filename), &headers).await
}

/// `GET /_matrix/media/v3/thumbnail/{serverName}/{mediaId}`: content without signing in, if the
/// configuration allows it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixmediav3thumbnailservernamemediaid)
pub async fn get_content_thumbnail_legacy(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    request: Ruma<get_content_thumbnail_v3::v3::Request>,
) -> Result<Response, ApiError> {
    let get_content_thumbnail_v3::v3::Request {
        server_name,
        media_id,
        method,
        width,
        height,
        timeout_ms,
        allow_remote,
        ..
    } = request.body;
    check_frozen(&services, &server_name, &media_id, allow_remote).await?;
    let found =
        services.media.thumbnail(&server_name, &media_id, wanted(method.as_ref(), width, height)?, timeout_ms).await?;
    content::serve(known(found)?, &headers).await
}

/// Content of servers with whose people the rules let somebody have nothing to do does not exist for them.
async fn check_origin(services: &Services, session: Option<&Session>, server: &ServerName) -> Result<(), ApiError> {
    let viewer = session.map(|session| (session.user, &*session.user_id));
    if services.rooms.may_fetch_from(viewer, server).await? { Ok(()) } else { Err(unknown()) }
}

/// Without a token there is no content, unless the configuration allows it: everything here was uploaded after the
/// freeze (specification, "Content repository", client behaviour). Uploaders still hear that an id has no content yet.
async fn check_frozen(
    services: &Services,
    server_name: &ServerName,
    id: &str,
    allow_remote: bool,
) -> Result<(), ApiError> {
    if !allow_remote && *server_name != *services.config.server.name {
        return Err(unknown());
    }
    check_origin(services, None, server_name).await?;
    if services.config.media.unauthenticated_downloads {
        return Ok(());
    }
    if services.media.is_pending(server_name, id).await? {
        return Err(ApiError::not_yet_uploaded());
    }
    Err(unknown())
}

fn bounded(services: &Services, headers: &HeaderMap, body: Body) -> Result<BoundedBody, ApiError> {
    let bytes_max = usize::try_from(services.media.upload_bytes_max()).unwrap_or(usize::MAX);
    BoundedBody::new(headers, body, bytes_max)
}

fn label(headers: &HeaderMap, query: &UploadQuery) -> Result<Label, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()).transpose();
    let content_type = content_type.map_err(|_| MediaError::BadContentType)?;
    Ok(Label::new(content_type, query.filename.as_deref())?)
}

async fn receive(mut upload: Upload, mut body: BoundedBody) -> Result<Upload, ApiError> {
    while let Some(piece) = body.next_piece().await? {
        upload.write(&piece).await?;
    }
    Ok(upload)
}

fn known(found: Option<Content>) -> Result<Content, ApiError> {
    found.ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::not_found("Unknown media id")
}

impl From<MediaError> for ApiError {
    fn from(error: MediaError) -> Self {
        let text = error.to_string();
        match error {
            MediaError::TooLarge | MediaError::ImageTooLarge => Self::too_large(text),
            MediaError::QuotaExceeded | MediaError::NotYours => Self::forbidden(text),
            MediaError::TooMany | MediaError::Busy => Self::limit_exceeded(std::time::Duration::from_secs(5)),
            MediaError::BadContentType => Self::invalid_param(text),
            MediaError::UnknownId => unknown(),
            MediaError::AlreadyUploaded => Self::cannot_overwrite_media(),
            MediaError::NotYetUploaded => Self::not_yet_uploaded(),
            MediaError::NotAnImage => {
                Self::new(http::StatusCode::BAD_REQUEST, ruma::api::error::ErrorCode::Unknown, text)
            }
            MediaError::Elsewhere => {
                Self::new(http::StatusCode::BAD_GATEWAY, ruma::api::error::ErrorCode::Unknown, text)
            }
            MediaError::DiskFull => Self::unavailable(error),
            MediaError::Disk(_) | MediaError::Store(_) => Self::internal(error),
        }
    }
}
