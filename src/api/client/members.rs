//! Who is in a room, and in which rooms the caller is.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use ruma::{
    OwnedMxcUri,
    api::client::membership::{
        get_member_events as get_member_events_v3, joined_members as joined_members_v3, joined_rooms as joined_rooms_v3,
    },
};
use serde::Serialize;

use super::reading;
use crate::{
    event::content::Member,
    http::{ApiError, JsonBytes, Reply, Ruma, json_chunks, services::Services},
    rooms::{Reader, RoomsError, state_read::MemberQuery},
    store::{EventNo, schema::rooms::Membership},
};

/// Members read and written in one go; a room of more is streamed.
const STEP: usize = 256;

/// `GET /_matrix/client/v3/rooms/{roomId}/members`
///
/// The member events, now or at a place of the timeline. Those of a large room are streamed.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers)
///
/// # Errors
/// `M_FORBIDDEN` for those who may not read the room, `M_INVALID_PARAM` for a foreign token.
pub async fn get_member_events(
    State(services): State<Arc<Services>>,
    request: Ruma<get_member_events_v3::v3::Request>,
) -> Result<Response, ApiError> {
    let body = request.body;
    let reader = reading::reader(&services, &request.session, &body.room_id).await?;
    let query = MemberQuery {
        at: reading::token(body.at.as_deref())?,
        membership: body.membership,
        not_membership: body.not_membership,
    };
    let members = services.rooms.members(&reader, &query).await?;
    if members.len() <= STEP {
        let mut out = Vec::with_capacity(members.len() * 512 + 16);
        let mut begun = false;
        write_part(&services, &mut out, &reader, &members, &query, &mut begun).await?;
        out.extend_from_slice(end(begun));
        return Ok(JsonBytes::from(out).into_response());
    }
    let (mut writer, response) = json_chunks();
    tokio::spawn(async move {
        let mut rest = members.as_slice();
        let mut begun = false;
        while !rest.is_empty() {
            let (step, after) = rest.split_at(rest.len().min(STEP));
            let mut out = Vec::with_capacity(step.len() * 512);
            let written = write_part(&services, &mut out, &reader, step, &query, &mut begun).await;
            if let Err(error) = written {
                // Without the end the client sees that the answer broke off.
                tracing::error!(%error, "a member list broke off");
                return;
            }
            if writer.write(&out).await.is_err() {
                return;
            }
            rest = after;
        }
        if writer.write(end(begun)).await.is_ok() {
            drop(writer.finish().await);
        }
    });
    Ok(response)
}

/// Appends members, each behind what comes before it in the list.
async fn write_part(
    services: &Services,
    out: &mut Vec<u8>,
    reader: &Reader,
    members: &[EventNo],
    query: &MemberQuery,
    begun: &mut bool,
) -> Result<(), RoomsError> {
    for event in services.rooms.events().require_many(reader.room.number, members).await? {
        if query.wants(&event) {
            out.extend_from_slice(if *begun { b"," } else { b"{\"chunk\":[" });
            *begun = true;
            services.rooms.write_state(out, reader, &event, true).await?;
        }
    }
    Ok(())
}

/// What ends the list.
fn end(begun: bool) -> &'static [u8] {
    if begun { b"]}" } else { b"{\"chunk\":[]}" }
}

/// A member as `joined_members` shows them. Not ruma's type, which would copy 10,000 names once more, and leave out
/// what a member does not have: clients expect both keys.
#[derive(Serialize)]
struct Joined {
    display_name: Option<Box<str>>,
    avatar_url: Option<OwnedMxcUri>,
}

/// The answer of `joined_members`.
#[derive(Serialize)]
struct JoinedMembers {
    joined: BTreeMap<String, Joined>,
}

/// `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members)
///
/// # Errors
/// `M_FORBIDDEN` for those who are not in the room.
pub async fn joined_members(
    State(services): State<Arc<Services>>,
    request: Ruma<joined_members_v3::v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let room = services.rooms.joined_room(&request.body.room_id, request.session.user).await?;
    services.rooms.whole(&room).await?;
    let members = services.rooms.joined_members(room.number).await?;
    let mut joined = BTreeMap::new();
    for step in members.chunks(STEP) {
        for event in services.rooms.events().require_many(room.number, step).await? {
            let Some(user) = event.pdu.state_key.as_deref() else { continue };
            let member = Member::read(&event.pdu.content);
            joined.insert(user.to_owned(), Joined { display_name: member.displayname, avatar_url: member.avatar_url });
        }
    }
    JsonBytes::of(&JoinedMembers { joined })
}

/// `GET /_matrix/client/v3/joined_rooms`
///
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms)
pub async fn joined_rooms(
    State(services): State<Arc<Services>>,
    request: Ruma<joined_rooms_v3::v3::Request>,
) -> Result<Reply<joined_rooms_v3::v3::Response>, ApiError> {
    let rooms = services.rooms.user_rooms(request.session.user).await?;
    let joined = rooms.iter().filter(|room| room.record.membership == Membership::Join);
    Ok(Reply(joined_rooms_v3::v3::Response::new(joined.map(|room| room.room.id.clone()).collect())))
}
