//! Questions about people and names of rooms.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use ruma::api::federation::query::{
    get_profile_information::v1 as get_profile_information_v1, get_room_information::v1 as get_room_information_v1,
};

use crate::{
    http::{ApiError, JsonBytes, Reply, Signed, SignedRaw, services::Services},
    rooms::RoomsError,
    users::AVATAR_URL,
};

/// `GET /_matrix/federation/v1/query/directory`: the room that an alias of this server names.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory)
///
/// # Errors
/// `M_NOT_FOUND` when there is no such alias, or the room is not for the asking server to know.
pub async fn get_room_information(
    State(services): State<Arc<Services>>,
    request: Signed<get_room_information_v1::Request>,
) -> Result<Reply<get_room_information_v1::Response>, ApiError> {
    let found = services.rooms.alias_for_server(&request.origin, &request.body.room_alias).await?;
    let found = found.ok_or(RoomsError::NoAlias)?;
    Ok(Reply(get_room_information_v1::Response::new(found.room_id, found.servers)))
}

/// `GET /_matrix/federation/v1/query/profile`: the profile of a user of this server, or one field of it.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile)
///
/// # Errors
/// `M_NOT_FOUND` when there is no such user, or the rules hide them from other servers: the same look-ups, the same words.
pub async fn get_profile_information(
    State(services): State<Arc<Services>>,
    request: Signed<get_profile_information_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let user_id = &request.body.user_id;
    let nobody = || ApiError::not_found("This user has no profile here");
    if user_id.server_name() != services.config.server.name {
        return Err(nobody());
    }
    let (known, photo) = services.rooms.known_to_server(&request.origin, user_id);
    let found = services.users.accounts.get(user_id).await?.filter(|_| known).ok_or_else(nobody)?;
    let mut fields = services.users.profiles.get(found.0).await?.fields;
    if !photo {
        fields.remove(AVATAR_URL);
    }
    if let Some(field) = &request.body.field {
        let one = fields.remove_entry(field.as_str());
        fields = one.into_iter().collect::<BTreeMap<_, _>>();
    }
    JsonBytes::of(&fields)
}

/// `GET /_matrix/federation/v1/query/{queryType}`: there are no others.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryquerytype)
///
/// # Errors
/// `M_UNRECOGNIZED`, always.
pub async fn get_unknown(_: SignedRaw) -> Result<JsonBytes, ApiError> {
    Err(ApiError::unrecognized())
}
