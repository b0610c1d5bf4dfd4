//! What a room's policy server has to sign before it is sent (spec v1.18, Server-Server API "Policy servers"; MSC4284).
//!
//! A policy server is asked without the room's lock, so the room may go on meanwhile. The event then stands where it was
//! made, beside what came, as if two servers had spoken at once; when the room does not allow it any more, it is made
//! anew. Rooms without a policy server pay nothing.
//!
//! What follows from something else (a new name, the end of an upgraded room) is asked about like the rest, and left out
//! when it is refused. Only who is locked out leaves, whatever others think of it: whoever receives the unsigned event asks
//! the policy server themselves. A room that is being made has no policy server yet, as nobody of that server is in it,
//! and into the school's own rooms nobody of another server comes.

use std::sync::Arc;

use ruma::events::{TimelineEventType, room::member::MembershipState};

use super::super::{NewEvent, Room, Rooms, RoomsError, Writer, append::Arrival, receive::Disagreement};
use crate::{
    event::{
        Pdu,
        content::{self, Policy as PolicyServer},
        sign,
    },
    store::{Event, state_tree::StateRoot},
};

/// Times an event is made because the room has changed while the policy server was asked.
const ATTEMPTS_MAX: usize = 2;

/// An event that the room's policy server has signed, and the state that it stands on.
pub(in crate::rooms) struct Agreed {
    pdu: Pdu,
    before: StateRoot,
}

impl Rooms {
    /// Has an event signed by the room's policy server before it is added by [`Writer::append_agreed`]; `None` where
    /// there is nobody to ask. The room's lock is let go meanwhile: the writer must have been used for nothing yet, and
    /// what the caller has found out about the room may have changed when there is an answer.
    ///
    /// # Errors
    /// As for [`Writer::append`]; [`RoomsError::Forbidden`] when the policy server refuses, [`RoomsError::Unreachable`]
    /// when it cannot be asked. Neither where the house takes somebody out.
    pub(in crate::rooms) async fn agree(
        &self,
        mut writer: Writer,
        new: &NewEvent,
    ) -> Result<(Writer, Option<Agreed>), RoomsError> {
        if writer.view().policy_server.is_none() {
            return Ok((writer, None));
        }
        let (room, house) = (writer.room().clone(), writer.house);
        for _ in 0..ATTEMPTS_MAX {
            let Some(server) = self.policy_server(&room).await? else { return Ok((writer, None)) };
            let (pdu, before) = writer.propose(new.clone()).await?;
            if !sign::is_for_policy_server(&pdu) {
                return Ok((writer, None));
            }
            drop(writer);
            let signed = Box::pin(self.signed_by(&room, &server, &pdu)).await;
            writer = Writer { house, ..self.writer(&room).await };
            let signed = match signed {
                Ok(signed) => signed,
                Err(RoomsError::Forbidden(_) | RoomsError::Unreachable(_)) if house && leaves(new) => {
                    return Ok((writer, None));
                }
                Err(error) => return Err(error),
            };
            if writer.view().state == before || writer.allows(&signed).await? {
                return Ok((writer, Some(Agreed { pdu: signed, before })));
            }
        }
        Err(RoomsError::Forbidden("the room has changed".to_owned()))
    }

    /// An event of this server with the signature of the room's policy server, if it needs one.
    pub(in crate::rooms) async fn signed_by_policy_server(
        &self,
        room: &Room,
        pdu: &Pdu,
    ) -> Result<Option<Pdu>, RoomsError> {
        if !sign::is_for_policy_server(pdu) {
            return Ok(None);
        }
        let Some(server) = self.policy_server(room).await? else { return Ok(None) };
        self.signed_by(room, &server, pdu).await.map(Some)
    }

    async fn signed_by(&self, room: &Room, server: &PolicyServer, pdu: &Pdu) -> Result<Pdu, RoomsError> {
        match self.ask_policy_server(room, server, pdu).await {
            Ok(signed) => Ok(signed),
            Err(Disagreement::Remote(error)) if error.is_down() => {
                Err(RoomsError::Unreachable("the room's policy server does not answer".to_owned()))
            }
            Err(error) => {
                tracing::info!(room = %room.id, event = %pdu.event_id, %error, "the policy server refuses");
                Err(RoomsError::Forbidden("the room's policy server does not agree".to_owned()))
            }
        }
    }
}

impl Writer {
    /// Adds an event as [`Writer::append`] does, or, once the room's policy server has signed it, as it was signed.
    ///
    /// # Errors
    /// As for [`Writer::append`].
    pub(in crate::rooms) async fn append_agreed(
        &mut self,
        new: NewEvent,
        agreed: Option<Agreed>,
    ) -> Result<Arc<Event>, RoomsError> {
        let Some(Agreed { pdu, before }) = agreed else { return self.append(new).await };
        // What it has found may have changed while the lock was let go.
        self.ask_policy(&new).await?;
        self.arrive(pdu, Arrival { transaction: new.transaction, ..Arrival::accepted(before) }).await
    }
}

fn leaves(new: &NewEvent) -> bool {
    let membership = content::membership(new.content.raw());
    new.kind == TimelineEventType::RoomMember && membership == Some(MembershipState::Leave)
}
