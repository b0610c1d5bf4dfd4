//! The events that other servers' users join, leave and knock with.

use std::sync::Arc;

use ruma::{
    EventId, OwnedServerName, RoomId, ServerName,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde_json::value::RawValue;

use super::answer::JoinAnswer;
use crate::{
    event::{Pdu, content::Member, sign::cosigned},
    rooms::{
        Room, Rooms, RoomsError,
        receive::{Outcome, ReceiveError, Verified},
    },
    store::{Event, Verdict},
};

/// An event that another server hands over, to be added to its room and told to everybody in it.
pub struct Handed<'a> {
    /// Who hands it over.
    pub origin: &'a ServerName,
    /// The room of the path.
    pub room_id: &'a RoomId,
    /// The event of the path.
    pub event_id: &'a EventId,
    /// The event.
    pub event: &'a RawValue,
}

impl Rooms {
    /// Lets a user of another server into a room. The answer is what their server needs to be in it.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`]; [`RoomsError::Invalid`] for what is no join of the room and event in the path;
    /// [`RoomsError::Forbidden`], [`RoomsError::UnableToAuthorise`], [`RoomsError::UnableToGrant`].
    pub async fn accept_join(&self, handed: &Handed<'_>, omit_members: bool) -> Result<JoinAnswer, RoomsError> {
        let room = self.whole_resident_room(handed.room_id, handed.origin).await?;
        let pdu = Self::check_handed(&room, handed, &MembershipState::Join)?;
        self.check_newcomer(&room, &pdu.sender).await?;
        let before: Vec<OwnedServerName> = self.servers_in(&room).await?;
        let (text, vouched) = self.vouched(&room, pdu).await?;
        let event = self.take_in(&room, handed.origin, &text).await?;
        self.join_answer(&room, &event, vouched, omit_members.then_some(before)).await
    }

    /// A user of another server leaves, declines, or takes a knock back.
    ///
    /// # Errors
    /// As [`Self::accept_join`].
    pub async fn accept_leave(&self, handed: &Handed<'_>) -> Result<(), RoomsError> {
        let room = self.resident_room(handed.room_id, handed.origin).await?;
        let pdu = Self::check_handed(&room, handed, &MembershipState::Leave)?;
        self.check_newcomer(&room, &pdu.sender).await?;
        self.take_in(&room, handed.origin, &pdu.json).await.map(drop)
    }

    /// A user of another server knocks. The answer is what they are shown of the room, as full events.
    ///
    /// # Errors
    /// As [`Self::accept_join`].
    pub async fn accept_knock(&self, handed: &Handed<'_>) -> Result<Vec<Arc<Event>>, RoomsError> {
        let room = self.whole_resident_room(handed.room_id, handed.origin).await?;
        let pdu = Self::check_handed(&room, handed, &MembershipState::Knock)?;
        self.check_newcomer(&room, &pdu.sender).await?;
        let event = self.take_in(&room, handed.origin, &pdu.json).await?;
        Ok(self.shown_outside(&room, event.header.state_before, None).await?)
    }

    /// The event is a change of membership of the sender's own, who is of the server that hands it over, in the room and
    /// under the id of the path.
    fn check_handed(room: &Room, handed: &Handed<'_>, membership: &MembershipState) -> Result<Pdu, RoomsError> {
        let invalid = |what: &str| RoomsError::Invalid(what.to_owned());
        let pdu = Pdu::parse(handed.event.get().as_bytes(), &room.rules);
        let pdu = pdu.map_err(|error| RoomsError::Invalid(error.to_string()))?;
        if pdu.room_id != *handed.room_id || pdu.event_id != *handed.event_id {
            return Err(invalid("The path names another room or event"));
        }
        if pdu.kind != TimelineEventType::RoomMember || pdu.state_key.as_deref() != Some(pdu.sender.as_str()) {
            return Err(invalid("The event does not change the sender's own membership"));
        }
        if Member::read(&pdu.content).membership.as_ref() != Some(membership) {
            return Err(invalid("The event is of another membership"));
        }
        if pdu.sender.server_name() != handed.origin {
            return Err(RoomsError::Forbidden("The sender is of another server".to_owned()));
        }
        Ok(pdu)
    }

