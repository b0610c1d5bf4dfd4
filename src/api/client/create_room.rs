//! Making rooms.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::client::room::{
        Visibility,
        create_room::v3::{Request, Response, RoomPreset},
    },
    events::{AnyInitialStateEvent, StateEventType},
    serde::Raw,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{actor::actor, membership::by_address};
use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    rooms::{CreateRoom, InitialState, Preset},
};

/// `POST /_matrix/client/v3/createRoom`: makes a room, or the one that the school's rules put in its place.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom)
pub async fn create_room(
    State(services): State<Arc<Services>>,
    request: Ruma<Request>,
) -> Result<Reply<Response>, ApiError> {
    let wanted = wanted(&services, request.body)?;
    let room_id = services.school.chats.create_room(&actor(&request.session), wanted).await?;
    Ok(Reply(Response::new(room_id)))
}

fn wanted(services: &Services, body: Request) -> Result<CreateRoom, ApiError> {
    let published = match body.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(ApiError::invalid_param("`visibility` is `public` or `private`")),
    };
    let preset = match body.preset {
        Some(RoomPreset::PrivateChat) => Preset::Private,
        Some(RoomPreset::TrustedPrivateChat) => Preset::TrustedPrivate,
        Some(RoomPreset::PublicChat) => Preset::Public,
        Some(_) => return Err(ApiError::invalid_param("Unknown preset")),
        None if published => Preset::Public,
        None => Preset::Private,
    };
    let version = body.room_version.unwrap_or_else(|| services.config.rooms.default_version.clone());
    let mut room = CreateRoom::new(version);
    room.preset = preset;
    room.published = published;
    room.creation_content = body.creation_content.map(Raw::into_json);
    room.initial_state = body.initial_state.iter().map(initial_state).collect::<Result<_, _>>()?;
    room.power_levels = body.power_level_content_override.map(Raw::into_json);
    room.alias_localpart = body.room_alias_name;
    room.name = body.name;
    room.topic = body.topic;
    room.invites = body.invite;
    room.by_address = body.invite_3pid.into_iter().map(by_address).collect();
    room.is_direct = body.is_direct;
    Ok(room)
}

fn initial_state(raw: &Raw<AnyInitialStateEvent>) -> Result<InitialState, ApiError> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: StateEventType,
        #[serde(default)]
        state_key: String,
        content: Box<RawValue>,
    }
    let Event { kind, state_key, content } = serde_json::from_str(raw.json().get())?;
    Ok(InitialState { kind, state_key, content })
}
