//! Activation slips: made, printed, listed and revoked by administrators.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply, paging, slip_sheet};
use crate::{
    api::client::well_known::base_url,
    http::{ApiError, JsonBody, JsonBytes, PathArgs, Query, empty_json, services::Services},
    school::{
        people::{ClassNo, People, PersonNo},
        roster::{EnrollmentRole, SchoolRole},
        slips::{MadeSlips, SlipInfo, SlipRequest},
    },
};

/// Whose slips to make: named people, or those of a class.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MakeSlips {
    /// User ids.
    #[schema(value_type = Vec<String>, example = json!(["@p4k2m9:school.example"]))]
    pub users: Vec<OwnedUserId>,
    /// A class's id, as `GET /_homeroom/v1/classes` names it, or as its source does.
    pub class: Option<String>,
    /// Who of the class: `student` (as if not given), `guardian` (of its pupils) or `teacher`.
    pub role: Option<String>,
    /// Also for people who have a password: theirs is replaced, and their devices signed out, when the slip is used.
    pub reset: bool,
    /// How many days the slips are good (1 to 180, 30 if not given).
    pub days: Option<u16>,
}

/// Slips that were just made. Their codes are never shown again.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlipsReply {
    /// The slips.
    pub slips: Vec<SlipReply>,
    /// Who got none.
    pub skipped: Vec<SkippedReply>,
}

/// A slip with its code.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlipReply {
    /// Whose it is.
    pub user_id: String,
    /// How they are called.
    pub name: String,
    /// The title of their homeroom, or of the first homeroom of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The code, in groups.
    #[schema(example = "7KQ2M-XR4TB-9WHCA")]
    pub code: String,
    /// Where to use it: the address that the printed QR code holds.
    pub url: String,
    /// When it ends, in Unix milliseconds.
    pub until_ms: u64,
}

/// Somebody who got no slip.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkippedReply {
    /// Who.
    pub user_id: String,
    /// Why: `unknown`, `has_password`, `closed` or `not_for_this`.
    pub reason: String,
}

/// The query of a list of slips.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SlipsQuery {
    /// Slips at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of slips.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlipsPage {
    /// The slips.
    pub slips: Vec<SlipEntry>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A slip without its code, which nobody knows any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct SlipEntry {
    /// Whose it is.
    pub user_id: String,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// When it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_ms: Option<u64>,
}

impl From<SlipInfo> for SlipEntry {
    fn from(info: SlipInfo) -> Self {
        let slip = info.slip;
        let (created_ms, until_ms, used_ms) = (slip.created_ms, slip.until_ms, slip.used_ms);
        Self { user_id: info.user_id.into(), created_ms, until_ms, used_ms }
    }
}

/// `POST /_homeroom/v1/slips`: makes slips and answers their codes, this once.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/slips",
    tag = "administration",
    request_body = MakeSlips,
    responses(
        (status = 200, description = "The slips with their codes", body = SlipsReply),
        (status = 400, description = "Too many people, or a time out of bounds", body = ErrorReply),
        (status = 404, description = "No such class", body = ErrorReply),
    )
)]
pub async fn make_slips(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let reply = make(&services, &administrator, &body).await?;
    Ok(unstored(JsonBytes::of(&reply)?.into_response()))
}

/// `POST /_homeroom/v1/slips/print`: makes slips and answers a page to print, a slip on each sheet.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/slips/print",
    tag = "administration",
    request_body = MakeSlips,
    responses(
        (status = 200, description = "A page to print", body = String, content_type = "text/html"),
        (status = 400, description = "Too many people, or a time out of bounds", body = ErrorReply),
        (status = 404, description = "No such class", body = ErrorReply),
    )
)]
pub async fn print_slips(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let reply = make(&services, &administrator, &body).await?;
    slip_sheet::page(&services, &reply)
}

/// `GET /_homeroom/v1/slips`: slips that exist, used and past ones too.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/slips",
    tag = "administration",
    params(SlipsQuery),
    responses((status = 200, description = "A page of slips", body = SlipsPage))
)]
pub async fn get_slips(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<SlipsQuery>,
) -> Result<JsonBytes, ApiError> {
    let limit = paging::limit(query.limit)?;
    let slips = services.school.slips.list(paging::number(query.from.as_deref())?, limit).await?;
    let next_batch = paging::next(slips.len(), limit, slips.last().map(|slip| slip.user.0));
    JsonBytes::of(&SlipsPage { slips: slips.into_iter().map(SlipEntry::from).collect(), next_batch })
}

