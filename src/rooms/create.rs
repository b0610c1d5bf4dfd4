//! New rooms.
//!
//! Spec v1.19, Client-Server API "Creation". Everything is checked before anything is written: the events are built one
//! on the other under the room's own rules, and a refusal of any of them drops them all. What passes is one commit.

mod defaults;
mod request;
mod terms;

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, UserId,
    events::{StateEventType, room::member::MembershipState},
};

pub use self::request::{CreateRoom, InitialState, Preset};
use self::{defaults::Defaults, request::INVITES_MAX};
pub(super) use self::{
    defaults::{ADDITIONAL_CREATORS_MAX, raise_tombstone},
    terms::family_state,
};
use super::{
    Actor, MemberProfile, NewEvent, Room, Rooms, RoomsError, Writer, aliases,
    membership::MemberContent,
    policy::{Creation, Terms, Verb},
};
use crate::{
    event::{Content, room_version},
    store::{Batch, RoomNo, schema::rooms::PUBLISHED},
};

/// Users of other servers who are invited at the same time.
const ABROAD_AT_ONCE: usize = 8;

/// Who is invited, and how they are called.
type Invitees = Vec<(OwnedUserId, MemberProfile)>;

impl Rooms {
    /// Makes a room; the answer is its id. Addresses in the request have been looked up.
    ///
    /// # Errors
    /// [`RoomsError::UnsupportedVersion`], [`RoomsError::AliasInUse`], [`RoomsError::Invalid`],
    /// [`RoomsError::InvalidRoomState`], [`RoomsError::BadJson`], [`RoomsError::NoUser`], [`RoomsError::Policy`];
    /// [`RoomsError::Refused`] and [`RoomsError::Unreachable`] when other servers do not help.
    pub async fn create_room(&self, actor: &Actor<'_>, request: CreateRoom) -> Result<OwnedRoomId, RoomsError> {
        self.create_room_with(actor, request, |_, _| {}).await
    }

    /// The same; `also` adds rows about the room to its commit.
    ///
    /// # Errors
    /// As [`Self::create_room`].
    pub async fn create_room_with(
        &self,
        actor: &Actor<'_>,
        request: CreateRoom,
        also: impl FnOnce(RoomNo, &mut Batch) + Send,
    ) -> Result<OwnedRoomId, RoomsError> {
        let rules = room_version::supported(&request.version)
            .ok_or_else(|| RoomsError::UnsupportedVersion(request.version.clone()))?;
        let (terms, invitees) = self.invitees(actor, &request).await?;
        let request = match terms {
            Terms::Ordinary => request,
            Terms::Family => request.for_family()?,
        };
        let defaults = Defaults::new(&request, actor.user_id, &rules)?;
        let alias = request.alias_localpart.as_deref().map(|localpart| self.alias_of(localpart)).transpose()?;
        if let Some(alias) = &alias {
            self.check_alias_free(alias).await?;
        }
        let profile = self.profile_of(actor.user_id).await?;

        let mut writer = self.new_room(actor.user_id, &request.version, &defaults.create).await?;
        let join = MemberContent::new(MembershipState::Join).with_profile(profile);
        writer.append(join.event(actor.user_id, actor.user_id)?).await.map_err(as_room_state)?;
        let state = request.state(defaults, alias.as_deref())?;
        for (kind, key, content) in state {
            self.append_initial(&mut writer, actor.user_id, kind, &key, content).await?;
        }
        let (here, abroad): (Invitees, Invitees) = invitees.into_iter().partition(|(target, _)| self.is_local(target));
        self.append_invites(&mut writer, actor.user_id, here, request.is_direct).await?;
        writer.invite_unbound(actor.user_id, &request.unbound).await.map_err(as_room_state)?;

        // Identity servers may have been waited for: only now is the alias kept from others.
        let guard = match &alias {
            Some(alias) => {
                let guard = self.writes.alias(alias).await;
                self.check_alias_free(alias).await?;
                guard
            }
            None => None,
        };
        let room = writer.room().clone();
        if let Some(alias) = &alias {
            aliases::put_alias(writer.batch(), alias, room.number, actor.user);
        }
        if request.published {
            writer.batch().put(&PUBLISHED, &room.number, &());
        }
        also(room.number, writer.batch());
        writer.commit().await?;
        drop(guard);
        self.invite_others(&room, actor.user_id, abroad, request.is_direct).await?;
        Ok(room.id.clone())
    }

