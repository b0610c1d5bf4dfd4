//! Imports of rosters: uploaded, looked at, applied, undone.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply, import_reply::ImportReply, paging};
use crate::{
    http::{ApiError, BoundedBody, JsonBody, JsonBytes, PathArgs, Query, services::Services},
    school::exchange::{SOURCE, TempFile},
    store::schema::school::ImportState,
};

/// The query of an upload.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// Whose rows it touches: `[a-z0-9._-]{1,64}`, `roster` if not given.
    pub source: Option<String>,
    /// Only plan it (as if not given): it is applied by `POST /imports/{id}/apply`. With `false` it is applied at once,
    /// unless it has errors or is held.
    pub dry_run: Option<bool>,
}

/// The query of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Entries at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of imports, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportsPage {
    /// The imports.
    pub imports: Vec<ImportReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// How to apply an import.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyImport {
    /// Also when it is held, because it would remove so much.
    pub confirm: bool,
}

/// `POST /_homeroom/v1/imports`: reads a bundle (a ZIP, or a single CSV) and plans its import. The answer has its state:
/// `refused` for files with errors, `held` for changes that somebody has to confirm, else `planned`.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/imports",
    tag = "administration",
    params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/zip", description = "The bundle"),
    responses(
        (status = 200, description = "The import, planned, held, refused, or being applied", body = ImportReply),
        (status = 400, description = "Not a name of a source", body = ErrorReply),
        (status = 409, description = "An import of this source is at work", body = ErrorReply),
        (status = 413, description = "Too large", body = ErrorReply),
    )
)]
pub async fn upload(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<JsonBytes, ApiError> {
    let (school, by) = (&services.school, administrator.author());
    let file = receive(&services, &headers, body).await?;
    let source = query.source.as_deref().unwrap_or(SOURCE);
    let number = school.exchange.plan(source, file.path(), &by).await?;
    drop(file);
    let reply = reply(&services, number).await?;
    if query.dry_run == Some(false) && reply.state == ImportState::Planned.name() {
        school.imports.apply(number, false, &by).await?;
        return answer(&services, number).await;
    }
    JsonBytes::of(&reply)
}

/// `GET /_homeroom/v1/imports`: all imports.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/imports",
    tag = "administration",
    params(ListQuery),
    responses((status = 200, description = "A page, newest first", body = ImportsPage))
)]
pub async fn get_imports(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<JsonBytes, ApiError> {
    let limit = paging::limit(query.limit)?;
    let found = services.school.imports.list(paging::number(query.from.as_deref())?, limit).await?;
    let next_batch = paging::next(found.len(), limit, found.last().map(|(number, _)| *number));
    let mut imports = Vec::with_capacity(found.len());
    for (number, import) in found {
        let summary = services.school.imports.summary(number).await?;
        imports.push(ImportReply::new(number, import, summary));
    }
    JsonBytes::of(&ImportsPage { imports, next_batch })
}

/// `GET /_homeroom/v1/imports/{id}`: one import, and how far it is.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/imports/{id}",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number")),
    responses(
        (status = 200, description = "The import", body = ImportReply),
        (status = 404, description = "No such import", body = ErrorReply),
    )
)]
pub async fn get_import(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    answer(&services, paging::id(&path, 0)?).await
}

/// `POST /_homeroom/v1/imports/{id}/apply`: begins to apply an import. It goes on after a crash.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/imports/{id}/apply",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number")),
    request_body = ApplyImport,
    responses(
        (status = 200, description = "It is being applied", body = ImportReply),
        (status = 404, description = "No such import", body = ErrorReply),
        (status = 409, description = "It is held and not confirmed, or cannot be applied (any more)", body = ErrorReply),
    )
)]
pub async fn apply_import(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let (number, wanted) = (paging::id(&path, 0)?, body.parse::<ApplyImport>()?);
    services.school.imports.apply(number, wanted.confirm, &administrator.author()).await?;
    answer(&services, number).await
}

/// `POST /_homeroom/v1/imports/{id}/rollback`: begins to undo the newest import in force of a source.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/imports/{id}/rollback",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number")),
    responses(
        (status = 200, description = "It is being undone", body = ImportReply),
        (status = 404, description = "No such import", body = ErrorReply),
        (status = 409, description = "It is not the newest in force, or an import is at work", body = ErrorReply),
    )
)]
pub async fn roll_back_import(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let number = paging::id(&path, 0)?;
    services.school.imports.rollback(number, &administrator.author()).await?;
    answer(&services, number).await
}

/// `POST /_homeroom/v1/imports/{id}/discard`: drops an import that was not applied.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/imports/{id}/discard",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number")),
    responses(
        (status = 200, description = "It is dropped", body = ImportReply),
        (status = 404, description = "No such import", body = ErrorReply),
        (status = 409, description = "It was applied, or is at work", body = ErrorReply),
    )
)]
pub async fn discard_import(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let number = paging::id(&path, 0)?;
    services.school.imports.discard(number, &administrator.author()).await?;
    answer(&services, number).await
}

async fn reply(services: &Services, number: u64) -> Result<ImportReply, ApiError> {
    let imports = &services.school.imports;
    let import = imports.get(number).await?.ok_or_else(|| ApiError::not_found("There is no such import"))?;
    Ok(ImportReply::new(number, import, imports.summary(number).await?))
}

async fn answer(services: &Services, number: u64) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&reply(services, number).await?)
}

/// Writes the body to a file of the data folder, piece by piece.
async fn receive(services: &Services, headers: &HeaderMap, body: Body) -> Result<TempFile, ApiError> {
    let exchange = &services.school.exchange;
    let bytes_max = usize::try_from(exchange.upload_bytes_max()).unwrap_or(usize::MAX);
    let mut body = BoundedBody::new(headers, body, bytes_max)?;
    let mut upload = exchange.begin().await.map_err(ApiError::unavailable)?;
    while let Some(piece) = body.next_piece().await? {
        upload.write(&piece).await.map_err(ApiError::unavailable)?;
    }
    upload.finish().await.map_err(ApiError::unavailable)
}

/// Checks that an import is there, for lists of its parts.
pub(super) async fn check_known(services: &Services, number: u64) -> Result<(), ApiError> {
    reply(services, number).await.map(|_| ())
}

/// CSV to be saved as a file.
pub(super) fn csv_download(name: &str, bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(value) = http::HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(http::header::CONTENT_DISPOSITION, value);
    }
    super::slips::unstored(response)
}
