//! Who is what to a room.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, RoomOrAliasId,
    api::client::{
        knock::knock_room as knock_room_v3,
        membership::{
            Invite3pid, ban_user as ban_user_v3, forget_room as forget_room_v3,
            invite_user::{self as invite_user_v3, v3::InvitationRecipient},
            join_room_by_id as join_room_by_id_v3, join_room_by_id_or_alias as join_room_by_id_or_alias_v3,
            kick_user as kick_user_v3, leave_room as leave_room_v3, unban_user as unban_user_v3,
        },
    },
    api::federation::query::get_room_information,
};
use serde_json::{Map, Value, value::to_raw_value};

use super::actor::{actor, caller};
use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    remote::Terms,
    rooms::{ByAddress, Join, Knock, MemberAction},
    users::Session,
};

/// `POST /_matrix/client/v3/rooms/{roomId}/join`: joins a room.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin)
pub async fn join_room_by_id(
    State(services): State<Arc<Services>>,
    request: Ruma<join_room_by_id_v3::v3::Request>,
) -> Result<Reply<join_room_by_id_v3::v3::Response>, ApiError> {
    let join = join_of(&request.raw_body, request.body.reason, Vec::new())?;
    services.rooms.join(&actor(&request.session), &request.body.room_id, join).await?;
    Ok(Reply(join_room_by_id_v3::v3::Response::new(request.body.room_id)))
}

/// `POST /_matrix/client/v3/join/{roomIdOrAlias}`: joins a room by id or alias.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias)
pub async fn join_room_by_id_or_alias(
    State(services): State<Arc<Services>>,
    request: Ruma<join_room_by_id_or_alias_v3::v3::Request>,
) -> Result<Reply<join_room_by_id_or_alias_v3::v3::Response>, ApiError> {
    let (room_id, via) =
        room_named(&services, &request.session, &request.body.room_id_or_alias, &request.body.via).await?;
    let join = join_of(&request.raw_body, request.body.reason, via)?;
    services.rooms.join(&actor(&request.session), &room_id, join).await?;
    Ok(Reply(join_room_by_id_or_alias_v3::v3::Response::new(room_id)))
}

/// `POST /_matrix/client/v3/knock/{roomIdOrAlias}`: asks to be let into a room.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias)
pub async fn knock_room(
    State(services): State<Arc<Services>>,
    request: Ruma<knock_room_v3::v3::Request>,
) -> Result<Reply<knock_room_v3::v3::Response>, ApiError> {
    let (room_id, via) =
        room_named(&services, &request.session, &request.body.room_id_or_alias, &request.body.via).await?;
    let knock = Knock { reason: request.body.reason, via };
    services.rooms.knock(&actor(&request.session), &room_id, knock).await?;
    Ok(Reply(knock_room_v3::v3::Response::new(room_id)))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/invite`: invites a user, or by an address whoever proves that it is theirs.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite), [by
/// address](https://spec.matrix.org/v1.19/client-server-api/#thirdparty_post_matrixclientv3roomsroomidinvite)
pub async fn invite_user(
    State(services): State<Arc<Services>>,
    request: Ruma<invite_user_v3::v3::Request>,
) -> Result<Reply<invite_user_v3::v3::Response>, ApiError> {
    let (actor, room_id) = (actor(&request.session), &request.body.room_id);
    match request.body.recipient {
        InvitationRecipient::UserId(recipient) => {
            services.rooms.invite(&actor, room_id, &recipient.user_id, recipient.reason).await?;
        }
        InvitationRecipient::ThirdPartyId(wanted) => {
            services.rooms.invite_by_address(&actor, room_id, &by_address(wanted)).await?;
        }
    }
    Ok(Reply(invite_user_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/leave`: leaves a room, or declines an invitation.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave)
