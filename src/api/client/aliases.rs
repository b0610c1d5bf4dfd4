//! Names of rooms.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::{
    client::{
        alias::{create_alias as create_alias_v3, delete_alias as delete_alias_v3, get_alias as get_alias_v3},
        room::aliases as aliases_v3,
    },
    error::ErrorCode,
};

use super::actor::{actor, caller};
use crate::{
    http::{ApiError, OptionalAuth, Reply, Ruma, services::Services},
    rooms::RoomsError,
};

/// `PUT /_matrix/client/v3/directory/room/{roomAlias}`: makes an alias.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias)
pub async fn create_alias(
    State(services): State<Arc<Services>>,
    request: Ruma<create_alias_v3::v3::Request>,
) -> Result<Reply<create_alias_v3::v3::Response>, ApiError> {
    let create_alias_v3::v3::Request { room_alias, room_id, .. } = request.body;
    match services.rooms.create_alias(&actor(&request.session), &room_alias, &room_id).await {
        Ok(()) => Ok(Reply(create_alias_v3::v3::Response::new())),
        // Unlike when a room is created, the specification wants 409 here.
        Err(RoomsError::AliasInUse) => {
            Err(ApiError::new(StatusCode::CONFLICT, ErrorCode::Unknown, "This room alias is taken"))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /_matrix/client/v3/directory/room/{roomAlias}`: the room an alias names.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias)
pub async fn get_alias(
    State(services): State<Arc<Services>>,
    OptionalAuth(session): OptionalAuth,
    request: Ruma<get_alias_v3::v3::Request>,
) -> Result<Reply<get_alias_v3::v3::Response>, ApiError> {
    let viewer = caller(session.as_deref());
    let found = services.rooms.find_alias(viewer, &request.body.room_alias).await?.ok_or(RoomsError::NoAlias)?;
    Ok(Reply(get_alias_v3::v3::Response::new(found.room_id, found.servers)))
}

/// `DELETE /_matrix/client/v3/directory/room/{roomAlias}`: removes an alias.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias)
pub async fn delete_alias(
    State(services): State<Arc<Services>>,
    request: Ruma<delete_alias_v3::v3::Request>,
) -> Result<Reply<delete_alias_v3::v3::Response>, ApiError> {
    let session = &request.session;
    services.rooms.delete_alias(&actor(session), &request.body.room_alias, session.admin).await?;
    Ok(Reply(delete_alias_v3::v3::Response::new()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/aliases`: the aliases of a room, for its members and, where anybody may read
/// it, for anybody.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases)
pub async fn aliases(
    State(services): State<Arc<Services>>,
    request: Ruma<aliases_v3::v3::Request>,
) -> Result<Reply<aliases_v3::v3::Response>, ApiError> {
    let aliases = services.rooms.aliases_for(&actor(&request.session), &request.body.room_id).await?;
    Ok(Reply(aliases_v3::v3::Response::new(aliases)))
}
