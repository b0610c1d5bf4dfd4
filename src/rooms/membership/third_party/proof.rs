//! Somebody joins, and brings what an identity server has signed: their client has followed the link of a letter.

use ruma::{
    OwnedUserId, RoomId,
    events::{StateEventType, room::member::MembershipState},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::BoundInvite;
use crate::{
    event::content::{self, SignedInvite},
    rooms::{Actor, Rooms, RoomsError},
    store::{StoreError, schema::rooms::Membership},
};

impl Rooms {
    /// Gets the invitation for somebody who has proved an address. Who is invited or in the room already needs none, and
    /// where the administrator has named no identity server the proof is nothing.
    ///
    /// # Errors
    /// [`RoomsError::Invalid`] for what no identity server signs; [`RoomsError::Forbidden`] for somebody else's address;
    /// [`RoomsError::IdentityServer`]; [`RoomsError::NoRoom`] and else as for an invitation.
    pub(in crate::rooms::membership) async fn bring_proof(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        signed: &RawValue,
    ) -> Result<(), RoomsError> {
        #[derive(Deserialize)]
        struct Sent {
            sender: OwnedUserId,
        }
        if !self.parts.remote.has_identity_servers() || self.needs_no_proof(actor, room_id).await? {
            return Ok(());
        }
        let senseless = || RoomsError::Invalid("`third_party_signed` is not what an identity server signs".to_owned());
        let read = SignedInvite::parse(signed).ok_or_else(senseless)?;
        let Sent { sender } = serde_json::from_str(signed.get()).map_err(|_| senseless())?;
        if read.mxid != actor.user_id {
            return Err(RoomsError::Forbidden("the address is somebody else's".to_owned()));
        }
        if !self.is_of_named(&read) {
            return Err(RoomsError::IdentityServer(read.signers().into_iter().next().unwrap_or_default()));
        }
        let (user, room_id) = (actor.user_id.to_owned(), room_id.to_owned());
        let invite = BoundInvite { user, room_id, sender, signed: read.signed.clone() };
        if self.is_local(&invite.sender) {
            self.answer_here(&invite, &read).await
        } else {
            self.answer_elsewhere(&invite, &read).await
        }
    }

    async fn needs_no_proof(&self, actor: &Actor<'_>, room_id: &RoomId) -> Result<bool, StoreError> {
        if let Some(room) = self.by_id(room_id).await?.filter(|room| Self::stands_in(room)) {
            let (kind, state) = (StateEventType::RoomMember, room.view().state);
            let member = self.state_event(room.number, state, &kind, actor.user_id.as_str()).await?;
            let now = member.and_then(|member| content::membership(&member.pdu.content));
            return Ok(matches!(now, Some(MembershipState::Join | MembershipState::Invite)));
        }
        let outside = self.outside(actor.user, room_id).await?;
        Ok(outside.is_some_and(|outside| outside.record.membership == Membership::Invite))
    }
}
