//! Declining an invitation, or taking a knock back, in a room that this server is not in.

use ruma::{
    OwnedEventId, RoomId, RoomVersionId, ServerName,
    api::federation::membership::{create_leave_event::v2 as create_leave_event, prepare_leave_event::v1 as prepare},
    events::room::member::MembershipState,
};

use super::{
    super::outside::{Outside, OutsideChange},
    ask::{Failures, Person, TEMPLATE_TIME},
    join::{is_unrecognized, path_v1, put, raw},
    template::Template,
};
use crate::{
    event::Pdu,
    remote::Terms,
    rooms::{Rooms, RoomsError, membership::MemberContent},
    store::{
        Position,
        schema::rooms::{Membership, OutsideRecord},
    },
};

impl Rooms {
    /// Ends what a user is to a room that this server is not in. When no server that knows of it can be told, it is over
    /// here all the same: nobody must be stuck with an invitation.
    pub(in crate::rooms::membership) async fn leave_abroad(
        &self,
        person: Person,
        outside: Outside,
        reason: Option<String>,
    ) -> Result<(), RoomsError> {
        let rooms = self.clone();
        let task = tokio::spawn(async move { rooms.leave_outside(&person, outside, reason).await });
        task.await.map_err(|_| RoomsError::Unreachable("the leave was cut short".to_owned()))?
    }

    async fn leave_outside(&self, person: &Person, outside: Outside, reason: Option<String>) -> Result<(), RoomsError> {
        let room_id = &*outside.room_id;
        let servers = self.servers_to_try(room_id, &[], Some(&outside)).await?;
        let mut failures = Failures::default();
        let mut left = None;
        for server in servers {
            match self.leave_through(&server, person, room_id, reason.clone()).await {
                Ok(event) => {
                    left = Some(event);
                    break;
                }
                Err(error) => failures.note(&server, error)?,
            }
        }
        let event = if let Some(event) = left {
            event
        } else {
            tracing::info!(room = %room_id, why = %failures.told(), "an invitation is declined here only");
            lone_leave(self, person, &outside, reason)?
        };
        let Outside { record, room_id, .. } = outside;
        let follows = Some(record.event_id.clone());
        let record = OutsideRecord {
            membership: Membership::Leave,
            position: Position::ZERO,
            event: event.json.to_string(),
            event_id: event.event_id.to_string(),
            ..record
        };
        self.put_outside(person.user, &room_id, OutsideChange { record, follows }).await?;
        Ok(())
    }

    async fn leave_through(
        &self,
        server: &ServerName,
        person: &Person,
        room_id: &RoomId,
        reason: Option<String>,
    ) -> Result<Pdu, RoomsError> {
        let terms = Terms::default().within(TEMPLATE_TIME);
        let request = prepare::Request::new(room_id.to_owned(), person.user_id.clone());
        let answer = self.parts.remote.send_with(server, request, terms).await?;
        let template = Template::read(&answer.event, answer.room_version)?;
        let content = MemberContent::new(MembershipState::Leave).with_reason(reason);
        let event = self.build_member(&person.user_id, room_id, content, &template)?;
        let request = create_leave_event::Request::new(room_id.to_owned(), event.event_id.clone(), raw(&event)?);
        match self.parts.remote.send_with(server, request, terms).await {
            Ok(_) => {}
            Err(error) if is_unrecognized(&error) => {
                let path = path_v1("send_leave", room_id, &event);
                self.parts.remote.send_raw(server, put(&path, &event)?, terms).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(event)
    }
}

/// A leave of which nobody else hears.
fn lone_leave(rooms: &Rooms, person: &Person, outside: &Outside, reason: Option<String>) -> Result<Pdu, RoomsError> {
    let unreadable = |_| RoomsError::Invalid("what is known of the room cannot be read".to_owned());
    let record = &outside.record;
    let version = RoomVersionId::try_from(record.version.as_str()).map_err(unreadable)?;
    let id = OwnedEventId::try_from(record.event_id.as_str()).map_err(unreadable)?;
    let after = Pdu::from_stored(id, record.event.as_str())
        .map_err(|_| RoomsError::Invalid("what is known of the room cannot be read".to_owned()))?;
    rooms.build_lone_leave(&person.user_id, &outside.room_id, &version, &after, reason)
}
