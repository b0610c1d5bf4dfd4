//! Who did what as an administrator.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Reader, errors::ErrorReply, paging};
use crate::{
    http::{ApiError, JsonBytes, Query, services::Services},
    store::schema::school::AuditRecord,
};

/// The query of a list of audit records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Records at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of audit records, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditEntry>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// An administrative write.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number. Grows.
    pub id: u64,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Who: a user id, `console` for the command line, `server` for the server itself.
    pub by: String,
    /// What was done: a short word such as `override.add`.
    pub action: String,
    /// To whom or what.
    pub object: String,
    /// More about it.
    #[schema(value_type = Object)]
    pub detail: Value,
}

impl AuditEntry {
    fn new((id, record): (u64, AuditRecord)) -> Self {
        let detail = serde_json::from_str(&record.detail).unwrap_or_else(|_| Value::Object(serde_json::Map::default()));
        Self { id, at_ms: record.at_ms, by: record.by, action: record.action, object: record.object, detail }
    }
}

/// `GET /_homeroom/v1/audit`: who did what as an administrator. For administrators and safeguarding leads.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/audit",
    tag = "administration",
    params(AuditQuery),
    responses(
        (status = 200, description = "Records, newest first", body = AuditPage),
        (status = 403, description = "Neither an administrator nor a safeguarding lead", body = ErrorReply),
    )
)]
pub async fn get_audit(
    State(services): State<Arc<Services>>,
    _reader: Reader,
    Query(query): Query<AuditQuery>,
) -> Result<JsonBytes, ApiError> {
    let limit = paging::limit(query.limit)?;
    let records = services.school.audit.list(paging::number(query.from.as_deref())?, limit).await?;
    let next_batch = paging::next(records.len(), limit, records.last().map(|(id, _)| *id));
    JsonBytes::of(&AuditPage { records: records.into_iter().map(AuditEntry::new).collect(), next_batch })
}
