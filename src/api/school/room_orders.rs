//! What teachers, those who watch over a chat, and administrators do with the school's rooms.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{
    administrator::{Administrator, refusal},
    chats::{ChatReply, actor},
    errors::ErrorReply,
    rollover::RolloverDone,
};
use crate::{
    http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, empty_json, services::Services},
    rooms::policy::Verb,
    school::{audit::Author, rooms::Mode},
    users::Session,
};

/// An announcement's length at most, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// What somebody wants of the room that the path names.
pub struct RoomOrder<T> {
    services: Arc<Services>,
    session: Arc<Session>,
    room_id: OwnedRoomId,
    wanted: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Services>> for RoomOrder<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, services: &Arc<Services>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let Auth(session) = Auth::from_request_parts(&mut parts, services).await?;
        let path = PathArgs::from_request_parts(&mut parts, services).await?;
        let body = JsonBody::from_request(Request::from_parts(parts, body), services).await?;
        Ok(Self { services: services.clone(), session, room_id: path.parse(0)?, wanted: body.parse()? })
    }
}

/// Who may write in a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// `open`: everybody in it; `one_way`: who teaches there; `closed`: nobody.
    #[schema(value_type = String, example = "one_way")]
    pub mode: Mode,
}

/// `PUT /_homeroom/v1/rooms/{room_id}/mode`: who may write in the room of a class, said by who teaches there.
#[utoipa::path(
    put,
    path = "/_homeroom/v1/rooms/{room_id}/mode",
    tag = "everyone",
    params(("room_id" = String, Path, description = "The room")),
    request_body = SetMode,
    responses(
        (status = 200, description = "It is so", body = Object),
        (status = 403, description = "The caller does not teach there", body = ErrorReply),
        (status = 404, description = "No room of a class that the caller is in", body = ErrorReply),
    )
)]
pub async fn set_mode(order: RoomOrder<SetMode>) -> Result<JsonBytes, ApiError> {
    let RoomOrder { services, session, room_id, wanted } = order;
    services.school.rooms.set_mode(&room_id, wanted.mode, &session.user_id).await?;
    Ok(empty_json())
}

/// Something to be announced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// The text, at most 16 KiB.
    pub text: String,
}

/// `POST /_homeroom/v1/rooms/{room_id}/announce`: announces a text. The same as a message in that room, which the school
/// repeats to each family or homeroom it is for.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/{room_id}/announce",
    tag = "everyone",
    params(("room_id" = String, Path, description = "A room for announcements: of a school, or of a class's families")),
    request_body = Announce,
    responses(
        (status = 200, description = "It is written, and on its way", body = Object),
        (status = 400, description = "There is no text, or too much", body = ErrorReply),
        (status = 403, description = "The caller may not announce there", body = ErrorReply),
        (status = 404, description = "No room for announcements", body = ErrorReply),
    )
)]
pub async fn announce(order: RoomOrder<Announce>) -> Result<JsonBytes, ApiError> {
    let RoomOrder { services, session, room_id, wanted } = order;
    if wanted.text.trim().is_empty() || wanted.text.len() > TEXT_BYTES_MAX {
        return Err(ApiError::invalid_param("text has to be between 1 byte and 16 KiB"));
    }
    services.school.rooms.announce(&room_id, &wanted.text, &session.user_id).await?;
    Ok(empty_json())
}

/// The pupil who may leave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentToLeave {
    /// A user id.
    #[schema(value_type = String)]
    pub student: OwnedUserId,
}

/// `POST /_homeroom/v1/rooms/{room_id}/consent_to_leave`: lets a pupil leave a chat that adults watch over; for them, and
/// for administrators.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/{room_id}/consent_to_leave",
    tag = "everyone",
    params(("room_id" = String, Path, description = "The room")),
    request_body = ConsentToLeave,
    responses(
        (status = 200, description = "The pupil has left", body = Object),
        (status = 403, description = "The caller does not watch over this chat", body = ErrorReply),
        (status = 404, description = "No such chat, or not its pupil", body = ErrorReply),
    )
)]
pub async fn consent_to_leave(order: RoomOrder<ConsentToLeave>) -> Result<JsonBytes, ApiError> {
    let RoomOrder { services, session, room_id, wanted } = order;
    let adult = (!session.admin).then_some(&*session.user_id);
    let author = Author::user(&session.user_id);
    services.school.rooms.consent_to_leave(&room_id, &wanted.student, (adult, &author)).await?;
    Ok(empty_json())
}

