//! Sending: messages, redactions and state.
//!
//! Spec v1.19, Client-Server API "Sending events to a room". The way of a message: content read once, the room from
//! memory, the policy, the room's lock, one look for an earlier request, one append, one commit.

mod agreement;
mod checks;
mod state;

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, RoomId, UserId, events::TimelineEventType};
use serde_json::Map;

pub(super) use self::checks::listed_creator;
use super::{
    NewEvent, Room, Rooms, RoomsError, Writer,
    transactions::{self, TransactionKey},
};
use crate::{
    event::{Content, content},
    store::UserNo,
};

/// A user of this server who does something.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// Who.
    pub user_id: &'a UserId,
    /// Their number.
    pub user: UserNo,
    /// With which device; empty when the server acts for them.
    pub device_id: &'a str,
    /// Whether it is a guest's account.
    pub guest: bool,
}

impl Rooms {
    /// Sends a message event. `content` is JSON as the client sent it.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`], [`RoomsError::BadJson`], [`RoomsError::TooLarge`],
    /// [`RoomsError::DuplicateAnnotation`], [`RoomsError::Policy`], [`RoomsError::Unreachable`]; [`RoomsError::NoEvent`] for
    /// redactions.
    pub async fn send_message(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        kind: &str,
        transaction_id: &str,
        content: &[u8],
    ) -> Result<OwnedEventId, RoomsError> {
        let room = self.joined_room(room_id, actor.user).await?;
        let mut new = NewEvent::message(actor.user_id, kind.into(), Content::parse(content)?);
        if new.kind == TimelineEventType::RoomRedaction {
            let target = content::redacts(new.content.raw());
            let target = target.ok_or_else(|| RoomsError::BadJson("content.redacts has to be an event id".into()))?;
            new.redacts = Some(target);
        }
        let key = transactions::key(actor, &room, "send", kind, transaction_id);
        self.send_once(&room, new, transaction_id, key).await
    }

    /// Redacts an event: one's own, or anyone's with the room's power to.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`], [`RoomsError::NoEvent`], [`RoomsError::Policy`].
    pub async fn redact(
        &self,
        actor: &Actor<'_>,
        room_id: &RoomId,
        target: &EventId,
        transaction_id: &str,
        reason: Option<&str>,
    ) -> Result<OwnedEventId, RoomsError> {
        let room = self.joined_room(room_id, actor.user).await?;
        let content: Map<_, _> = reason.map(|reason| ("reason".to_owned(), reason.into())).into_iter().collect();
        let mut new =
            NewEvent::message(actor.user_id, TimelineEventType::RoomRedaction, Content::from_serialize(&content)?);
        new.redacts = Some(target.to_owned());
        let key = transactions::key(actor, &room, "redact", target.as_str(), transaction_id);
        self.send_once(&room, new, transaction_id, key).await
    }

    /// Appends a message event, unless an earlier request of this key has.
    async fn send_once(
        &self,
        room: &Arc<Room>,
        mut new: NewEvent,
        transaction_id: &str,
        key: TransactionKey,
    ) -> Result<OwnedEventId, RoomsError> {
        new.transaction = Some((key.1.clone(), transaction_id.to_owned()));
        let writer = self.writer(room).await;
        if let Some(earlier) = self.earlier(&key).await? {
            drop(writer);
            return self.answer(earlier).await;
        }
        if let Some(target) = &new.redacts {
            self.check_redaction(&writer, &new.sender, target).await?;
        }
        let (mut writer, agreed) = self.agree(writer, &new).await?;
        // While somebody else was asked, the same request may have come again.
        if agreed.is_some()
            && let Some(earlier) = self.earlier(&key).await?
        {
            drop(writer);
            return self.answer(earlier).await;
        }
        let claim = self.claim_annotation(room, key.0, &new)?;
        let event = writer.append_agreed(new, agreed).await?;
        writer.batch().on_publish(move |_| drop(claim));
        self.remember(key, &event.pdu.event_id, writer.batch());
        writer.commit().await?;
        Ok(event.pdu.event_id.clone())
    }

    /// From room version 3 the authorisation rules let any redaction pass; who may redact what is decided here for
    /// this server's users (spec v1.19, room version 3, "Handling redactions").
    async fn check_redaction(&self, writer: &Writer, sender: &UserId, target: &EventId) -> Result<(), RoomsError> {
        let found = self.parts.events.in_room(writer.room().number, target).await?;
        let Some(found) = found else {
            // Of a room that other servers share, not all events have to be here; they decide for themselves.
            return if writer.view().servers.is_empty() { Err(RoomsError::NoEvent) } else { Ok(()) };
        };
        if found.pdu.kind == TimelineEventType::RoomCreate {
            return Err(RoomsError::Forbidden("the event that made the room cannot be redacted".into()));
        }
        let power = &writer.view().power;
        if found.pdu.sender == sender || power.user_level(sender).reaches(power.redact()) {
            Ok(())
        } else {
            Err(RoomsError::Forbidden("you may only redact your own events in this room".into()))
        }
    }
}