    /// The text of a join as it goes into the room: with this server's signature where a user of it vouches for the
    /// join, after everything about that was checked. Whether it was signed is told as well.
    async fn vouched(&self, room: &Arc<Room>, pdu: Pdu) -> Result<(Box<str>, bool), RoomsError> {
        let voucher = Member::read(&pdu.content).join_authorised_via_users_server;
        let voucher = voucher.filter(|_| room.rules.authorization.restricted_join_rule);
        let Some(voucher) = voucher.filter(|voucher| self.is_local(voucher)) else { return Ok((pdu.json, false)) };
        let view = room.view();
        self.check_voucher(&view, &voucher, &pdu.sender).await?;
        let signed = cosigned(&pdu, &self.parts.key, &room.rules);
        let signed = signed.map_err(|error| RoomsError::Invalid(error.to_string()))?;
        Ok((signed.json, true))
    }

    /// Puts an event through the checks of every received event, and adds it. The other servers in the room are told. It
    /// goes on when the server that handed it over goes away: half of it would leave the room with an event that nobody
    /// was told of.
    async fn take_in(&self, room: &Arc<Room>, origin: &ServerName, text: &str) -> Result<Arc<Event>, RoomsError> {
        let (rooms, room, origin) = (self.clone(), room.clone(), origin.to_owned());
        let text: Box<str> = text.into();
        let task = tokio::spawn(async move { rooms.take_in_whole(&room, &origin, &text).await });
        task.await.map_err(|_| RoomsError::Unreachable("it was cut short".to_owned()))?
    }

    async fn take_in_whole(&self, room: &Arc<Room>, origin: &ServerName, text: &str) -> Result<Arc<Event>, RoomsError> {
        let forbidden = |reason: String| RoomsError::Forbidden(reason);
        let verified = self.verify_one(&room.id, &room.rules, text).await;
        let verified = verified.map_err(|error| forbidden(error.to_string()))?;
        let id = verified.pdu().event_id.clone();
        if *verified.pdu().json != *text {
            return Err(RoomsError::Invalid("The event's hash is wrong".to_owned()));
        }
        let passing = self.writes.crossings.pass_on(&id);
        self.receive_from(room, origin, verified).await?;
        drop(passing);
        let event = self.parts.events.in_room(room.number, &id).await?;
        let event = event.ok_or_else(|| forbidden("the event was not taken in".to_owned()))?;
        match &event.header.verdict {
            Verdict::Accepted => Ok(event),
            Verdict::Rejected(reason) | Verdict::SoftFailed(reason) => Err(forbidden(reason.clone())),
            Verdict::Outlier => Err(forbidden("the event has no place in the room".to_owned())),
        }
    }

    /// Receives one event, asking others for what it lacks.
    pub(in crate::rooms::membership) async fn receive_from(
        &self,
        room: &Arc<Room>,
        origin: &ServerName,
        event: Verified,
    ) -> Result<Outcome, RoomsError> {
        let outcome = self.receive_ready(room, vec![event.clone()]).await?.pop();
        match outcome {
            Some(Err(ReceiveError::Incomplete)) | None => {
                Ok(Box::pin(self.receive_fetching(room, origin, event)).await?)
            }
            Some(outcome) => Ok(outcome?),
        }
    }

    /// The servers that have joined members in a room, this one included.
    async fn servers_in(&self, room: &Room) -> Result<Vec<OwnedServerName>, RoomsError> {
        let view = room.view();
        let mut servers = vec![self.parts.server_name.clone()];
        for (number, _) in view.servers.iter() {
            servers.push(self.parts.store.server_name(*number).await?);
        }
        Ok(servers)
    }
}
