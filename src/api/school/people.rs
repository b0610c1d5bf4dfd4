//! People as administrators see them.

use std::sync::Arc;

use axum::extract::State;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply, paging};
use crate::{
    http::{ApiError, JsonBody, JsonBytes, Query, empty_json, services::Services},
    school::{PeopleQuery, PersonLine, roster::SchoolRole},
};

/// The longest part of a name that is looked for, in bytes.
const QUERY_BYTES_MAX: usize = 256;

/// The query of a list of people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeopleParams {
    /// A part of a name, or of a user id.
    pub q: Option<String>,
    /// Only those with this role.
    pub role: Option<String>,
    /// People at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of people, by their accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeoplePage {
    /// The people.
    pub people: Vec<PersonLine>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// Two accounts of one person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergePeople {
    /// The account that is locked.
    #[schema(value_type = String)]
    pub from: OwnedUserId,
    /// The account that stays.
    #[schema(value_type = String)]
    pub into: OwnedUserId,
}

/// `GET /_homeroom/v1/people`: everybody the school knows.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/people",
    tag = "administration",
    params(PeopleParams),
    responses(
        (status = 200, description = "A page of people", body = PeoplePage),
        (status = 400, description = "No such role", body = ErrorReply),
    )
)]
pub async fn get_people(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(params): Query<PeopleParams>,
) -> Result<JsonBytes, ApiError> {
    if params.q.as_ref().is_some_and(|part| part.len() > QUERY_BYTES_MAX) {
        return Err(ApiError::invalid_param("q is too long"));
    }
    let role = params.role.as_deref().map(|name| SchoolRole::from_name(name).ok_or(name)).transpose();
    let role = role.map_err(|_| ApiError::invalid_param("There is no such role"))?;
    let query = PeopleQuery { q: params.q, role, after: paging::number(params.from.as_deref())? };
    let (people, next) = services.school.list_people(&query, paging::limit(params.limit)?).await?;
    JsonBytes::of(&PeoplePage { people, next_batch: next.map(|next| next.to_string()) })
}

/// `POST /_homeroom/v1/people/merge`: makes two accounts that are one person one. It cannot be undone.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/people/merge",
    tag = "administration",
    request_body = MergePeople,
    responses(
        (status = 200, description = "They are one", body = Object),
        (status = 404, description = "No such account", body = ErrorReply),
        (status = 409, description = "An import is at work", body = ErrorReply),
    )
)]
pub async fn merge_people(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: MergePeople = body.parse()?;
    let mut numbers = Vec::with_capacity(2);
    for user_id in [&wanted.from, &wanted.into] {
        let (number, _) = services.users.accounts.get(user_id).await?.ok_or(crate::users::UsersError::NoAccount)?;
        numbers.push(number);
    }
    if let [from, into] = *numbers.as_slice() {
        services.school.imports.merge(from, into, &administrator.author()).await?;
    }
    Ok(empty_json())
}
