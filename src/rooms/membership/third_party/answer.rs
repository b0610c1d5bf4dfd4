//! An address was proved: the invitation that follows, in a room that this server is in.

use std::sync::Arc;

use ruma::{
    RoomId, ServerName, UserId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{json, value::RawValue};

use super::super::MemberContent;
use crate::{
    event::{
        content::{self, InviteKey, SignedInvite, ThirdPartyInvite},
        sign::answering_keys,
    },
    rooms::{Room, Rooms, RoomsError, contact::verb_of},
    store::Event,
};

/// Changes of a membership that are looked back at. Who has changed theirs more often needs another invitation.
const MEMBERSHIPS_MAX: usize = 50;

/// Another server asks that a user of its own be invited, who has proved an address. Spec v1.19, Server-Server API, `PUT
/// /exchange_third_party_invite/{roomId}`.
pub struct Exchange<'a> {
    /// Who asks.
    pub origin: &'a ServerName,
    /// The room of the path.
    pub room_id: &'a RoomId,
    /// Who has invited by the address.
    pub sender: &'a UserId,
    /// Whose address it is.
    pub target: &'a UserId,
    /// What the identity server has signed.
    pub signed: &'a RawValue,
}

/// The invitation by address that a signed object answers.
struct Answered {
    invite: Arc<Event>,
    display_name: String,
    /// The keys with which it is signed: at least one.
    keys: Vec<InviteKey>,
}

impl Rooms {
    /// Invites a user of another server who has proved an address.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`] for rooms that this server is not in or that are not open to others, and for everything that
    /// answers no invitation there; else as for [`Self::invite`], and [`RoomsError::Forbidden`] when the key is not valid
    /// any more, [`RoomsError::Unreachable`] when that cannot be found out.
    pub async fn exchange_invitation(&self, exchange: &Exchange<'_>) -> Result<(), RoomsError> {
        if exchange.target.server_name() != exchange.origin {
            return Err(RoomsError::Forbidden("The user is of another server".to_owned()));
        }
        let room = self.whole_resident_room(exchange.room_id, exchange.origin).await?;
        let signed = SignedInvite::parse(exchange.signed).ok_or(RoomsError::NoRoom)?;
        self.answer_invitation(&room, exchange.sender, exchange.target, &signed).await
    }

    /// Puts the ordinary invitation in the place of one by address. Who is invited already stays so.
    pub(super) async fn answer_invitation(
        &self,
        room: &Arc<Room>,
        sender: &UserId,
        target: &UserId,
        signed: &SignedInvite,
    ) -> Result<(), RoomsError> {
        // Who cannot show an answer is not even told that there is such a room.
        let answered = self.answered(room, sender, target, signed).await?.ok_or(RoomsError::NoRoom)?;
        let profile = self.check_invitee(sender, target, verb_of(&room.view())).await?;
        self.check_validity(&answered.keys).await?;
        let writer = self.writer(room).await;
        let member = writer.member(target).await?;
        let membership = member.as_ref().and_then(|member| content::membership(&member.pdu.content));
        match membership {
            Some(MembershipState::Invite) => return Ok(()),
            Some(MembershipState::Join) => {
                return Err(RoomsError::Forbidden(format!("{target} is in the room already")));
            }
            _ => {}
        }
        if self.was_removed_since(room, target, member, answered.invite.order).await? {
            return Err(RoomsError::Forbidden(format!("{target} was removed from the room since")));
        }
        let mut content = MemberContent::new(MembershipState::Invite).with_profile(profile);
        content.third_party = Some(json!({ "display_name": answered.display_name, "signed": signed.signed }));
        if !self.is_local(target) {
            drop(writer);
            return self.invite_abroad(room, sender, target, content).await.map(drop);
        }
        let new = content.event(sender, target)?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// Whether somebody else has ended a user's membership since: the rules would let them come again and again. `member`
    /// is what they are now; what they have done themselves since, as to knock, changes nothing.
    async fn was_removed_since(
        &self,
        room: &Room,
        target: &UserId,
        mut member: Option<Arc<Event>>,
        since: i64,
    ) -> Result<bool, RoomsError> {
        for _ in 0..MEMBERSHIPS_MAX {
            let Some(event) = member.filter(|event| event.order > since) else { return Ok(false) };
            let membership = content::membership(&event.pdu.content);
            if event.pdu.sender != *target && membership != Some(MembershipState::Invite) {
                return Ok(true);
            }
            let (kind, before) = (StateEventType::RoomMember, event.header.state_before);
            member = self.state_event(room.number, before, &kind, target.as_str()).await?;
        }
        Ok(true)
    }

    /// The invitation by address in the room's state that is answered: a user of this server sent it, and one of its keys
    /// has signed that the address is the target's.
    async fn answered(
        &self,
        room: &Room,
        sender: &UserId,
        target: &UserId,
        signed: &SignedInvite,
    ) -> Result<Option<Answered>, RoomsError> {
        if signed.mxid != target || !self.is_local(sender) {
            return Ok(None);
        }
        let (kind, state) = (StateEventType::RoomThirdPartyInvite, room.view().state);
        let Some(invite) = self.state_event(room.number, state, &kind, &signed.token).await? else { return Ok(None) };
        if invite.pdu.sender != sender {
            return Ok(None);
        }
        let read = ThirdPartyInvite::read(&invite.pdu.content);
        let keys: Vec<InviteKey> = answering_keys(signed, &read).into_iter().cloned().collect();
        let display_name = read.display_name.unwrap_or_default().into();
        Ok((!keys.is_empty()).then_some(Answered { invite, display_name, keys }))
    }

    /// One of the keys has to be valid still. One that names no place to ask is valid for good.
    async fn check_validity(&self, keys: &[InviteKey]) -> Result<(), RoomsError> {
        let mut failure = None;
        for key in keys {
            let Some(place) = &key.key_validity_url else { return Ok(()) };
            match self.parts.remote.is_key_valid(place, &key.public_key).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        }
        Err(match failure {
            Some(error) => RoomsError::Unreachable(format!("whether the key is still valid: {error}")),
            None => RoomsError::Forbidden("The key of the identity server is not valid any more".to_owned()),
        })
    }
}
