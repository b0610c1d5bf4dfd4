//! Joining and knocking.

use std::sync::Arc;

use ruma::{
    OwnedEventId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType,
        room::{guest_access::GuestAccess, member::MembershipState},
    },
};
use serde_json::{Map, Value};

use super::{
    super::{Actor, Room, Rooms, RoomsError, Writer},
    MemberContent,
};
use crate::{
    event::content,
    store::{StoreError, UserNo},
};

/// Members asked whether they can vouch for a restricted join, of those without a power level of their own.
const VOUCHERS_MAX: usize = 16;

/// What a client says when it joins.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Why.
    pub reason: Option<String>,
    /// Keys of the client's own, copied into the member event.
    pub extra: Map<String, Value>,
}

impl Rooms {
    /// Joins a room. Who has joined already stays so, without a new event unless they say something new.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`], [`RoomsError::GuestAccess`], [`RoomsError::Policy`].
    pub async fn join(&self, actor: &Actor<'_>, room_id: &RoomId, join: Join) -> Result<(), RoomsError> {
        let room = self.known_room(actor, room_id).await?;
        self.join_event(actor, &room, join).await.map(drop)
    }

    /// The same; the answer is the member event in force.
    pub(in crate::rooms) async fn join_event(
        &self,
        actor: &Actor<'_>,
        room: &Arc<Room>,
        join: Join,
    ) -> Result<OwnedEventId, RoomsError> {
        let profile = self.profile_of(actor.user_id).await?;
        let writer = self.writer(room).await;
        let member = writer.member(actor.user_id).await?;
        let membership = member.as_ref().and_then(|event| content::membership(&event.pdu.content));
        if membership == Some(MembershipState::Join)
            && join.reason.is_none()
            && join.extra.is_empty()
            && let Some(member) = member
        {
            drop(writer);
            return self.settle(&member).await;
        }
        if actor.guest {
            check_guest_access(&writer).await?;
        }
        let mut content = MemberContent::new(MembershipState::Join).with_profile(profile).with_reason(join.reason);
        content.extra = join.extra;
        let welcome = matches!(membership, Some(MembershipState::Join | MembershipState::Invite));
        if !welcome && writer.view().join_rules.is_restricted() && room.rules.authorization.restricted_join_rule {
            content.authorised_via = Some(self.voucher(&writer, actor.user).await?);
        }
        let new = content.event(actor.user_id, actor.user_id)?;
        self.append_and_commit(writer, new).await
    }

    /// Knocks on a room.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`], [`RoomsError::Policy`].
    pub async fn knock(&self, actor: &Actor<'_>, room_id: &RoomId, reason: Option<String>) -> Result<(), RoomsError> {
        let room = self.known_room(actor, room_id).await?;
        let profile = self.profile_of(actor.user_id).await?;
        let writer = self.writer(&room).await;
        let content = MemberContent::new(MembershipState::Knock).with_profile(profile).with_reason(reason);
        let new = content.event(actor.user_id, actor.user_id)?;
        self.append_and_commit(writer, new).await.map(drop)
    }

    /// A room of which a user may know.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`] otherwise, whether or not there is one.
    pub(super) async fn known_room(&self, actor: &Actor<'_>, room_id: &RoomId) -> Result<Arc<Room>, RoomsError> {
        let room = self.by_id(room_id).await?.ok_or(RoomsError::NoRoom)?;
        if self.knows_room(&room, actor).await? { Ok(room) } else { Err(RoomsError::NoRoom) }
    }

    /// Who vouches for a user that joins a restricted room: a member here with the power to invite, provided that the
    /// user has joined one of the rooms the rule allows.
    async fn voucher(&self, writer: &Writer, user: UserNo) -> Result<OwnedUserId, RoomsError> {
        if !self.has_joined_any(&writer.view().join_rules.allow, user).await? {
            return Err(RoomsError::Forbidden("you are in none of the rooms whose members may join".into()));
        }
        let view = writer.view();
        let (power, invite) = (&view.power, view.power.invite());
        let named = power.creators().iter().map(AsRef::as_ref).chain(power.users().map(|(user, _)| user));
        for candidate in named.filter(|user| power.user_level(user).reaches(invite)) {
            if self.has_joined_locally(writer, candidate).await? {
                return Ok(candidate.to_owned());
            }
        }
        for number in view.joined.iter().take(VOUCHERS_MAX) {
            let candidate = self.parts.store.user_id(UserNo(*number)).await?;
            if power.user_level(&candidate).reaches(invite) {
                return Ok(candidate);
            }
        }
        Err(RoomsError::Forbidden("no member of this server's can vouch for you".into()))
    }

    async fn has_joined_any(&self, rooms: &[ruma::OwnedRoomId], user: UserNo) -> Result<bool, StoreError> {
        for id in rooms {
            if self.by_id(id).await?.is_some_and(|room| Self::has_joined(&room, user)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_joined_locally(&self, writer: &Writer, user: &UserId) -> Result<bool, StoreError> {
        let number = self.parts.store.user(user).await?;
        Ok(number.is_some_and(|number| writer.view().joined.binary_search(&number.0).is_ok()))
    }
}

/// Guests join only where the room lets them (spec v1.19, Client-Server API "Guest access").
async fn check_guest_access(writer: &Writer) -> Result<(), RoomsError> {
    let event = writer.state_event(&StateEventType::RoomGuestAccess, "").await?;
    match event.map(|event| content::guest_access(&event.pdu.content)) {
        Some(GuestAccess::CanJoin) => Ok(()),
        _ => Err(RoomsError::GuestAccess),
    }
}
