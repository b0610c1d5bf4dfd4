//! Starting a chat, and asking for one.

use std::sync::Arc;

use axum::extract::State;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{errors::ErrorReply, paging};
use crate::{
    http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, Query, Session, services::Services},
    rooms::Actor,
    school::knocks::{KnockAnswer, SeenKnock},
    store::schema::school::KnockState,
};

/// A chat to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartChat {
    /// With whom: a user id.
    #[schema(value_type = String)]
    pub with: OwnedUserId,
    /// What it is about.
    #[serde(default)]
    pub topic: Option<String>,
}

/// The room of a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatReply {
    /// Its id.
    pub room_id: String,
}

/// `POST /_homeroom/v1/chats`: starts a chat, or answers the room there is. The same as a client's `createRoom` for a
/// direct chat: where the rules ask for it, other adults are in the room.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/chats",
    tag = "everyone",
    request_body = StartChat,
    responses(
        (status = 200, description = "The room", body = ChatReply),
        (status = 403, description = "The contact rules say no; `org.homeroom.reason` begins with `knock.` where the \
            other has to be asked first", body = ErrorReply),
        (status = 404, description = "Nobody the caller may know of", body = ErrorReply),
    )
)]
pub async fn start_chat(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: StartChat = body.parse()?;
    check_known(&services, &wanted.with).await?;
    let room_id = services.school.chats.start_chat(&actor(&session), &wanted.with, wanted.topic).await?;
    JsonBytes::of(&ChatReply { room_id: room_id.to_string() })
}

/// A request for contact, to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskKnock {
    /// Whom: a user id.
    #[schema(value_type = String)]
    pub to: OwnedUserId,
    /// What it is about: 1 to 500 characters.
    pub text: String,
}

/// What to do with a request for contact.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerKnock {
    /// `accept` or `decline` one of somebody else, `withdraw` one's own.
    #[schema(example = "accept")]
    pub action: String,
}

/// The query of a list of requests for contact.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KnocksQuery {
    /// Requests at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of requests for contact, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct KnocksPage {
    /// The requests.
    pub knocks: Vec<KnockEntry>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A request for contact as one of the two sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct KnockEntry {
    /// Its number.
    pub id: u64,
    /// `out` for one's own, `in` for one of somebody else.
    pub direction: String,
    /// The other: a user id.
    pub with: String,
    /// How the other is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is about.
    pub text: String,
    /// `open`, `accepted`, `declined` (only told to who declined) or `withdrawn`.
    pub state: String,
    /// The room that came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// When it was made, in Unix milliseconds.
    pub at_ms: u64,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_ms: Option<u64>,
}

/// The number of a new request for contact.
#[derive(Debug, Serialize, ToSchema)]
pub struct KnockReply {
    /// Its number.
    pub id: u64,
}

/// `POST /_homeroom/v1/knocks`: asks somebody for contact whom one may only write to with their consent.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/knocks",
    tag = "everyone",
    request_body = AskKnock,
    responses(
        (status = 200, description = "It waits for an answer", body = KnockReply),
        (status = 403, description = "The contact rules say no", body = ErrorReply),
        (status = 404, description = "Nobody the caller may know of", body = ErrorReply),
        (status = 409, description = "Nobody has to ask here, or too many requests are open", body = ErrorReply),
    )
)]
pub async fn ask_knock(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: AskKnock = body.parse()?;
    let id = services.school.knocks.ask(&actor(&session), &wanted.to, &wanted.text).await?;
    JsonBytes::of(&KnockReply { id })
}

/// `GET /_homeroom/v1/knocks`: one's own requests for contact, and those of others.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/knocks",
    tag = "everyone",
    params(KnocksQuery),
    responses((status = 200, description = "A page, newest first", body = KnocksPage))
)]
pub async fn get_knocks(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<KnocksQuery>,
) -> Result<JsonBytes, ApiError> {
    let limit = paging::limit(query.limit)?;
    let seen = services.school.knocks.list(session.user, paging::number(query.from.as_deref())?, limit).await?;
    let next_batch = paging::next(seen.len(), limit, seen.last().map(|knock| knock.number));
    let mut knocks = Vec::with_capacity(seen.len());
    for knock in seen {
        knocks.push(entry(&services, knock).await?);
    }
    JsonBytes::of(&KnocksPage { knocks, next_batch })
}

/// `POST /_homeroom/v1/knocks/{id}`: answers a request for contact, or takes one's own back.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/knocks/{id}",
    tag = "everyone",
    params(("id" = u64, Path, description = "The number of the request")),
    request_body = AnswerKnock,
    responses(
        (status = 200, description = "How it stands now", body = KnockEntry),
        (status = 404, description = "Not the caller's to answer", body = ErrorReply),
        (status = 409, description = "It was answered already", body = ErrorReply),
    )
)]
pub async fn answer_knock(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: AnswerKnock = body.parse()?;
    let answer = KnockAnswer::from_name(&wanted.action);
    let answer = answer.ok_or_else(|| ApiError::invalid_param("action is accept, decline or withdraw"))?;
    let number = paging::id(&path, 0)?;
    let knock = services.school.knocks.answer(&actor(&session), number, answer).await?;
    JsonBytes::of(&entry(&services, knock).await?)
}

async fn entry(services: &Services, seen: SeenKnock) -> Result<KnockEntry, ApiError> {
    let people = services.school.people();
    let SeenKnock { number, mine, with, knock } = seen;
    let room_id = match knock.room {
        Some(room) => Some(services.store.room_id(room).await?.to_string()),
        None => None,
    };
    let state = match knock.state {
        KnockState::Open => "open",
        KnockState::Accepted => "accepted",
        KnockState::Declined | KnockState::DeclinedAndWithdrawn => "declined",
        KnockState::Withdrawn => "withdrawn",
    };
    Ok(KnockEntry {
        id: number,
        direction: if mine { "out" } else { "in" }.into(),
        name: people.find(&with).map(|who| people.display_name(who)),
        with: with.into(),
        text: knock.text,
        state: state.into(),
        room_id,
        at_ms: knock.at_ms,
        answered_ms: knock.answered_ms,
    })
}

/// An unknown name is refused as a hidden one is, before anything else is said about it.
async fn check_known(services: &Services, user_id: &UserId) -> Result<(), ApiError> {
    let known =
        user_id.server_name() != services.config.server.name || services.users.accounts.is_open(user_id).await?;
    if known { Ok(()) } else { Err(crate::rooms::RoomsError::NoUser.into()) }
}

pub(super) fn actor(session: &Session) -> Actor<'_> {
    Actor { user_id: &session.user_id, user: session.user, device_id: session.device_id.as_str(), guest: session.guest }
}
