//! Users of other servers who join rooms.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use ruma::{
    api::federation::membership::{
        create_join_event::v2::Request as SendRequest,
        prepare_join_event::v1::{Request as MakeRequest, Response as MakeResponse},
    },
    events::room::member::MembershipState,
};

use crate::{
    http::{ApiError, ChunkWriter, Reply, Signed, json_chunks_holding, services::Services},
    rooms::{Handed, JoinAnswer},
    store::EventNo,
};

/// Events that are read at once when an answer is written.
const READ_AT_ONCE: usize = 200;

/// `GET /_matrix/federation/v1/make_join/{roomId}/{userId}`: where a join would stand.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid)
pub async fn create_join_event_template(
    State(services): State<Arc<Services>>,
    request: Signed<MakeRequest>,
) -> Result<Reply<MakeResponse>, ApiError> {
    let MakeRequest { room_id, user_id, ver, .. } = &request.body;
    let made =
        services.rooms.member_template(&request.origin, room_id, user_id, MembershipState::Join, Some(ver)).await?;
    let mut response = MakeResponse::new(made.event);
    response.room_version = Some(made.version);
    Ok(Reply(response))
}

/// `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}`: a join, answered with the room's state.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid)
pub async fn create_join_event(
    State(services): State<Arc<Services>>,
    request: Signed<SendRequest>,
) -> Result<Response, ApiError> {
    accept(services, request, Form::Object).await
}

/// `PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}`: the same in the form of the first version.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_joinroomideventid)
pub async fn create_join_event_v1(
    State(services): State<Arc<Services>>,
    request: Signed<SendRequest>,
) -> Result<Response, ApiError> {
    accept(services, request, Form::Pair).await
}

/// How an answer is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Object,
    /// Behind the status, in an array.
    Pair,
}

async fn accept(services: Arc<Services>, request: Signed<SendRequest>, form: Form) -> Result<Response, ApiError> {
    let SendRequest { room_id, event_id, pdu, omit_members, .. } = &request.body;
    let handed = Handed { origin: &request.origin, room_id, event_id, event: pdu };
    let answer = services.rooms.accept_join(&handed, *omit_members && form == Form::Object).await?;
    let (writer, response) = json_chunks_holding(request.place);
    tokio::spawn(async move {
        if let Err(error) = write(&services, answer, form, writer).await {
            tracing::debug!(%error, "an answer to a join was cut short");
        }
    });
    Ok(response)
}

async fn write(
    services: &Services,
    answer: JoinAnswer,
    form: Form,
    mut out: ChunkWriter,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if form == Form::Pair {
        out.write(b"[200,").await?;
    }
    out.write(b"{\"auth_chain\":[").await?;
    write_events(services, &answer, &answer.auth_chain, &mut out).await?;
    if let Some(event) = &answer.event {
        out.write(b"],\"event\":").await?;
        out.write(event.pdu.json.as_bytes()).await?;
        out.write(b",\"members_omitted\":").await?;
    } else {
        out.write(b"],\"members_omitted\":").await?;
    }
    out.write(if answer.servers.is_some() { b"true" } else { b"false" }).await?;
    out.write(b",\"origin\":").await?;
    out.write(&serde_json::to_vec(&services.config.server.name)?).await?;
    if let Some(servers) = &answer.servers {
        out.write(b",\"servers_in_room\":").await?;
        out.write(&serde_json::to_vec(servers)?).await?;
    }
    out.write(b",\"state\":[").await?;
    write_events(services, &answer, &answer.state, &mut out).await?;
    out.write(if form == Form::Pair { b"]}]" } else { b"]}" }).await?;
    out.finish().await?;
    Ok(())
}

async fn write_events(
    services: &Services,
    answer: &JoinAnswer,
    events: &[EventNo],
    out: &mut ChunkWriter,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut first = true;
    for some in events.chunks(READ_AT_ONCE) {
        for event in services.rooms.events().require_many(answer.room.number, some).await? {
            if !std::mem::take(&mut first) {
                out.write(b",").await?;
            }
            out.write(event.pdu.json.as_bytes()).await?;
        }
    }
    Ok(())
}
