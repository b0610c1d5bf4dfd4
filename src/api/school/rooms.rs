//! The school's rooms and tasks.

use std::sync::Arc;

use axum::extract::State;
use ruma::RoomId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply, paging};
use crate::{
    http::{ApiError, Auth, JsonBytes, PathArgs, Query, empty_json, services::Services},
    school::audit::Author,
    store::{
        RoomNo,
        schema::school::{RoomKind, RoomLink, Task},
    },
};

/// The query of a list of rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RoomsQuery {
    /// Only those that are `frozen`, `archived`, `active` (neither), or `orphan` (nobody but the school is in them).
    pub state: Option<String>,
    /// Rooms at most (1 to 200, 50 if not given). Of orphans a page may have fewer, and still go on.
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomsPage {
    /// The rooms.
    pub rooms: Vec<RoomReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A room the school made.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomReply {
    /// Its id.
    pub room_id: String,
    /// What it is for: `school_space`, `year_space`, `class_space`, `class`, `class_family`, `family`, `staff`,
    /// `department`, `announce` or `supervised`; `direct` for a chat of two that is closed.
    #[schema(value_type = String)]
    pub kind: RoomKind,
    /// The object it is for.
    pub object: String,
    /// Its name.
    pub name: Option<String>,
    /// Who has joined it, the school itself included.
    pub members: u64,
    /// Whether it is read-only.
    pub frozen: bool,
    /// Whether its year is over.
    pub archived: bool,
    /// Whether nobody but the school is in it.
    pub orphan: bool,
}

/// `GET /_homeroom/v1/rooms`: the rooms the school made, and the chats of two that it has closed.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/rooms",
    tag = "administration",
    params(RoomsQuery),
    responses(
        (status = 200, description = "A page of rooms", body = RoomsPage),
        (status = 400, description = "No such state", body = ErrorReply),
    )
)]
pub async fn get_rooms(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<RoomsQuery>,
) -> Result<JsonBytes, ApiError> {
    let (limit, after) = (paging::limit(query.limit)?, paging::number(query.from.as_deref())?.map(RoomNo));
    let (wanted, only_orphans): (fn(&RoomLink) -> bool, bool) = match query.state.as_deref() {
        None => (|_| true, false),
        Some("frozen") => (|link| link.frozen, false),
        Some("archived") => (|link| link.archived, false),
        Some("active") => (|link| !link.frozen && !link.archived, false),
        Some("orphan") => (|_| true, true),
        Some(_) => return Err(ApiError::invalid_param("state is frozen, archived, active or orphan")),
    };
    let lines = services.school.rooms.list(after, limit, wanted).await?;
    let next_batch = paging::next(lines.len(), limit, lines.last().map(|line| line.number.0));
    let rooms = lines.into_iter().filter(|line| line.orphaned || !only_orphans).map(|line| RoomReply {
        room_id: line.room_id.to_string(),
        kind: line.link.kind,
        object: line.link.object,
        name: line.name,
        members: line.members,
        frozen: line.link.frozen,
        archived: line.link.archived,
        orphan: line.orphaned,
    });
    JsonBytes::of(&RoomsPage { rooms: rooms.collect(), next_batch })
}

/// `POST /_homeroom/v1/rooms/{room_id}/freeze`: makes a room read-only until it is opened again.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/{room_id}/freeze",
    tag = "administration",
    params(("room_id" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "It is read-only", body = Object),
        (status = 404, description = "None of the school's rooms", body = ErrorReply),
    )
)]
pub async fn freeze_room(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let room_id: &RoomId = path.parse(0)?;
    services.school.rooms.freeze(room_id, true, &administrator.author()).await?;
    Ok(empty_json())
}

/// `POST /_homeroom/v1/rooms/{room_id}/unfreeze`: opens a room again that was made read-only by hand.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rooms/{room_id}/unfreeze",
    tag = "administration",
    params(("room_id" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "It is open, unless something else keeps it shut", body = Object),
        (status = 404, description = "None of the school's rooms", body = ErrorReply),
    )
)]
pub async fn unfreeze_room(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let room_id: &RoomId = path.parse(0)?;
    services.school.rooms.freeze(room_id, false, &administrator.author()).await?;
    Ok(empty_json())
}

/// The query of a list of tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TasksQuery {
    /// `open` (as if not given), oldest first, or `all`, newest first, for administrators.
    pub state: Option<String>,
    /// Tasks at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct TasksPage {
    /// The tasks.
    pub tasks: Vec<TaskReply>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// Something to look after.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskReply {
    /// Its number.
    pub id: u64,
    /// What happened: a short word such as `class.without_adult`.
    pub kind: String,
    /// The room it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// For people.
    pub text: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_ms: Option<u64>,
}

/// `GET /_homeroom/v1/tasks`: one's own open tasks; for administrators, everybody's.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/tasks",
    tag = "everyone",
    params(TasksQuery),
    responses((status = 200, description = "A page of tasks", body = TasksPage))
)]
pub async fn get_tasks(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<TasksQuery>,
) -> Result<JsonBytes, ApiError> {
    let (limit, from) = (paging::limit(query.limit)?, paging::number(query.from.as_deref())?);
    let tasks = &services.school.tasks;
    let found = match query.state.as_deref() {
        Some("all") if session.admin => tasks.list(from, limit).await?,
        Some("all") => return Err(super::administrator::refusal()),
        None | Some("open") => tasks.open((!session.admin).then_some(session.user), from, limit),
        Some(_) => return Err(ApiError::invalid_param("state is open or all")),
    };
    let next_batch = paging::next(found.len(), limit, found.last().map(|(number, _)| *number));
    let mut tasks = Vec::with_capacity(found.len());
    for (id, task) in found {
        tasks.push(task_reply(&services, id, task).await?);
    }
    JsonBytes::of(&TasksPage { tasks, next_batch })
}

/// `POST /_homeroom/v1/tasks/{id}/done`: one's own task is done; for administrators, anybody's.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/tasks/{id}/done",
    tag = "everyone",
    params(("id" = u64, Path, description = "The task's number")),
    responses(
        (status = 200, description = "It is done", body = Object),
        (status = 404, description = "No such open task, or somebody else's", body = ErrorReply),
    )
)]
pub async fn finish_task(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let of = (!session.admin).then_some(session.user);
    services.school.tasks.done(paging::id(&path, 0)?, of, &Author::user(&session.user_id)).await?;
    Ok(empty_json())
}

async fn task_reply(services: &Services, id: u64, task: Task) -> Result<TaskReply, ApiError> {
    let room_id = match task.room {
        Some(room) => Some(services.store.room_id(room).await?.to_string()),
        None => None,
    };
    let assignee = match task.assignee {
        Some(user) => Some(services.store.user_id(user).await?.to_string()),
        None => None,
    };
    let Task { kind, text, at_ms, done_ms, .. } = task;
    Ok(TaskReply { id, kind, room_id, assignee, text, at_ms, done_ms })
}
