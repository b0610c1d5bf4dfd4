//! Knocking on a room through a server that is in it.

use ruma::{
    OwnedRoomId, RoomId, ServerName,
    api::federation::membership::{
        RawStrippedState, create_knock_event::v1 as create_knock_event, prepare_knock_event::v1 as prepare,
    },
    events::room::member::MembershipState,
};
use serde_json::value::RawValue;

use super::{
    super::outside::OutsideChange,
    ask::{Failures, Person, TEMPLATE_TIME},
    join::raw,
    template::Template,
};
use crate::{
    event::{room_version, stripped},
    remote::Terms,
    rooms::{Knock, Rooms, RoomsError, membership::MemberContent},
    store::{
        Position,
        schema::rooms::{Membership, OutsideRecord},
    },
};

impl Rooms {
    /// Knocks on a room of other servers. It goes on when whoever waits for it goes away.
    pub(in crate::rooms::membership) async fn knock_abroad(
        &self,
        person: Person,
        room_id: &RoomId,
        knock: Knock,
    ) -> Result<(), RoomsError> {
        let (rooms, room_id) = (self.clone(), room_id.to_owned());
        let task = tokio::spawn(async move { rooms.knock_around(&person, room_id, knock).await });
        task.await.map_err(|_| RoomsError::Unreachable("the knock was cut short".to_owned()))?
    }

    async fn knock_around(&self, person: &Person, room_id: OwnedRoomId, knock: Knock) -> Result<(), RoomsError> {
        let outside = self.outside(person.user, &room_id).await?;
        let servers = self.servers_to_try(&room_id, &knock.via, outside.as_ref()).await?;
        let mut failures = Failures::default();
        for server in servers {
            match self.knock_through(&server, person, &room_id, &knock).await {
                Ok(()) => return Ok(()),
                Err(error) => failures.note(&server, error)?,
            }
        }
        Err(failures.told())
    }

    async fn knock_through(
        &self,
        server: &ServerName,
        person: &Person,
        room_id: &RoomId,
        knock: &Knock,
    ) -> Result<(), RoomsError> {
        self.check_abroad(&person.user_id, server)?;
        let terms = Terms::anyway().within(TEMPLATE_TIME);
        let mut request = prepare::Request::new(room_id.to_owned(), person.user_id.clone());
        request.ver = room_version::SUPPORTED.to_vec();
        let answer = self.parts.remote.send_with(server, request, terms).await?;
        let template = Template::read(&answer.event, Some(answer.room_version))?;
        if !template.rules.authorization.knocking {
            return Err(RoomsError::Forbidden("nobody can knock on rooms of this version".to_owned()));
        }
        let profile = self.profile_of(&person.user_id).await?;
        let content =
            MemberContent::new(MembershipState::Knock).with_profile(profile).with_reason(knock.reason.clone());
        let event = self.build_member(&person.user_id, room_id, content, &template)?;
        let request = create_knock_event::Request::new(room_id.to_owned(), event.event_id.clone(), raw(&event)?);
        let answer = self.parts.remote.send_with(server, request, terms).await?;
        let record = OutsideRecord {
            membership: Membership::Knock,
            position: Position::ZERO,
            version: template.version.to_string(),
            event: event.json.to_string(),
            event_id: event.event_id.to_string(),
            state: stripped_array(answer.knock_room_state.iter().map(raw_of)),
            servers: vec![server.to_string()],
        };
        self.put_outside(person.user, room_id, OutsideChange { record, follows: None }).await?;
        Ok(())
    }
}

/// One entry of what another server shows of a room, in whatever form.
#[allow(deprecated, reason = "servers still send the short form")]
pub(super) fn raw_of(entry: &RawStrippedState) -> &RawValue {
    match entry {
        RawStrippedState::Stripped(raw) => raw.json(),
        RawStrippedState::Pdu(raw) => raw,
        #[expect(unreachable_patterns, reason = "the type may grow")]
        _ => RawValue::NULL,
    }
}

/// A JSON array of what is well formed, as clients get it.
pub(super) fn stripped_array<'a>(entries: impl IntoIterator<Item = &'a RawValue>) -> String {
    let mut out = String::from("[");
    for (n, entry) in stripped::read(entries).iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(entry.json.get());
    }
    out.push(']');
    out
}
