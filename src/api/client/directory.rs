//! The published room directory.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    ServerName, UInt,
    api::client::{
        directory::{
            get_public_rooms as get_public_rooms_v3, get_public_rooms_filtered as get_public_rooms_filtered_v3,
            get_room_visibility as get_room_visibility_v3, set_room_visibility as set_room_visibility_v3,
        },
        room::Visibility,
    },
    directory::RoomNetwork,
};
use serde_json::{Value, json};

use super::actor::{actor, caller};
use crate::{
    http::{ApiError, JsonBytes, OptionalAuth, Reply, Ruma, services::Services},
    rooms::{DirectoryPage, DirectoryQuery, RoomsError},
};

/// `GET /_matrix/client/v3/publicRooms`: the published rooms.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms)
pub async fn get_public_rooms(
    State(services): State<Arc<Services>>,
    OptionalAuth(session): OptionalAuth,
    request: Ruma<get_public_rooms_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_public_rooms_v3::v3::Request { limit, since, server, .. } = request.body;
    let query = DirectoryQuery { limit: limit.map(rows), since, ..DirectoryQuery::default() };
    let viewer = caller(session.as_deref());
    if let Some(server) = other(&services, server.as_deref()) {
        // A stranger cannot make this server ask others.
        let viewer = viewer.ok_or_else(ApiError::missing_token)?;
        return listing(&services.rooms.remote_public_rooms(Some(viewer), server, query).await?);
    }
    listing(&services.rooms.public_rooms(viewer, &query).await?)
}

/// `POST /_matrix/client/v3/publicRooms`: the published rooms that match a filter.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms)
pub async fn get_public_rooms_filtered(
    State(services): State<Arc<Services>>,
    request: Ruma<get_public_rooms_filtered_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_public_rooms_filtered_v3::v3::Request { limit, since, server, filter, room_network, .. } = request.body;
    let query = DirectoryQuery {
        limit: limit.map(rows),
        since,
        term: filter.generic_search_term,
        room_types: filter.room_types,
    };
    let viewer = caller(Some(&request.session));
    if let Some(server) = other(&services, server.as_deref()) {
        return listing(&services.rooms.remote_public_rooms(viewer, server, query).await?);
    }
    let page = match room_network {
        // No room here belongs to a network of third parties.
        RoomNetwork::ThirdParty(_) => DirectoryPage::default(),
        _ => services.rooms.public_rooms(viewer, &query).await?,
    };
    listing(&page)
}

/// The answer of both. ruma leaves out the join rule `public`; clients that knock want to be told it.
pub(in crate::api) fn listing(page: &DirectoryPage) -> Result<JsonBytes, ApiError> {
    let mut answer = json!({ "chunk": page.chunk, "total_room_count_estimate": page.total });
    for room in answer.get_mut("chunk").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(room) = room.as_object_mut() {
            room.entry("join_rule").or_insert_with(|| "public".into());
        }
    }
    for (key, token) in [("next_batch", &page.next_batch), ("prev_batch", &page.prev_batch)] {
        if let (Some(token), Some(answer)) = (token, answer.as_object_mut()) {
            answer.insert(key.into(), token.as_str().into());
        }
    }
    JsonBytes::of(&answer)
}

/// `GET /_matrix/client/v3/directory/list/room/{roomId}`: whether a room is in the directory.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid)
pub async fn get_room_visibility(
    State(services): State<Arc<Services>>,
    OptionalAuth(session): OptionalAuth,
    request: Ruma<get_room_visibility_v3::v3::Request>,
) -> Result<Reply<get_room_visibility_v3::v3::Response>, ApiError> {
    let viewer = caller(session.as_deref());
    let published = services.rooms.is_published(viewer, &request.body.room_id).await?.ok_or(RoomsError::NoRoom)?;
    let visibility = if published { Visibility::Public } else { Visibility::Private };
    Ok(Reply(get_room_visibility_v3::v3::Response::new(visibility)))
}

/// `PUT /_matrix/client/v3/directory/list/room/{roomId}`: puts a room into the directory or takes it out.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid)
pub async fn set_room_visibility(
    State(services): State<Arc<Services>>,
    request: Ruma<set_room_visibility_v3::v3::Request>,
) -> Result<Reply<set_room_visibility_v3::v3::Response>, ApiError> {
    let published = match request.body.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(ApiError::invalid_param("`visibility` is `public` or `private`")),
    };
    let session = &request.session;
    services.rooms.publish(&actor(session), &request.body.room_id, published, session.admin).await?;
    Ok(Reply(set_room_visibility_v3::v3::Response::new()))
}

/// The other server whose directory is asked for.
fn other<'a>(services: &Services, server: Option<&'a ServerName>) -> Option<&'a ServerName> {
    server.filter(|server| **server != *services.config.server.name)
}

pub(in crate::api) fn rows(limit: UInt) -> usize {
    usize::try_from(u64::from(limit)).unwrap_or(usize::MAX)
}
