//! What administrators decide about people: their roles, and links between pupils and adults.

use std::sync::Arc;

use axum::extract::State;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply};
use crate::{
    http::{ApiError, JsonBody, JsonBytes, PathArgs, Query, empty_json, services::Services},
    school::{
        decisions::{KnownLinkDecision, KnownRole, NewLinkDecision},
        roster::SchoolRole,
    },
};

/// Links and roles in an answer at most: there are few of either.
const LIST_MAX: usize = 10_000;

/// Roles given on this server.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolesReply {
    /// The roles.
    pub roles: Vec<RoleReply>,
}

/// A role given on this server.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleReply {
    /// Who has it.
    pub user_id: String,
    /// `student`, `guardian`, `teacher`, `staff`, `leadership` or `safeguarding_lead`.
    pub role: String,
    /// Who gave it.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Whether it holds now.
    pub in_force: bool,
}

impl From<KnownRole> for RoleReply {
    fn from(known: KnownRole) -> Self {
        let grant = known.grant;
        Self {
            user_id: known.user_id.into(),
            role: known.role.name().to_owned(),
            by: grant.by,
            at_ms: grant.at_ms,
            until_ms: grant.until_ms,
            in_force: known.in_force,
        }
    }
}

/// When a role ends.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantRole {
    /// Unix time in milliseconds; until it is taken back if not given.
    pub until_ms: Option<u64>,
}

/// The query of a list about one person.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AboutQuery {
    /// Only about this user.
    pub user: Option<String>,
    /// Entries at most (1 to 200, 50 if not given). Without effect on roles and links, which are few.
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

impl AboutQuery {
    pub(super) fn user(&self) -> Result<Option<OwnedUserId>, ApiError> {
        let user = self.user.as_deref().map(UserId::parse).transpose();
        user.map_err(|_| ApiError::invalid_param("user is not a user id"))
    }
}

/// `GET /_homeroom/v1/roles`: the roles given on this server.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/roles",
    tag = "administration",
    params(AboutQuery),
    responses((status = 200, description = "The roles", body = RolesReply))
)]
pub async fn get_roles(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<AboutQuery>,
) -> Result<JsonBytes, ApiError> {
    let roles = services.school.decisions.roles(query.user()?.as_deref()).await?;
    JsonBytes::of(&RolesReply { roles: roles.into_iter().take(LIST_MAX).map(RoleReply::from).collect() })
}

/// `PUT /_homeroom/v1/roles/{user_id}/{role}`: gives a role.
#[utoipa::path(
    put,
    path = "/_homeroom/v1/roles/{user_id}/{role}",
    tag = "administration",
    params(("user_id" = String, Path, description = "Who"), ("role" = String, Path, description = "Which role")),
    request_body = GrantRole,
    responses(
        (status = 200, description = "It is in force", body = Object),
        (status = 400, description = "No such role, or not for this account", body = ErrorReply),
        (status = 404, description = "No such account", body = ErrorReply),
    )
)]
pub async fn put_role(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: GrantRole = body.parse()?;
    let by = administrator.author();
    services.school.decisions.grant_role(path.parse(0)?, role(path.get(1))?, wanted.until_ms, &by).await?;
    Ok(empty_json())
}

/// `DELETE /_homeroom/v1/roles/{user_id}/{role}`: takes a role back that was given here.
#[utoipa::path(
    delete,
    path = "/_homeroom/v1/roles/{user_id}/{role}",
    tag = "administration",
    params(("user_id" = String, Path, description = "Who"), ("role" = String, Path, description = "Which role")),
    responses(
        (status = 200, description = "It is taken back", body = Object),
        (status = 404, description = "It was not given here", body = ErrorReply),
    )
)]
pub async fn delete_role(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    services.school.decisions.revoke_role(path.parse(0)?, role(path.get(1))?, &administrator.author()).await?;
    Ok(empty_json())
}

fn role(name: &str) -> Result<SchoolRole, ApiError> {
    SchoolRole::from_name(name).ok_or_else(|| ApiError::invalid_param("There is no such role"))
}

/// What this server says of pupils and adults.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinksReply {
    /// The decisions.
    pub links: Vec<LinkReply>,
}

/// What this server says of a pupil and an adult.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkReply {
    /// The pupil.
    pub student: String,
    /// The adult.
    pub adult: String,
    /// Whether the school deals with the adult about the pupil; null leaves it to the roster.
    pub contact: Option<bool>,
    /// Whether the two must be kept apart; null leaves it to the roster.
    pub isolated: Option<bool>,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

impl From<KnownLinkDecision> for LinkReply {
    fn from(known: KnownLinkDecision) -> Self {
        let decision = known.decision;
        Self {
            student: known.student.into(),
            adult: known.adult.into(),
            contact: decision.contact,
            isolated: decision.isolated,
            reason: decision.reason,
            by: decision.by,
            at_ms: decision.at_ms,
        }
    }
}

/// A decision about a pupil and an adult.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideLink {
    /// Whether the school deals with the adult about the pupil; left to the roster if not given.
    #[serde(default)]
    pub contact: Option<bool>,
    /// Whether the two must be kept apart; left to the roster if not given.
    #[serde(default)]
    pub isolated: Option<bool>,
    /// Why, for the record.
    pub reason: String,
}

/// `GET /_homeroom/v1/links`: what this server says of pupils and adults; `user` is a pupil.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/links",
    tag = "administration",
    params(AboutQuery),
    responses((status = 200, description = "The decisions", body = LinksReply))
)]
pub async fn get_links(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<AboutQuery>,
) -> Result<JsonBytes, ApiError> {
    let links = services.school.decisions.links(query.user()?.as_deref(), LIST_MAX).await?;
    JsonBytes::of(&LinksReply { links: links.into_iter().map(LinkReply::from).collect() })
}

/// `PUT /_homeroom/v1/links/{student}/{adult}`: decides about a pupil and an adult, whatever the roster says.
#[utoipa::path(
    put,
    path = "/_homeroom/v1/links/{student}/{adult}",
    tag = "administration",
    params(("student" = String, Path, description = "The pupil"), ("adult" = String, Path, description = "The adult")),
    request_body = DecideLink,
    responses(
        (status = 200, description = "It is in force", body = Object),
        (status = 400, description = "It contradicts itself", body = ErrorReply),
        (status = 404, description = "No such account", body = ErrorReply),
    )
)]
pub async fn put_link(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: DecideLink = body.parse()?;
    let (student, adult): (&UserId, &UserId) = (path.parse(0)?, path.parse(1)?);
    let decision = NewLinkDecision {
        student: student.to_owned(),
        adult: adult.to_owned(),
        contact: wanted.contact,
        isolated: wanted.isolated,
        reason: wanted.reason,
    };
    services.school.decisions.decide_link(&decision, &administrator.author()).await?;
    Ok(empty_json())
}

/// `DELETE /_homeroom/v1/links/{student}/{adult}`: leaves a pupil and an adult to the roster again.
#[utoipa::path(
    delete,
    path = "/_homeroom/v1/links/{student}/{adult}",
    tag = "administration",
    params(("student" = String, Path, description = "The pupil"), ("adult" = String, Path, description = "The adult")),
    responses(
        (status = 200, description = "It is left to the roster", body = Object),
        (status = 404, description = "Nothing was decided", body = ErrorReply),
    )
)]
pub async fn delete_link(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    services.school.decisions.clear_link(path.parse(0)?, path.parse(1)?, &administrator.author()).await?;
    Ok(empty_json())
}
