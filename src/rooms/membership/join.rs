//! Joining and knocking.

use std::sync::Arc;

use ruma::{
    OwnedEventId, OwnedServerName, RoomId,
    events::{
        StateEventType,
        room::{guest_access::GuestAccess, member::MembershipState},
    },
};
use serde_json::{Map, Value, value::RawValue};

use super::{
    super::{Actor, Room, Rooms, RoomsError, Writer},
    MemberContent,
    remote::Person,
};
use crate::event::content;

/// What a client says when it joins.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Why.
    pub reason: Option<String>,
    /// Keys of the client's own, copied into the member event.
    pub extra: Map<String, Value>,
    /// Servers that may be in the room, if this one is not.
    pub via: Vec<OwnedServerName>,
    /// What an identity server has signed: whoever joins has proved the address that was invited.
    pub third_party_signed: Option<Box<RawValue>>,
}

/// What a client says when it knocks.
#[derive(Debug, Clone, Default)]
pub struct Knock {
    /// Why.
    pub reason: Option<String>,
    /// Servers that may be in the room, if this one is not.
    pub via: Vec<OwnedServerName>,
}

impl Rooms {
    /// Joins a room. Who has joined already stays so, without a new event unless they say something new.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`], [`RoomsError::GuestAccess`], [`RoomsError::Policy`];
    /// [`RoomsError::Refused`] and [`RoomsError::Unreachable`] for rooms of other servers.
    pub async fn join(&self, actor: &Actor<'_>, room_id: &RoomId, join: Join) -> Result<(), RoomsError> {
        if let Some(signed) = &join.third_party_signed {
            self.bring_proof(actor, room_id, signed).await?;
        }
        let Some(room) = self.by_id(room_id).await?.filter(|room| Self::stands_in(room)) else {
            return self.join_abroad(Person::of(actor), room_id, join).await;
        };
        if !self.knows_room(&room, actor).await? {
            return Err(RoomsError::NoRoom);
        }
        match self.join_event(actor, &room, join.clone()).await {
            // Somebody of another server in the room may vouch.
            Err(RoomsError::UnableToGrant) => self.join_abroad(Person::of(actor), room_id, join).await,
            other => other.map(drop),
        }
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
        content.authorised_via = match self.voucher_for(room, writer.view(), actor.user_id).await {
            // Rooms that this server is not in have no members here.
            Err(RoomsError::UnableToAuthorise) => {
                return Err(RoomsError::Forbidden("you are in none of the rooms whose members may join".into()));
            }
            voucher => voucher?,
        };
        let new = content.event(actor.user_id, actor.user_id)?;
        self.append_and_commit(writer, new).await
    }

    /// Knocks on a room.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], [`RoomsError::Forbidden`], [`RoomsError::Policy`].
    pub async fn knock(&self, actor: &Actor<'_>, room_id: &RoomId, knock: Knock) -> Result<(), RoomsError> {
        let Some(room) = self.by_id(room_id).await?.filter(|room| Self::stands_in(room)) else {
            return self.knock_abroad(Person::of(actor), room_id, knock).await;
        };
        if !self.knows_room(&room, actor).await? {
            return Err(RoomsError::NoRoom);
        }
        let profile = self.profile_of(actor.user_id).await?;
        let writer = self.writer(&room).await;
        let content = MemberContent::new(MembershipState::Knock).with_profile(profile).with_reason(knock.reason);
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
}

/// Guests join only where the room lets them (spec v1.19, Client-Server API "Guest access").
async fn check_guest_access(writer: &Writer) -> Result<(), RoomsError> {
    let event = writer.state_event(&StateEventType::RoomGuestAccess, "").await?;
    match event.map(|event| content::guest_access(&event.pdu.content)) {
        Some(GuestAccess::CanJoin) => Ok(()),
        _ => Err(RoomsError::GuestAccess),
    }
}
