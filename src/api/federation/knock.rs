//! Users of other servers who knock on rooms.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::federation::membership::{
        RawStrippedState,
        create_knock_event::v1::{Request as SendRequest, Response as SendResponse},
        prepare_knock_event::v1::{Request as MakeRequest, Response as MakeResponse},
    },
    events::room::member::MembershipState,
};
use serde_json::value::RawValue;

use crate::{
    http::{ApiError, Reply, Signed, services::Services},
    rooms::Handed,
};

/// `GET /_matrix/federation/v1/make_knock/{roomId}/{userId}`: where a knock would stand.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_knockroomiduserid)
pub async fn create_knock_event_template(
    State(services): State<Arc<Services>>,
    request: Signed<MakeRequest>,
) -> Result<Reply<MakeResponse>, ApiError> {
    let MakeRequest { room_id, user_id, ver, .. } = &request.body;
    let made =
        services.rooms.member_template(&request.origin, room_id, user_id, MembershipState::Knock, Some(ver)).await?;
    Ok(Reply(MakeResponse::new(made.version, made.event)))
}

/// `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`: a knock, answered with what is shown of the room.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid)
pub async fn send_knock(
    State(services): State<Arc<Services>>,
    request: Signed<SendRequest>,
) -> Result<Reply<SendResponse>, ApiError> {
    let SendRequest { room_id, event_id, pdu, .. } = &request.body;
    let handed = Handed { origin: &request.origin, room_id, event_id, event: pdu };
    let shown = services.rooms.accept_knock(&handed).await?;
    let shown = shown.iter().map(|event| {
        let raw = RawValue::from_string(event.pdu.json.to_string()).map_err(ApiError::internal)?;
        Ok(RawStrippedState::Pdu(raw))
    });
    Ok(Reply(SendResponse::new(shown.collect::<Result<_, ApiError>>()?)))
}
