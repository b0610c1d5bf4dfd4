//! The people somebody may see, and what they may do with them.

use std::sync::Arc;

use axum::extract::State;
use ruma::UserId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{errors::ErrorReply, paging};
use crate::{
    http::{ApiError, Auth, JsonBytes, PathArgs, Query, services::Services},
    rooms::policy::Verb,
    school::{
        directory::{Contact, ContactsPage, ContactsQuery, Explanation},
        roster::SchoolRole,
    },
};

/// Most people of a page: each comes with what may be done with them.
const LIMIT_MAX: usize = 100;

/// The query of a list of contacts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContactsParams {
    /// Beginnings of names in any order, or of a user id; everybody if not given. At most 256 characters and 12 words.
    pub q: Option<String>,
    /// Only those with this role: `student`, `guardian`, `teacher`, `staff`, `leadership` or `safeguarding_lead`.
    pub role: Option<String>,
    /// Only those in this class, by its id.
    pub class: Option<String>,
    /// Only those to whom the caller has this relation, such as `teaches`.
    pub relation: Option<String>,
    /// Only those with whom this can be done in some way other than asking first: a verb such as `dm`.
    pub can: Option<String>,
    /// People at most (1 to 100, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// The query of a question why.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhyParams {
    /// The verb: `see`, `dm` (if not given), `knock`, `add`, `call`, `presence` or `photo`.
    pub verb: Option<String>,
}

/// `GET /_homeroom/v1/contacts`: the people the caller may see, those they have to do with first.
///
/// # Errors
/// `M_INVALID_PARAM` for a query too long, an unknown role, relation or verb, a foreign `from`; `M_NOT_FOUND` for a class
/// the caller may not read about.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/contacts",
    tag = "everyone",
    params(ContactsParams),
    responses(
        (status = 200, description = "People, best first, and counts of all of them", body = ContactsPage),
        (status = 400, description = "An argument is none", body = ErrorReply),
        (status = 404, description = "No such class", body = ErrorReply),
    )
)]
pub async fn get_contacts(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(params): Query<ContactsParams>,
) -> Result<JsonBytes, ApiError> {
    let role = params.role.as_deref().map(|name| SchoolRole::from_name(name).ok_or_else(|| unknown("role")));
    let query = ContactsQuery {
        q: params.q,
        role: role.transpose()?,
        class: params.class,
        relation: params.relation,
        can: params.can.as_deref().map(verb).transpose()?,
        limit: paging::limit(params.limit)?.min(LIMIT_MAX),
        from: params.from,
    };
    JsonBytes::of(&services.school.directory.contacts(session.user, &session.user_id, &query).await?)
}

/// `GET /_homeroom/v1/contacts/{userId}`: one person.
///
/// # Errors
/// `M_NOT_FOUND`, whether there is no such person or the caller may not know of them.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/contacts/{user_id}",
    tag = "everyone",
    params(("user_id" = String, Path, description = "The person's user id")),
    responses(
        (status = 200, description = "The person", body = Contact),
        (status = 404, description = "No such person, or none the caller may know of", body = ErrorReply),
    )
)]
pub async fn get_contact(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let target = path.parse::<&UserId>(0)?;
    JsonBytes::of(&services.school.directory.contact(session.user, &session.user_id, target).await?)
}

/// `GET /_homeroom/v1/contacts/{userId}/why`: what the contact rules say, and which of them.
///
/// # Errors
/// `M_NOT_FOUND` as for the contact, `M_INVALID_PARAM` for an unknown verb.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/contacts/{user_id}/why",
    tag = "everyone",
    params(("user_id" = String, Path, description = "The person's user id"), WhyParams),
    responses(
        (status = 200, description = "The decision", body = Explanation),
        (status = 400, description = "No such verb", body = ErrorReply),
        (status = 404, description = "No such person, or none the caller may know of", body = ErrorReply),
    )
)]
pub async fn get_why(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    Query(params): Query<WhyParams>,
) -> Result<JsonBytes, ApiError> {
    let verb = params.verb.as_deref().map_or(Ok(Verb::Dm), verb)?;
    JsonBytes::of(&services.school.directory.why(&session.user_id, path.parse::<&UserId>(0)?, verb)?)
}

fn verb(name: &str) -> Result<Verb, ApiError> {
    Verb::from_name(name).ok_or_else(|| unknown("verb"))
}

fn unknown(what: &str) -> ApiError {
    ApiError::invalid_param(format!("There is no such {what}"))
}
