//! What an import consists of: its size, its problems, its changes.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply, imports, paging};
use crate::{
    http::{ApiError, JsonBytes, PathArgs, Query, services::Services},
    school::{
        reconcile::Summary,
        roster::{Change, Object},
    },
    store::schema::school::Import,
};

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportReply {
    /// Its number.
    pub id: u64,
    /// Whose rows it touches.
    pub source: String,
    /// What it was read from, such as `oneroster-1.2`.
    pub format: String,
    /// Whether it tells only what changed.
    pub delta: bool,
    /// The SHA-256 of its files, in hexadecimal.
    pub sha256: String,
    /// `refused`, `planned`, `held`, `applying`, `applied`, `rolling_back`, `rolled_back` or `discarded`.
    #[schema(example = "planned")]
    pub state: String,
    /// How many objects it touches, and what is wrong with its files.
    pub counts: CountsReply,
    /// Changes applied so far, or, while it is undone, still in force.
    pub done: u64,
    /// Why somebody has to confirm it.
    pub holds: Vec<String>,
    /// The plan in short, a line for each kind of object and role.
    pub summary: Vec<String>,
    /// People who get a role (`join`) and lose it (`leave`), by role.
    #[schema(value_type = Object)]
    pub roles: BTreeMap<String, Value>,
    /// Who imports.
    pub by: String,
    /// When it was planned, in Unix milliseconds.
    pub created_ms: u64,
    /// When its state changed last.
    pub changed_ms: u64,
}

/// How many objects an import touches.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsReply {
    /// New ones.
    pub created: u64,
    /// Changed ones.
    pub updated: u64,
    /// Removed ones.
    pub removed: u64,
    /// Errors in the files.
    pub errors: u64,
    /// Warnings about the files.
    pub warnings: u64,
}

impl ImportReply {
    pub(super) fn new(id: u64, import: Import, summary: Summary) -> Self {
        let counts = import.counts;
        let lines = summary.lines();
        let roles =
            summary.roles.into_iter().map(|(role, moved)| (role, serde_json::to_value(moved).unwrap_or_default()));
        Self {
            id,
            source: import.source,
            format: import.format,
            delta: import.delta,
            sha256: crate::users::to_hex(&import.sha256),
            state: import.state.name().to_owned(),
            counts: CountsReply {
                created: counts.created,
                updated: counts.updated,
                removed: counts.removed,
                errors: counts.errors,
                warnings: counts.warnings,
            },
            done: import.done,
            holds: import.holds,
            summary: lines,
            roles: roles.collect(),
            by: import.by,
            created_ms: import.created_ms,
            changed_ms: import.changed_ms,
        }
    }
}

/// The query of a list of problems.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProblemsQuery {
    /// Problems at most (1 to 200, 50 if not given). Without effect on CSV.
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
    /// `json` (as if not given), or `csv` for all of them as a file.
    pub format: Option<String>,
}

/// A page of problems, errors first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemsPage {
    /// The problems.
    pub problems: Vec<ProblemReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// Something wrong with a file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemReply {
    /// `error` or `warning`.
    pub severity: String,
    /// The file; empty for the bundle as a whole.
    pub file: String,
    /// The line, from 1, the header included.
    pub line: Option<u64>,
    /// The column's header.
    pub column: Option<String>,
    /// What is wrong, for programs.
    #[schema(example = "dangling_reference")]
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// `GET /_homeroom/v1/imports/{id}/errors`: what is wrong with its files.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/imports/{id}/errors",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number"), ProblemsQuery),
    responses(
        (status = 200, description = "A page of problems, or all of them as CSV", body = ProblemsPage),
        (status = 404, description = "No such import", body = ErrorReply),
    )
)]
pub async fn get_errors(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    path: PathArgs,
    Query(query): Query<ProblemsQuery>,
) -> Result<Response, ApiError> {
    let (number, limit) = (paging::id(&path, 0)?, paging::limit(query.limit)?);
    imports::check_known(&services, number).await?;
    if query.format.as_deref() == Some("csv") {
        return Ok(imports::csv_download(&format!("import-{number}-errors.csv"), csv_of(&services, number).await?));
    }
    let from = paging::number(query.from.as_deref())?.unwrap_or_default();
    let problems = services.school.imports.problems(number, from, limit).await?;
    let next_batch = paging::next(problems.len(), limit, Some(from.saturating_add(limit as u64)));
    let problems = problems.into_iter().filter_map(|problem| serde_json::from_value(problem).ok()).collect();
    Ok(JsonBytes::of(&ProblemsPage { problems, next_batch })?.into_response())
}

async fn csv_of(services: &Services, number: u64) -> Result<Vec<u8>, ApiError> {
    let problems = services.school.imports.problems(number, 0, usize::MAX).await?;
    let mut rows = csv::Writer::from_writer(Vec::new());
    let columns = ["severity", "file", "line", "column", "code", "message", "hint"];
    rows.write_record(columns).map_err(ApiError::internal)?;
    for problem in problems {
        let cell = |column: &str| match problem.get(column) {
            Some(Value::String(text)) => plain(text),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        rows.write_record(columns.map(cell)).map_err(ApiError::internal)?;
    }
    rows.into_inner().map_err(|error| ApiError::internal(error.into_error()))
}

/// A text that no spreadsheet takes for a formula: it quotes what a stranger's file holds.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// A page of changes, in the order in which they are applied.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangesPage {
    /// The changes.
    pub changes: Vec<ChangeReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// An object made (`before` is null), changed, or removed (`after` is null).
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeReply {
    /// `org`, `session`, `course`, `class`, `person`, `role`, `enrollment`, `link` or `group`.
    pub kind: String,
    /// Its id in the source.
    pub id: String,
    /// What it was.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What it becomes.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

impl ChangeReply {
    fn new(change: Change) -> Self {
        let kind = change.after.as_ref().or(change.before.as_ref()).map_or("", |object| object.kind().name());
        // Objects are written as `{"Person": {…}}`; the kind is said once.
        let bare = |object: Object| match serde_json::to_value(object) {
            Ok(Value::Object(named)) => named.into_iter().next().map(|(_, object)| object),
            _ => None,
        };
        let (before, after) = (change.before.and_then(bare), change.after.and_then(bare));
        Self { kind: kind.to_owned(), id: change.id, before, after }
    }
}

/// `GET /_homeroom/v1/imports/{id}/changes`: what it changes, object by object.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/imports/{id}/changes",
    tag = "administration",
    params(("id" = u64, Path, description = "The import's number"), imports::ListQuery),
    responses(
        (status = 200, description = "A page of changes; none for old imports, whose changes are not kept",
            body = ChangesPage),
        (status = 404, description = "No such import", body = ErrorReply),
    )
)]
pub async fn get_changes(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    path: PathArgs,
    Query(query): Query<imports::ListQuery>,
) -> Result<JsonBytes, ApiError> {
    let (number, limit) = (paging::id(&path, 0)?, paging::limit(query.limit)?);
    imports::check_known(&services, number).await?;
    let from = paging::number(query.from.as_deref())?.unwrap_or_default();
    let changes = services.school.imports.changes(number, from, limit).await?;
    let next_batch = paging::next(changes.len(), limit, Some(from.saturating_add(limit as u64)));
    JsonBytes::of(&ChangesPage { changes: changes.into_iter().map(ChangeReply::new).collect(), next_batch })
}
