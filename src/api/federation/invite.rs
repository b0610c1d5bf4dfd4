//! Users of this server who are invited by others.
//!
//! The bodies are read here: servers leave out `invite_room_state`, which ruma's type does not allow.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use ruma::{OwnedServerName, RoomVersionId, ServerName};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    http::{ApiError, JsonBytes, PathArgs, SignedRaw, services::Services},
    rooms::{Invitation, Rooms},
};

/// Entries of the state that comes with an invite that are looked at.
const STATE_MAX: usize = 100;
/// Servers that may be named beside the one that invites.
const VIA_MAX: usize = 10;

/// The second version's body.
#[derive(Deserialize)]
struct Body {
    room_version: RoomVersionId,
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
    /// MSC4125.
    #[serde(default, rename = "org.matrix.msc4125.via")]
    via: Vec<OwnedServerName>,
}

/// What the first version's body, which is the event itself, says beside the event.
#[derive(Deserialize, Default)]
struct FirstBody {
    #[serde(default)]
    unsigned: FirstUnsigned,
}

#[derive(Deserialize, Default)]
struct FirstUnsigned {
    #[serde(default)]
    invite_room_state: Vec<Box<RawValue>>,
}

/// `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`: signs an invitation for a user of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid)
pub async fn create_invite(
    State(services): State<Arc<Services>>,
    path: PathArgs,
    request: SignedRaw,
) -> Result<Response, ApiError> {
    let body: Body = serde_json::from_slice(&request.raw_body)?;
    let Body { room_version, event, invite_room_state, via } = body;
    let signed = accept(&services, &path, &request.origin, (room_version, event), (invite_room_state, via)).await?;
    Ok(JsonBytes::of(&json!({ "event": signed }))?.into_response())
}

/// `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`: the same for rooms of versions 1 and 2.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid)
pub async fn create_invite_v1(
    State(services): State<Arc<Services>>,
    path: PathArgs,
    request: SignedRaw,
) -> Result<Response, ApiError> {
    let event: Box<RawValue> = serde_json::from_slice(&request.raw_body)?;
    let FirstBody { unsigned } = serde_json::from_slice(&request.raw_body).unwrap_or_default();
    let (room, state) = ((RoomVersionId::V1, event), (unsigned.invite_room_state, Vec::new()));
    let signed = accept(&services, &path, &request.origin, room, state).await?;
    Ok(JsonBytes::of(&json!([200, { "event": signed }]))?.into_response())
}

async fn accept(
    services: &Services,
    path: &PathArgs,
    origin: &ServerName,
    (version, event): (RoomVersionId, Box<RawValue>),
    (mut state, mut via): (Vec<Box<RawValue>>, Vec<OwnedServerName>),
) -> Result<Box<RawValue>, ApiError> {
    state.truncate(STATE_MAX);
    via.truncate(VIA_MAX);
    let invitation = Invitation {
        origin: origin.to_owned(),
        room_id: path.parse(0)?,
        event_id: path.parse(1)?,
        version,
        blocked: blocks_invites(services, &event).await?,
        event,
        state,
        via,
    };
    let signed = services.rooms.accept_invitation(invitation).await?;
    RawValue::from_string(signed.json.to_string()).map_err(ApiError::internal)
}

/// Whether the user has asked not to be invited (spec v1.18, `m.invite_permission_config`).
async fn blocks_invites(services: &Services, event: &RawValue) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Config {
        default_action: String,
    }
    let Some((_, target)) = Rooms::invitation_parties(event) else { return Ok(false) };
    let Some(user) = services.store.user(&target).await? else { return Ok(false) };
    let data = services.users.account_data.get(user, None, "m.invite_permission_config").await;
    let config = data.map_err(ApiError::internal)?.and_then(|raw| serde_json::from_str::<Config>(raw.get()).ok());
    Ok(config.is_some_and(|config| config.default_action == "block"))
}