/// `DELETE /_homeroom/v1/slips/{user_id}`: ends somebody's slip.
#[utoipa::path(
    delete,
    path = "/_homeroom/v1/slips/{user_id}",
    tag = "administration",
    params(("user_id" = String, Path, description = "Whose slip")),
    responses(
        (status = 200, description = "It is ended", body = Object),
        (status = 404, description = "There is none", body = ErrorReply),
    )
)]
pub async fn delete_slip(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let user_id: &UserId = path.parse(0)?;
    if services.school.slips.revoke(&administrator.author(), user_id).await? {
        return Ok(empty_json());
    }
    Err(ApiError::not_found("There is no such slip"))
}

async fn make(services: &Services, administrator: &Administrator, body: &JsonBody) -> Result<SlipsReply, ApiError> {
    let wanted: MakeSlips = body.parse()?;
    let people = services.school.people();
    let mut users = wanted.users;
    if let Some(class) = &wanted.class {
        let class = class_named(&people, class).ok_or_else(|| ApiError::not_found("There is no such class"))?;
        let members = members(&people, class, wanted.role.as_deref())?;
        users.extend(members.into_iter().filter_map(|who| people.user_id(who, services.school.rules.server())));
    }
    let request = SlipRequest { users, reset: wanted.reset, days: wanted.days };
    let made = services.school.slips.make(&administrator.author(), &request).await?;
    Ok(reply(services, &people, made))
}

/// The class of a source's id, alone or behind the source and a slash.
fn class_named(people: &People, name: &str) -> Option<ClassNo> {
    let is_it = |source: &str, id: &str| {
        id == name || name.strip_prefix(source).and_then(|rest| rest.strip_prefix('/')) == Some(id)
    };
    people.classes().find(|(_, class)| is_it(&class.source, &class.id)).map(|(class, _)| class)
}

/// Those of a class who are meant, in the order of their family names.
fn members(people: &People, class: ClassNo, role: Option<&str>) -> Result<Vec<PersonNo>, ApiError> {
    let role = SchoolRole::from_name(role.unwrap_or("student"));
    let enrolled = |role| people.members(class).filter(move |member| member.role == role).map(|member| member.person);
    let found: BTreeSet<PersonNo> = match role {
        Some(SchoolRole::Student) => enrolled(EnrollmentRole::Student).collect(),
        Some(SchoolRole::Teacher) => enrolled(EnrollmentRole::Teacher).collect(),
        Some(SchoolRole::Guardian) => {
            let adults = enrolled(EnrollmentRole::Student).flat_map(|pupil| people.adults_of(pupil));
            adults.filter(|adult| adult.is_contact()).map(|adult| adult.person).collect()
        }
        _ => return Err(ApiError::invalid_param("role is student, guardian or teacher")),
    };
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_cached_key(|who| (people.family(*who).to_lowercase(), people.given(*who).to_lowercase()));
    Ok(found)
}

fn reply(services: &Services, people: &People, made: MadeSlips) -> SlipsReply {
    let base = base_url(&services.config);
    let slips = made.slips.into_iter().map(|slip| {
        let who = people.of_user(slip.user);
        let code = slip.code.printed().expose().clone();
        SlipReply {
            name: who.map_or_else(|| slip.user_id.localpart().to_owned(), |who| people.display_name(who)),
            class: who.and_then(|who| class_of(people, who)),
            url: format!("{base}/_homeroom/activate#{code}"),
            user_id: slip.user_id.into(),
            code,
            until_ms: slip.until_ms,
        }
    });
    let skipped = made
        .skipped
        .into_iter()
        .map(|(user_id, reason)| SkippedReply { user_id: user_id.into(), reason: reason.name().to_owned() });
    SlipsReply { slips: slips.collect(), skipped: skipped.collect() }
}

/// The homeroom by which a slip is sorted and handed out: a pupil's own, or that of a guardian's first child.
fn class_of(people: &People, who: PersonNo) -> Option<String> {
    let children = people.children_of(who).iter().filter(|child| child.is_contact()).map(|child| child.person);
    let class = std::iter::once(who).chain(children).find_map(|pupil| people.homerooms(pupil).next())?;
    Some(people.class(class)?.title.to_string())
}

/// An answer that nothing on its way may keep.
pub(super) fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