pub async fn leave_room(
    State(services): State<Arc<Services>>,
    request: Ruma<leave_room_v3::v3::Request>,
) -> Result<Reply<leave_room_v3::v3::Response>, ApiError> {
    services.rooms.leave(&actor(&request.session), &request.body.room_id, request.body.reason).await?;
    Ok(Reply(leave_room_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/kick`: ends a user's membership.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick)
pub async fn kick_user(
    State(services): State<Arc<Services>>,
    request: Ruma<kick_user_v3::v3::Request>,
) -> Result<Reply<kick_user_v3::v3::Response>, ApiError> {
    let kick_user_v3::v3::Request { room_id, user_id, reason, .. } = request.body;
    let actor = actor(&request.session);
    services.rooms.act_on_member(&actor, &room_id, &user_id, MemberAction::Kick, reason).await?;
    Ok(Reply(kick_user_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/ban`: bans a user.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban)
pub async fn ban_user(
    State(services): State<Arc<Services>>,
    request: Ruma<ban_user_v3::v3::Request>,
) -> Result<Reply<ban_user_v3::v3::Response>, ApiError> {
    let ban_user_v3::v3::Request { room_id, user_id, reason, .. } = request.body;
    let actor = actor(&request.session);
    services.rooms.act_on_member(&actor, &room_id, &user_id, MemberAction::Ban, reason).await?;
    Ok(Reply(ban_user_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/unban`: ends a ban.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban)
pub async fn unban_user(
    State(services): State<Arc<Services>>,
    request: Ruma<unban_user_v3::v3::Request>,
) -> Result<Reply<unban_user_v3::v3::Response>, ApiError> {
    let unban_user_v3::v3::Request { room_id, user_id, reason, .. } = request.body;
    let actor = actor(&request.session);
    services.rooms.act_on_member(&actor, &room_id, &user_id, MemberAction::Unban, reason).await?;
    Ok(Reply(unban_user_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/forget`: forgets a room one has left.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget)
pub async fn forget_room(
    State(services): State<Arc<Services>>,
    request: Ruma<forget_room_v3::v3::Request>,
) -> Result<Reply<forget_room_v3::v3::Response>, ApiError> {
    services.rooms.forget(&actor(&request.session), &request.body.room_id).await?;
    Ok(Reply(forget_room_v3::v3::Response::new()))
}

/// Somebody to be invited by an address.
pub(super) fn by_address(wanted: Invite3pid) -> ByAddress {
    let Invite3pid { id_server, id_access_token, medium, address, .. } = wanted;
    ByAddress { id_server, id_access_token: id_access_token.into(), medium: medium.as_str().to_owned(), address }
}

/// Servers that a client may name.
const VIA_MAX: usize = 10;

/// The room that an id or an alias means, and the servers that may be in it: those the client names first.
async fn room_named(
    services: &Services,
    session: &Session,
    name: &RoomOrAliasId,
    via: &[OwnedServerName],
) -> Result<(OwnedRoomId, Vec<OwnedServerName>), ApiError> {
    let mut via: Vec<_> = via.iter().take(VIA_MAX).cloned().collect();
    if let Ok(id) = <&RoomId>::try_from(name.as_str()) {
        return Ok((id.to_owned(), via));
    }
    let alias: &RoomAliasId =
        name.as_str().try_into().map_err(|_| ApiError::invalid_param("Neither room id nor alias"))?;
    let unknown = || ApiError::not_found("There is no such room alias");
    if alias.server_name() == services.config.server.name {
        let room = services.rooms.resolve_alias(caller(Some(session)), alias).await?.ok_or_else(unknown)?;
        return Ok((room.id.clone(), via));
    }
    let request = get_room_information::v1::Request::new(alias.to_owned());
    let answer = services.remote.send_with(alias.server_name(), request, Terms::anyway()).await;
    let answer = answer.map_err(|error| unknown().with_cause(error))?;
    let others = answer.servers.into_iter().take(VIA_MAX).chain([alias.server_name().to_owned()]);
    for server in others {
        if !via.contains(&server) {
            via.push(server);
        }
    }
    Ok((answer.room_id, via))
}

/// What a client says when it joins. What is neither a reason nor a proof goes into the member event.
fn join_of(body: &[u8], reason: Option<String>, via: Vec<OwnedServerName>) -> Result<Join, ApiError> {
    let mut extra: Map<String, Value> = if body.is_empty() { Map::new() } else { serde_json::from_slice(body)? };
    extra.remove("reason");
    let signed = extra.remove("third_party_signed").filter(|signed| !signed.is_null());
    let third_party_signed = signed.as_ref().map(to_raw_value).transpose()?;
    Ok(Join { reason, extra, via, third_party_signed })
}
