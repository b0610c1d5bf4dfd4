//! Inviting.

use ruma::{RoomId, UserId, events::room::member::MembershipState};

use super::{
    super::{Actor, MemberProfile, Rooms, RoomsError, contact::verb_of, policy::Verb},
    MemberContent,
};

impl Rooms {
    /// Invites a user of this server, or of another that this one talks to. Who is invited already stays so.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`], [`RoomsError::NoUser`], [`RoomsError::Policy`].
    pub async fn invite(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        target: &UserId,
        reason: Option<String>,
    ) -> Result<(), RoomsError> {
        let room = self.joined_room(room_id, actor.user).await?;
        let profile = self.check_invitee(actor.user_id, target, verb_of(&room.view())).await?;
        if !self.is_local(target) {
            let content = MemberContent::new(MembershipState::Invite).with_profile(profile).with_reason(reason);
            return self.invite_abroad(&room, actor.user_id, target, content).await.map(drop);
        }
        let writer = self.writer(&room).await;
        let member = writer.member(target).await?;
        let membership = member.as_ref().and_then(|event| crate::event::content::membership(&event.pdu.content));
        match (membership, member) {
            (Some(MembershipState::Invite), Some(member)) if reason.is_none() => {
                drop(writer);
                return self.settle(&member).await.map(drop);
            }
            (Some(MembershipState::Join), _) => {
                return Err(RoomsError::Forbidden(format!("{target} is in the room already")));
            }
            (Some(MembershipState::Ban), _) => {
                return Err(RoomsError::Forbidden(format!("{target} is banned from the room")));
            }
            _ => {}
        }
        let content = MemberContent::new(MembershipState::Invite).with_profile(profile).with_reason(reason);
        let new = content.event(actor.user_id, target)?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// Whether a user may be invited at all; the answer is their name and picture.
    pub(in crate::rooms) async fn check_invitee(
        &self,
        inviter: &UserId,
        target: &UserId,
        verb: Verb,
    ) -> Result<MemberProfile, RoomsError> {
        if !self.is_local(target) && self.parts.remote.check(target.server_name()).is_err() {
            let server = target.server_name();
            return Err(RoomsError::Forbidden(format!(
                "people of {server} cannot be invited: this server does not talk to it"
            )));
        }
        let denial = self.parts.policy.decide(inviter, target, verb).err();
        if !self.is_local(target) {
            // What is known of them is their own server's to say.
            return denial.map_or(Ok(MemberProfile::default()), |denial| Err(denial.into()));
        }
        // Who is hidden is looked for like somebody who does not exist, so that it takes as long.
        let nobody = denial.as_ref().filter(|denial| denial.hidden).map(|_| self.nobody());
        let profile = self.parts.profiles.member_profile(nobody.as_deref().unwrap_or(target)).await?;
        match denial {
            Some(denial) => Err(denial.into()),
            None => profile.map(|profile| self.shown(target, profile)).ok_or(RoomsError::NoUser),
        }
    }
}
