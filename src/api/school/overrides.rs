//! What administrators decide about pairs of people by name.

use std::sync::Arc;

use axum::extract::State;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{administrator::Administrator, decisions::AboutQuery, errors::ErrorReply, paging};
use crate::{
    http::{ApiError, JsonBody, JsonBytes, PathArgs, Query, empty_json, services::Services},
    rooms::policy::Verb,
    school::decisions::{KnownOverride, NewOverride},
    store::schema::school::OverrideEffect,
};

/// A page of overrides, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverridesPage {
    /// The overrides.
    pub overrides: Vec<OverrideReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A decision about one pair of people, in one direction.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideReply {
    /// Its number.
    pub id: u64,
    /// Who acts.
    pub actor: String,
    /// On whom.
    pub target: String,
    /// A verb such as `dm`; null for all.
    pub verb: Option<String>,
    /// `allow`, `supervised` or `deny`.
    #[schema(value_type = String)]
    pub effect: OverrideEffect,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Whether it holds now.
    pub in_force: bool,
}

impl From<KnownOverride> for OverrideReply {
    fn from(known: KnownOverride) -> Self {
        let row = known.row;
        Self {
            id: known.number,
            actor: known.actor.into(),
            target: known.target.into(),
            verb: row.verb,
            effect: row.effect,
            reason: row.reason,
            by: row.by,
            at_ms: row.at_ms,
            until_ms: row.until_ms,
            in_force: known.in_force,
        }
    }
}

/// An override to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddOverride {
    /// Who acts.
    #[schema(value_type = String)]
    pub actor: OwnedUserId,
    /// On whom. The other direction is another override.
    #[schema(value_type = String)]
    pub target: OwnedUserId,
    /// A verb such as `dm`; all if not given.
    #[serde(default)]
    pub verb: Option<String>,
    /// `allow`, `supervised` or `deny`.
    #[schema(value_type = String, example = "deny")]
    pub effect: OverrideEffect,
    /// Why, for the record.
    pub reason: String,
    /// When it ends, in Unix milliseconds; when it is taken back if not given.
    #[serde(default)]
    pub until_ms: Option<u64>,
}

/// The number of a new override.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverrideId {
    /// Its number.
    pub id: u64,
}

/// `GET /_homeroom/v1/overrides`: decisions about pairs of people.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/overrides",
    tag = "administration",
    params(AboutQuery),
    responses((status = 200, description = "A page, newest first", body = OverridesPage))
)]
pub async fn get_overrides(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<AboutQuery>,
) -> Result<JsonBytes, ApiError> {
    let (limit, before) = (paging::limit(query.limit)?, paging::number(query.from.as_deref())?);
    let known = services.school.decisions.overrides(query.user()?.as_deref(), before, limit).await?;
    let next_batch = paging::next(known.len(), limit, known.last().map(|known| known.number));
    JsonBytes::of(&OverridesPage { overrides: known.into_iter().map(OverrideReply::from).collect(), next_batch })
}

/// `POST /_homeroom/v1/overrides`: decides about a pair of people.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/overrides",
    tag = "administration",
    request_body = AddOverride,
    responses(
        (status = 200, description = "It is in force", body = OverrideId),
        (status = 400, description = "It cannot be decided", body = ErrorReply),
        (status = 404, description = "No such account", body = ErrorReply),
    )
)]
pub async fn add_override(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: AddOverride = body.parse()?;
    let new = NewOverride {
        actor: wanted.actor,
        target: wanted.target,
        verb: wanted.verb.as_deref().map(verb).transpose()?,
        effect: wanted.effect,
        reason: wanted.reason,
        until_ms: wanted.until_ms,
    };
    let id = services.school.decisions.add_override(&new, &administrator.author()).await?;
    JsonBytes::of(&OverrideId { id })
}

/// `DELETE /_homeroom/v1/overrides/{id}`: takes an override back.
#[utoipa::path(
    delete,
    path = "/_homeroom/v1/overrides/{id}",
    tag = "administration",
    params(("id" = u64, Path, description = "The override's number")),
    responses(
        (status = 200, description = "It is taken back", body = Object),
        (status = 404, description = "No such override", body = ErrorReply),
    )
)]
pub async fn delete_override(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    services.school.decisions.remove_override(paging::id(&path, 0)?, &administrator.author()).await?;
    Ok(empty_json())
}

pub(super) fn verb(name: &str) -> Result<Verb, ApiError> {
    Verb::from_name(name).ok_or_else(|| ApiError::invalid_param("There is no such verb"))
}
