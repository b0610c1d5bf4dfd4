//! Leaving, kicking, banning and unbanning.

use ruma::{RoomId, UserId, events::room::member::MembershipState};

use super::{
    super::{Actor, Rooms, RoomsError, Writer},
    MemberContent,
    remote::Person,
};
use crate::store::{StoreError, UserNo, schema::rooms::Membership};

/// What one member does to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberAction {
    /// Ends their membership, invitation or knock.
    Kick,
    /// Keeps them out until they are unbanned.
    Ban,
    /// Ends a ban.
    Unban,
}

impl Rooms {
    /// Leaves a room, declines an invitation, or takes a knock back. Who has left already stays so.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`], [`RoomsError::Policy`].
    pub async fn leave(&self, actor: &Actor<'_>, room_id: &RoomId, reason: Option<String>) -> Result<(), RoomsError> {
        self.leave_as(actor, room_id, reason, false).await
    }

    /// Leaves a room; `house` for accounts that are closed, which no rule keeps in a room.
    async fn leave_as(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        reason: Option<String>,
        house: bool,
    ) -> Result<(), RoomsError> {
        if let Some(outside) = self.outside(actor.user, room_id).await? {
            return match outside.record.membership {
                Membership::Invite | Membership::Knock => self.leave_abroad(Person::of(actor), outside, reason).await,
                _ => Ok(()),
            };
        }
        let room = self.known_room(actor, room_id).await?;
        let mut writer = self.writer(&room).await;
        if house {
            writer.for_the_house();
        }
        let Some(member) = writer.member(actor.user_id).await? else {
            return Err(RoomsError::Forbidden("you are not in this room".into()));
        };
        if crate::event::content::membership(&member.pdu.content) == Some(MembershipState::Leave) {
            drop(writer);
            return self.settle(&member).await.map(drop);
        }
        let new = MemberContent::new(MembershipState::Leave).with_reason(reason).event(actor.user_id, actor.user_id)?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// Kicks, bans or unbans a user.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`]; [`RoomsError::BadState`] for unbanning who is not banned; [`RoomsError::Policy`].
    pub async fn act_on_member(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        target: &UserId,
        action: MemberAction,
        reason: Option<String>,
    ) -> Result<(), RoomsError> {
        let room = self.joined_room(room_id, actor.user).await?;
        let writer = self.writer(&room).await;
        let membership = check_target(&writer, target, action).await?;
        let new = MemberContent::new(membership).with_reason(reason).event(actor.user_id, target)?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// Leaves every room, and declines every invitation: for accounts that are closed. A room that cannot be left is
    /// passed over; asking again later is harmless.
    ///
    /// # Errors
    /// The store failed.
    pub async fn leave_all(&self, user: UserNo, user_id: &UserId) -> Result<(), StoreError> {
        let actor = Actor { user_id, user, device_id: "", guest: false };
        let rooms = self.user_rooms(user).await?;
        for one in rooms.iter() {
            if !matches!(one.record.membership, Membership::Join | Membership::Invite | Membership::Knock) {
                continue;
            }
            match self.leave_as(&actor, &one.room.id, None, true).await {
                Ok(()) => {}
                Err(RoomsError::Store(error)) => return Err(error),
                Err(error) => tracing::warn!(%error, room = %one.room.id, "a closed account could not leave a room"),
            }
        }
        for one in self.outside_rooms(user).await? {
            match self.leave_as(&actor, &one.room_id, None, true).await {
                Ok(()) => {}
                Err(RoomsError::Store(error)) => return Err(error),
                Err(error) => tracing::warn!(%error, room = %one.room_id, "a closed account could not decline"),
            }
        }
        Ok(())
    }
}

/// Checks that the action fits what the target is to the room. The authorisation rules would let a member with enough
/// power "kick" somebody who was never there.
async fn check_target(writer: &Writer, target: &UserId, action: MemberAction) -> Result<MembershipState, RoomsError> {
    let membership = writer.membership(target).await?;
    let there = matches!(membership, Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock));
    match action {
        MemberAction::Kick if !there => Err(RoomsError::Forbidden(format!("{target} is not in the room"))),
        MemberAction::Unban if membership != Some(MembershipState::Ban) => {
            Err(RoomsError::BadState(format!("{target} is not banned")))
        }
        MemberAction::Kick | MemberAction::Unban => Ok(MembershipState::Leave),
        MemberAction::Ban => Ok(MembershipState::Ban),
    }
}
