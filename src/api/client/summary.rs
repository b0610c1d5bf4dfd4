//! Rooms in few words, and the rooms of a space.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    RoomAliasId, RoomId,
    api::client::{room::get_summary as get_summary_v1, space::get_hierarchy as get_hierarchy_v1},
};
use serde::Serialize;

use super::actor::caller;
use crate::{
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::{hierarchy::HierarchyQuery, summary::Summary},
    store::schema::rooms::Membership,
};

/// `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias)
///
/// # Errors
/// `M_NOT_FOUND` when there is no such room, or the caller may not know of it.
pub async fn get_summary(
    State(services): State<Arc<Services>>,
    request: Ruma<get_summary_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let viewer = caller(request.session.as_deref());
    let name = &request.body.room_id_or_alias;
    let hidden = || ApiError::not_found("There is no such room, or you may not know of it");
    let (id, via) = match (<&RoomId>::try_from(&**name), <&RoomAliasId>::try_from(&**name)) {
        (Ok(id), _) => (id.to_owned(), request.body.via.clone()),
        (_, Ok(alias)) => {
            let found = services.rooms.find_alias(viewer, alias).await?.ok_or_else(hidden)?;
            (found.room_id, found.servers)
        }
        _ => return Err(hidden()),
    };
    let room = match (services.rooms.by_id(&id).await?, viewer) {
        (Some(room), _) if !room.view().joined.is_empty() => room,
        (_, Some(viewer)) => {
            let summary = services.rooms.summary_elsewhere(&id, &via, viewer).await?;
            return JsonBytes::of(&summary.ok_or_else(hidden)?);
        }
        // A stranger cannot make this server ask others.
        (_, None) => return Err(hidden()),
    };
    if !services.rooms.may_preview(&room, viewer).await? {
        return Err(hidden());
    }
    let mut summary = services.rooms.summary(&room).await?;
    if let Some((user, _)) = viewer {
        let record = services.rooms.membership(room.number, user).await?;
        summary.membership = Some(match record.map(|record| record.membership) {
            Some(Membership::Join) => "join",
            Some(Membership::Invite) => "invite",
            Some(Membership::Knock) => "knock",
            Some(Membership::Ban) => "ban",
            Some(Membership::Leave) | None => "leave",
        });
    }
    JsonBytes::of(&summary)
}

/// A page of a space.
#[derive(Serialize)]
struct Hierarchy {
    rooms: Vec<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy)
///
/// # Errors
/// `M_FORBIDDEN` when the caller may not know of the room, `M_INVALID_PARAM` when a later page is asked for with other
/// parameters than the first.
pub async fn get_hierarchy(
    State(services): State<Arc<Services>>,
    request: Ruma<get_hierarchy_v1::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let body = request.body;
    let max_depth: Option<u64> = body.max_depth.map(Into::into);
    // What a page was asked with is part of its token.
    let asked = format!("{}.{}", max_depth.map_or("all".into(), |depth| depth.to_string()), body.suggested_only);
    let skip = match body.from.as_deref().filter(|from| !from.is_empty()) {
        None => 0,
        Some(from) => {
            read_token(from, &asked).ok_or_else(|| ApiError::invalid_param("`from` is not a token for this query"))?
        }
    };
    let limit = body.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let session = &request.session;
    let query = HierarchyQuery { skip, limit, max_depth, suggested_only: body.suggested_only };
    let (rooms, more) = services.rooms.hierarchy(&body.room_id, (session.user, &session.user_id), query).await?;
    let next_batch = more.then(|| format!("h{}.{asked}", skip + rooms.len()));
    JsonBytes::of(&Hierarchy { rooms, next_batch })
}

fn read_token(token: &str, asked: &str) -> Option<usize> {
    let (skip, with) = token.strip_prefix('h')?.split_once('.')?;
    if with == asked { skip.parse().ok() } else { None }
}