    /// Invites users of other servers, once the room is there for them to be told of. What goes wrong is told, though the
    /// room stays: nobody must believe that they were invited who were not.
    async fn invite_others(
        &self,
        room: &Arc<Room>,
        inviter: &UserId,
        invitees: Invitees,
        is_direct: bool,
    ) -> Result<(), RoomsError> {
        let sending = stream::iter(invitees).map(|(target, profile)| async move {
            let mut content = MemberContent::new(MembershipState::Invite).with_profile(profile);
            content.is_direct = is_direct;
            self.invite_abroad(room, inviter, &target, content).await.map(drop)
        });
        let outcomes: Vec<_> = sending.buffered(ABROAD_AT_ONCE).collect().await;
        outcomes.into_iter().collect()
    }

    /// What the new room has to be and whom it invites, after asking the policy about the room and each of them.
    async fn invitees(&self, actor: &Actor<'_>, request: &CreateRoom) -> Result<(Terms, Invitees), RoomsError> {
        if request.invites.len() > INVITES_MAX {
            return Err(RoomsError::Invalid(format!("a new room invites at most {INVITES_MAX} people")));
        }
        let creation = Creation {
            creator: actor.user_id,
            invites: &request.invites,
            is_direct: request.is_direct,
            is_public: request.is_public(),
            replaces: None,
        };
        let terms = self.parts.policy.creation(&creation)?;
        // A room with one other person is a chat of two, whatever the client calls it.
        let others = request.invites.iter().filter(|target| *target != actor.user_id);
        let mut others: Vec<_> = others.collect();
        others.sort();
        others.dedup();
        let verb = if others.len() == 1 { Verb::Dm } else { Verb::Add };
        let mut invitees = Invitees::new();
        for target in &request.invites {
            let known = target == actor.user_id || invitees.iter().any(|(invited, _)| invited == target);
            if !known {
                invitees.push((target.clone(), self.check_invitee(actor.user_id, target, verb).await?));
            }
        }
        Ok((terms, invitees))
    }

    fn alias_of(&self, localpart: &str) -> Result<OwnedRoomAliasId, RoomsError> {
        let invalid = || RoomsError::Invalid("`room_alias_name` is not the local part of an alias".into());
        // A colon would move the border between local part and server name.
        if localpart.contains(':') {
            return Err(invalid());
        }
        let alias = RoomAliasId::parse(format!("#{localpart}:{}", self.parts.server_name)).map_err(|_| invalid())?;
        self.check_alias(&alias)?;
        Ok(alias)
    }

    async fn append_initial(
        &self,
        writer: &mut Writer,
        sender: &UserId,
        kind: StateEventType,
        key: &str,
        content: Content,
    ) -> Result<(), RoomsError> {
        let new = NewEvent::state(sender, kind, key, content);
        writer.append(new).await.map(drop).map_err(as_room_state)
    }

    async fn append_invites(
        &self,
        writer: &mut Writer,
        sender: &UserId,
        invitees: Invitees,
        is_direct: bool,
    ) -> Result<(), RoomsError> {
        for (target, profile) in invitees {
            let mut content = MemberContent::new(MembershipState::Invite).with_profile(profile);
            content.is_direct = is_direct;
            let new = content.event(sender, &target)?;
            writer.append(new).await.map_err(as_room_state)?;
        }
        Ok(())
    }
}

/// An event that the new room's own rules refuse is a fault of the request.
fn as_room_state(error: RoomsError) -> RoomsError {
    match error {
        RoomsError::Forbidden(rule) => {
            RoomsError::InvalidRoomState(format!("the room cannot be made like this: {rule}"))
        }
        other => other,
    }
}
