//! Users who have proved an e-mail address to which they were invited.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedRoomId,
    api::federation::thirdparty::{bind_callback::v1 as bind_callback_v1, exchange_invite::v1 as exchange_invite_v1},
    events::{StateEventType, room::member::MembershipState},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    event::content,
    http::{ApiError, JsonBytes, Ruma, Signed, empty_json, services::Services},
    rooms::{Binding, BoundInvite, Exchange},
};

/// `PUT /_matrix/federation/v1/3pid/onbind`: an identity server tells of a user here who has proved an address. Without a
/// signature; while the administrator has named no identity server, it does not exist. Sydent, the identity server that
/// is in use, tells by `POST`.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind)
pub async fn bind_callback(
    State(services): State<Arc<Services>>,
    request: Ruma<bind_callback_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    if !services.remote.has_identity_servers() {
        return Err(ApiError::unrecognized());
    }
    let bind_callback_v1::Request { mxid, invites, .. } = request.body;
    let invites = invites.into_iter().map(|invite| BoundInvite {
        user: invite.mxid,
        room_id: invite.room_id,
        sender: invite.sender,
        signed: invite.signed.into_json(),
    });
    services.rooms.address_bound(Binding { user: mxid, invites: invites.collect() }).await?;
    Ok(empty_json())
}

/// What ruma leaves out of the body because it is in the path too.
#[derive(Deserialize)]
struct Place {
    room_id: Option<OwnedRoomId>,
}

/// What is read of the member event that is asked for.
#[derive(Deserialize)]
struct Wanted {
    third_party_invite: WantedInvite,
}

#[derive(Deserialize)]
struct WantedInvite {
    signed: Box<RawValue>,
}

/// `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`: invites a user of the asking server who has proved an
/// address, in the name of whoever invited by that address.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid)
///
/// # Errors
/// `M_NOT_FOUND`, the same for a room that is not here and for what answers no invitation in it.
pub async fn exchange_invite(
    State(services): State<Arc<Services>>,
    request: Signed<exchange_invite_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let Place { room_id: stated } = request.raw()?;
    let exchange_invite_v1::Request { room_id, kind, sender, state_key, content, .. } = &request.body;
    if stated.is_some_and(|stated| stated != *room_id) {
        return Err(ApiError::invalid_param("The path names another room"));
    }
    let membership = content::membership(content.json());
    if *kind != StateEventType::RoomMember || membership != Some(MembershipState::Invite) {
        return Err(ApiError::invalid_param("The event is no invitation"));
    }
    let Wanted { third_party_invite: WantedInvite { signed } } = serde_json::from_str(content.json().get())?;
    let exchange = Exchange { origin: &request.origin, room_id, sender, target: state_key, signed: &signed };
    services.rooms.exchange_invitation(&exchange).await?;
    Ok(empty_json())
}
