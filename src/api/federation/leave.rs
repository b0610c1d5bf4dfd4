//! Users of other servers who leave rooms, or decline invitations.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::federation::membership::{
        create_leave_event::v2::Request as SendRequest,
        prepare_leave_event::v1::{Request as MakeRequest, Response as MakeResponse},
    },
    events::room::member::MembershipState,
};

use crate::{
    http::{ApiError, JsonBytes, Reply, Signed, empty_json, services::Services},
    rooms::Handed,
};

/// `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}`: where a leave would stand.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_leaveroomiduserid)
pub async fn prepare_leave_event(
    State(services): State<Arc<Services>>,
    request: Signed<MakeRequest>,
) -> Result<Reply<MakeResponse>, ApiError> {
    let MakeRequest { room_id, user_id, .. } = &request.body;
    let made = services.rooms.member_template(&request.origin, room_id, user_id, MembershipState::Leave, None).await?;
    Ok(Reply(MakeResponse::new(Some(made.version), made.event)))
}

/// `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}`: a leave.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid)
pub async fn create_leave_event(
    State(services): State<Arc<Services>>,
    request: Signed<SendRequest>,
) -> Result<JsonBytes, ApiError> {
    accept(&services, &request).await?;
    Ok(empty_json())
}

/// `PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}`: the same in the form of the first version.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_leaveroomideventid)
pub async fn create_leave_event_v1(
    State(services): State<Arc<Services>>,
    request: Signed<SendRequest>,
) -> Result<JsonBytes, ApiError> {
    accept(&services, &request).await?;
    Ok(JsonBytes(bytes::Bytes::from_static(b"[200,{}]")))
}

async fn accept(services: &Services, request: &Signed<SendRequest>) -> Result<(), ApiError> {
    let SendRequest { room_id, event_id, pdu, .. } = &request.body;
    let handed = Handed { origin: &request.origin, room_id, event_id, event: pdu };
    Ok(services.rooms.accept_leave(&handed).await?)
}