/// One adult in the place of another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceSupervisor {
    /// Who goes: a user id. Who is no administrator can only name themselves.
    #[schema(value_type = String)]
    pub old: OwnedUserId,
    /// Who comes: a user id.
    #[schema(value_type = String)]
    pub new: OwnedUserId,
}

/// `POST /_homeroom/v1/rooms/{room_id}/replace_supervisor`: puts one adult in the place of another in a chat they watch
/// over, in one step; for administrators, and for the adult who goes.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/{room_id}/replace_supervisor",
    tag = "everyone",
    params(("room_id" = String, Path, description = "The room")),
    request_body = ReplaceSupervisor,
    responses(
        (status = 200, description = "It is so", body = Object),
        (status = 400, description = "The new one cannot watch over it", body = ErrorReply),
        (status = 403, description = "Neither the caller nor an administrator's wish", body = ErrorReply),
        (status = 404, description = "No such chat, or not one of its adults, or nobody the caller may know of",
            body = ErrorReply),
    )
)]
pub async fn replace_supervisor(order: RoomOrder<ReplaceSupervisor>) -> Result<JsonBytes, ApiError> {
    let RoomOrder { services, session, room_id, wanted: ReplaceSupervisor { old, new } } = order;
    if !session.admin {
        if old != session.user_id {
            return Err(refusal());
        }
        if !services.school.rules.ruling(&session.user_id, &new, Verb::See).is_allowed() {
            return Err(crate::rooms::RoomsError::NoUser.into());
        }
    }
    let author = Author::user(&session.user_id);
    services.school.rooms.replace_supervisor(&room_id, (&old, &new), &author).await?;
    Ok(empty_json())
}

/// Whose family.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenFamily {
    /// The pupil: a user id.
    #[schema(value_type = String)]
    pub student: OwnedUserId,
}

/// `POST /_homeroom/v1/families`: the room of a pupil's family, made on first use; for its guardians, the tutor, and
/// adults of the school whom the rules let write to the pupil.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/families",
    tag = "everyone",
    request_body = OpenFamily,
    responses(
        (status = 200, description = "The room", body = ChatReply),
        (status = 403, description = "The school knows of no guardian", body = ErrorReply),
        (status = 404, description = "Nobody whose family the caller may write to", body = ErrorReply),
    )
)]
pub async fn open_family(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: OpenFamily = body.parse()?;
    let room_id = services.school.chats.family_room(&actor(&session), &wanted.student).await?;
    JsonBytes::of(&ChatReply { room_id: room_id.to_string() })
}

/// How far the school's rooms are.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomsProgress {
    /// Whether rooms are being worked on.
    pub working: bool,
    /// Rooms that are looked at in this pass.
    pub total: u64,
    /// Rooms looked at so far.
    pub looked_at: u64,
    /// What the last pass has done.
    pub last: RolloverDone,
}

/// `GET /_homeroom/v1/rooms/progress`: how far the school's rooms are what the roster says.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/rooms/progress",
    tag = "administration",
    responses((status = 200, description = "How far they are", body = RoomsProgress))
)]
pub async fn get_progress(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
) -> Result<JsonBytes, ApiError> {
    let now = *services.school.rooms.progress().borrow();
    let (working, total, looked_at) = (now.working, now.total, now.looked_at);
    JsonBytes::of(&RoomsProgress { working, total, looked_at, last: now.last.into() })
}

/// `POST /_homeroom/v1/rooms/reconcile`: looks at every room closely, also those of which nothing seems to have changed.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/reconcile",
    tag = "administration",
    responses((status = 200, description = "What was done", body = RolloverDone))
)]
pub async fn reconcile(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
) -> Result<JsonBytes, ApiError> {
    let done = services.school.rooms.reconcile().await?;
    JsonBytes::of(&RolloverDone::from(done))
}
