//! Setting state.

use std::sync::Arc;

use ruma::{
    OwnedEventId, RoomId, UserId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{Map, Value};

use super::{
    super::{Join, NewEvent, Rooms, RoomsError, Writer, contact::verb_of, membership::MemberContent, writer},
    Actor,
};
use crate::{
    event::{
        Content,
        content::{self, Member},
    },
    store::Event,
};

/// The key of a member event that names who vouches for a restricted join.
const VOUCHER: &str = "join_authorised_via_users_server";

impl Rooms {
    /// Sets a piece of state. The same content from the same sender again is the same event.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`], [`RoomsError::BadJson`], [`RoomsError::Invalid`], [`RoomsError::BadAlias`],
    /// [`RoomsError::TooLarge`], [`RoomsError::Policy`].
    pub async fn send_state(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
        content: &[u8],
    ) -> Result<OwnedEventId, RoomsError> {
        let content = Content::parse(content)?;
        let kind = StateEventType::from(kind);
        if kind == StateEventType::RoomMember {
            return self.send_member(actor, room_id, state_key, content).await;
        }
        let room = self.joined_room(room_id, actor.user).await?;
        let new = NewEvent::state(actor.user_id, kind.clone(), state_key, content);
        let writer = self.writer(&room).await;
        if let Some(same) = same_as_before(&writer, &new, &kind).await? {
            drop(writer);
            return self.settle(&same).await;
        }
        self.check_state_form(&writer, &kind, state_key, &new.content).await?;
        self.append_and_commit(writer, new).await
    }

    /// Sets a member event. The specification lets clients change memberships this way too, so it must not open a door
    /// that the membership endpoints keep shut.
    async fn send_member(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        state_key: &str,
        content: Content,
    ) -> Result<OwnedEventId, RoomsError> {
        let target = <&UserId>::try_from(state_key)
            .map_err(|_| RoomsError::Invalid("the state key of a member event has to be a user id".into()))?;
        let member = Member::read(content.raw());
        let own = target == actor.user_id;
        let room = self.by_id(room_id).await?.ok_or_else(not_in_room)?;
        if !self.knows_room(&room, actor).await? {
            return Err(not_in_room());
        }
        if own && member.membership == Some(MembershipState::Join) && !Self::has_joined(&room, actor.user) {
            let extra: Map<String, Value> = serde_json::from_str(content.as_str()).unwrap_or_default();
            let reason = member.reason.map(String::from);
            let join = Join { reason, extra, ..Join::default() };
            if Self::stands_in(&room) {
                return self.join_event(actor, &room, join).await;
            }
            self.join(actor, room_id, join).await?;
            let member = self.writer(&room).await.member(actor.user_id).await?;
            return member.map(|member| member.pdu.event_id.clone()).ok_or_else(not_in_room);
        }
        if !own && !Self::has_joined(&room, actor.user) {
            return Err(not_in_room());
        }
        if member.third_party_invite {
            return Err(RoomsError::Forbidden("invitations through third parties are not supported".into()));
        }
        if member.membership == Some(MembershipState::Invite) {
            let profile = self.check_invitee(actor.user_id, target, verb_of(&room.view())).await?;
            if !self.is_local(target) {
                let mut invite = MemberContent::new(MembershipState::Invite).with_profile(profile);
                invite.extra = serde_json::from_str(content.as_str()).unwrap_or_default();
                invite.reason = member.reason.map(String::from);
                invite.is_direct = member.is_direct == Some(true);
                return self.invite_abroad(&room, actor.user_id, target, invite).await;
            }
        }
        let mut new = NewEvent::state(actor.user_id, StateEventType::RoomMember, state_key, content);
        let writer = self.writer(&room).await;
        if let Some(same) = same_as_before(&writer, &new, &StateEventType::RoomMember).await? {
            drop(writer);
            return self.settle(&same).await;
        }
        let before = writer.state_event(&StateEventType::RoomMember, state_key).await?;
        let before = before.map(|event| Member::read(&event.pdu.content)).unwrap_or_default();
        // Who vouches for a restricted join is chosen by this server, which signs for it. Who is in the room needs
        // nobody, and what they say of it is dropped.
        let voucher = member.join_authorised_via_users_server.as_ref();
        let kept = voucher.is_some() && voucher == before.join_authorised_via_users_server.as_ref();
        if !kept && content::field(new.content.raw(), VOUCHER).is_some() {
            if [&before.membership, &member.membership].iter().any(|m| **m != Some(MembershipState::Join)) {
                return Err(RoomsError::Forbidden(format!("`{VOUCHER}` is set by the server")));
            }
            new.content = without(&new.content, VOUCHER)?;
        }
        self.append_and_commit(writer, new).await
    }

    /// Appends one event, with the agreement of the room's policy server, and makes it durable.
    ///
    /// # Errors
    /// As for [`Writer::append`]; [`RoomsError::Forbidden`] when the policy server refuses, [`RoomsError::Unreachable`]
    /// when it cannot be asked.
    pub async fn append_and_commit(&self, writer: Writer, new: NewEvent) -> Result<OwnedEventId, RoomsError> {
        let (mut writer, agreed) = self.agree(writer, &new).await?;
        let event = writer.append_agreed(new, agreed).await?;
        writer.commit().await?;
        Ok(event.pdu.event_id.clone())
    }

    /// The id of an event, once it is durable. The caller has let the room's lock go.
    pub(in crate::rooms) async fn settle(&self, event: &Event) -> Result<OwnedEventId, RoomsError> {
        let durable = u64::try_from(event.order).is_ok_and(|order| order <= self.parts.store.position().0);
        if !durable {
            writer::settled(self).await?;
        }
        Ok(event.pdu.event_id.clone())
    }
}

/// Content without one of its keys.
fn without(content: &Content, key: &str) -> Result<Content, RoomsError> {
    let mut fields: Map<String, Value> = serde_json::from_str(content.as_str()).unwrap_or_default();
    fields.remove(key);
    Ok(Content::from_serialize(&fields)?)
}

/// The event in force, when the new one would say the same.
async fn same_as_before(
    writer: &Writer,
    new: &NewEvent,
    kind: &StateEventType,
) -> Result<Option<Arc<Event>>, RoomsError> {
    let before = writer.state_event(kind, new.state_key.as_deref().unwrap_or_default()).await?;
    Ok(before.filter(|before| before.pdu.sender == new.sender && before.pdu.content.get() == new.content.as_str()))
}

fn not_in_room() -> RoomsError {
    RoomsError::Forbidden("you are not in this room".into())
}
