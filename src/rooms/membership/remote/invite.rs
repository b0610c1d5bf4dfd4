//! Inviting users of other servers: their server signs the invitation before anybody else hears of it.

use ruma::{
    OwnedEventId, ServerName, UserId,
    api::federation::membership::{RawStrippedState, create_invite},
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{json, value::RawValue};
use std::{collections::HashMap, sync::Arc, time::Duration};

use super::join::{is_unrecognized, path_v1, raw};
use crate::{
    event::{Pdu, auth, client_format::stripped_state, sign::same_but_signatures},
    remote::{RemoteError, Terms},
    rooms::{Room, Rooms, RoomsError, Writer, append::Arrival, membership::MemberContent},
    store::{Event, StoreError, state_tree::StateRoot},
};

/// How long the other server may take: its user's client waits, and so does ours.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Times an invitation is made anew because the room has changed meanwhile.
const ATTEMPTS_MAX: usize = 2;

/// What somebody outside is shown of a room (specification v1.19, "Stripped state"). Other servers get full events.
const SHOWN: [StateEventType; 8] = [
    StateEventType::RoomCreate,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomJoinRules,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomHistoryVisibility,
];

impl Writer {
    /// Whether the room as it is allows an event that was made for it earlier.
    pub(in crate::rooms) async fn allows(&self, pdu: &Pdu) -> Result<bool, RoomsError> {
        let mut kinds =
            auth::auth_types(&pdu.kind, &pdu.sender, pdu.state_key.as_deref(), &pdu.content, &self.room().rules)?;
        kinds.push((StateEventType::RoomCreate, String::new()));
        let mut state = HashMap::with_capacity(kinds.len());
        for (kind, key) in kinds {
            if let Some(event) = self.state_event(&kind, &key).await? {
                state.insert((kind, key), event.pdu.clone());
            }
        }
        let find = |kind: &StateEventType, key: &str| state.get(&(kind.clone(), key.to_owned())).cloned();
        Ok(auth::check_state_dependent(pdu, &self.room().rules, find).is_ok())
    }
}

impl Rooms {
    /// Invites a user of another server. It goes on when whoever waits for it goes away.
    pub(in crate::rooms) async fn invite_abroad(
        &self,
        room: &Arc<Room>,
        inviter: &UserId,
        target: &UserId,
        content: MemberContent,
    ) -> Result<OwnedEventId, RoomsError> {
        let (rooms, room) = (self.clone(), room.clone());
        let (inviter, target) = (inviter.to_owned(), target.to_owned());
        let task = tokio::spawn(async move {
            let mut failure = RoomsError::NoRoom;
            for _ in 0..ATTEMPTS_MAX {
                match rooms.invite_once(&room, &inviter, &target, content.clone()).await {
                    Err(RoomsError::Overtaken) => failure = RoomsError::Forbidden("the room has changed".into()),
                    other => return other,
                }
            }
            Err(failure)
        });
        task.await.map_err(|_| RoomsError::Unreachable("the invitation was cut short".to_owned()))?
    }

    async fn invite_once(
        &self,
        room: &Arc<Room>,
        inviter: &UserId,
        target: &UserId,
        content: MemberContent,
    ) -> Result<OwnedEventId, RoomsError> {
        let writer = self.writer(room).await;
        match writer.membership(target).await? {
            Some(MembershipState::Join) => {
                return Err(RoomsError::Forbidden(format!("{target} is in the room already")));
            }
            Some(MembershipState::Ban) => {
                return Err(RoomsError::Forbidden(format!("{target} is banned from the room")));
            }
            _ => {}
        }
        let (invite, before) = writer.propose(content.event(inviter, target)?).await?;
        // The other server has all the time it may take, and the room goes on.
        drop(writer);
        let invite = self.signed_by_policy_server(room, &invite).await?.unwrap_or(invite);
        let signed = self.send_invite(room, before, target.server_name(), &invite).await?;
        self.add_invite(room, signed, before).await
    }

    /// Has the invitation signed by the server of whom it is for.
    async fn send_invite(
        &self,
        room: &Arc<Room>,
        before: StateRoot,
        server: &ServerName,
        invite: &Pdu,
    ) -> Result<Pdu, RoomsError> {
        let shown = self.shown_outside(room, before, Some(&invite.sender)).await?;
        let full = shown.iter().map(|event| raw(&event.pdu).map(RawStrippedState::Pdu)).collect::<Result<_, _>>()?;
        let request = create_invite::v2::Request::new(
            room.id.clone(),
            invite.event_id.clone(),
            room.version.clone(),
            raw(invite)?,
            full,
        );
        let terms = Terms::anyway().within(TIME_MAX);
        let signed = match self.parts.remote.send_with(server, request, terms).await {
            Ok(answer) => answer.event,
            // Only rooms of the first two versions look the same in the first version of the endpoint.
            Err(error) if is_unrecognized(&error) && room.rules.event_format.require_event_id => {
                self.send_invite_v1(room, server, invite, &shown).await?
            }
            Err(error) => return Err(refused(error)),
        };
        let senseless = |why: String| RoomsError::Unreachable(format!("its answer to an invitation: {why}"));
        let signed = self.verify_one(&room.id, &room.rules, signed.get()).await;
        let signed = signed.map_err(|error| senseless(error.to_string()))?;
        let pdu = signed.pdu();
        // An event with another content than was hashed comes out of the checks in its redacted form, under the same id.
        if pdu.event_id != invite.event_id || !same_but_signatures(pdu, invite) {
            return Err(senseless("another event".to_owned()));
        }
        let signatures = signatures_by(pdu, server);
        if !signatures {
            return Err(senseless("it is not signed".to_owned()));
        }
        Ok(Pdu::clone(pdu))
    }

    async fn send_invite_v1(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        invite: &Pdu,
        shown: &[Arc<Event>],
    ) -> Result<Box<RawValue>, RoomsError> {
        let mut body: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&invite.json).map_err(|error| RoomsError::Invalid(error.to_string()))?;
        let stripped: Vec<_> = shown.iter().map(|event| stripped_state(&event.pdu)).collect();
        body.insert("unsigned".into(), json!({ "invite_room_state": stripped }));
        let body = serde_json::to_vec(&body).map_err(|error| RoomsError::Invalid(error.to_string()))?;
        let path = path_v1("invite", &room.id, invite);
        let request = http::Request::put(format!("https://server.invalid{path}")).body(body);
        let request = request.map_err(|error| RoomsError::Invalid(error.to_string()))?;
        let terms = Terms::anyway().within(TIME_MAX);
        let answer = self.parts.remote.send_raw(server, request, terms).await.map_err(refused)?;
        let (_, answer): (u16, FirstAnswer) = serde_json::from_slice(answer.body())
            .map_err(|error| RoomsError::Unreachable(format!("its answer makes no sense: {error}")))?;
        Ok(answer.event)
    }

    /// Adds the invitation where it was made to stand, though the room may have moved on since.
    async fn add_invite(&self, room: &Arc<Room>, invite: Pdu, before: StateRoot) -> Result<OwnedEventId, RoomsError> {
        let id = invite.event_id.clone();
        let mut writer = self.writer(room).await;
        if writer.view().state != before {
            if self.parts.events.number_of(&invite.event_id).await?.is_some() {
                return Ok(id);
            }
            if !writer.allows(&invite).await? {
                return Err(RoomsError::Overtaken);
            }
        }
        writer.arrive(invite, Arrival::accepted(before)).await?;
        writer.commit().await?;
        Ok(id)
    }

    /// What somebody outside is shown of a room in a state, and who invites them.
    pub(in crate::rooms) async fn shown_outside(
        &self,
        room: &Room,
        state: StateRoot,
        inviter: Option<&UserId>,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut shown = Vec::with_capacity(SHOWN.len() + 1);
        for kind in &SHOWN {
            shown.extend(self.state_event(room.number, state, kind, "").await?);
        }
        if let Some(inviter) = inviter {
            shown.extend(self.state_event(room.number, state, &StateEventType::RoomMember, inviter.as_str()).await?);
        }
        Ok(shown)
    }
}

#[derive(serde::Deserialize)]
struct FirstAnswer {
    event: Box<RawValue>,
}

/// What the one who invites is told.
fn refused(error: RemoteError) -> RoomsError {
    match error {
        RemoteError::NotAllowed(server) => {
            RoomsError::Forbidden(format!("this server does not talk to {server}: nobody there can be invited"))
        }
        other => other.into(),
    }
}

/// Whether an event carries a signature of a server. The signature of the sender's server was checked before; the one of
/// the server that answered is its own affair.
fn signatures_by(pdu: &Pdu, server: &ServerName) -> bool {
    #[derive(serde::Deserialize)]
    struct Signed {
        signatures: serde_json::Map<String, serde_json::Value>,
    }
    serde_json::from_str::<Signed>(&pdu.json).is_ok_and(|signed| signed.signatures.contains_key(server.as_str()))
}
