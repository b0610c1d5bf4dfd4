//! A room's first event: the create event, and the room it makes.

use std::sync::Arc;

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedRoomId, RoomId, RoomVersionId, UserId,
    events::{StateEventType, room::history_visibility::HistoryVisibility},
    room_version_rules::RoomVersionRules,
    uint,
};

use super::{
    NewEvent, Rooms, RoomsError, Writer,
    append::{header, timeline_row},
    registry::content_of,
    room::{Extremity, Room, RoomView},
    writer::Placed,
    writes::NewRoomId,
};
use crate::{
    event::{
        Content, Pdu, PowerLevels, auth,
        content::{Create, JoinRules},
        room_version,
    },
    store::{
        Batch, Event,
        schema::rooms::{ROOMS, RoomRecord},
        state_tree::StateRoot,
    },
};

impl Rooms {
    /// Begins a new room with its create event. `content` is without `room_version` and `creator`; they are added as
    /// the version wants them. Nothing exists until the writer commits.
    pub async fn new_room(
        &self,
        sender: &UserId,
        version: &RoomVersionId,
        content: &Content,
    ) -> Result<Writer, RoomsError> {
        let rules = room_version::supported(version).ok_or_else(|| RoomsError::UnsupportedVersion(version.clone()))?;
        let mut content =
            content.with_string("room_version", version.as_str()).map_err(|e| RoomsError::Invalid(e.to_string()))?;
        if !rules.authorization.use_room_create_sender {
            content =
                content.with_string("creator", sender.as_str()).map_err(|e| RoomsError::Invalid(e.to_string()))?;
        }
        let event = NewEvent::state(sender, StateEventType::RoomCreate, "", content);
        let (pdu, taken) = self.create_event(event, &rules).await?;
        auth::check_own(&pdu, &rules, |_, _| None::<Arc<Pdu>>)?;

        let mut batch = Batch::new();
        batch.on_publish(move |_| drop(taken));
        let number = self.parts.store.mint_room(&pdu.room_id, &mut batch).await?;
        let user = self.parts.store.mint_user(sender, &mut batch).await?;
        let pair = self.parts.store.mint_state_key(&StateEventType::RoomCreate, "", &mut batch).await?;
        let event_number = self.parts.store.next_event();
        let state = self.parts.tree.apply(StateRoot::EMPTY, &[(pair, Some(event_number))], &mut batch).await?;
        let header = header(&pdu, user, StateRoot::EMPTY, state, None, None);
        let create = Arc::new(Event::new(event_number, number, header, pdu)?);
        let placed = Placed::default();
        self.parts.events.add(&create, &mut batch, timeline_row(&create, &placed));
        let record = RoomRecord { version: version.to_string(), created_ms: self.parts.clock.now_ms() };
        batch.put(&ROOMS, &number, &record);

        let extremities = vec![Extremity::of(&create)];
        let view = RoomView { state, extremities, ..first_view(&create, &rules) };
        let room = Room::new(create.pdu.room_id.clone(), number, version.clone(), rules, Arc::new(view));
        room.load_tail(&[], true);
        Ok(Writer { added: vec![create], placed, ..self.first_writer(room, batch).await })
    }

    /// Builds a create event for a room that does not exist. In version 12 the room id is the event's hash: what one
    /// person makes twice in one millisecond would be the same room, so the second says that it came later.
    async fn create_event(
        &self,
        mut event: NewEvent,
        rules: &RoomVersionRules,
    ) -> Result<(Pdu, NewRoomId), RoomsError> {
        let mut at = self.parts.clock.now();
        loop {
            event.origin_server_ts = Some(at);
            let room_id =
                if rules.authorization.room_create_event_id_as_room_id { None } else { Some(self.new_room_id()?) };
            let draft = self.draft(event.clone(), room_id, Vec::new(), Vec::new(), 1);
            let pdu = draft.build(rules, &self.parts.key)?;
            // In this order: a writer that gives the id up has made the room findable before.
            if let Some(taken) = self.writes.take_room_id(&pdu.room_id)
                && self.parts.store.room(&pdu.room_id).await?.is_none()
            {
                return Ok((pdu, taken));
            }
            at = MilliSecondsSinceUnixEpoch(at.0.saturating_add(uint!(1)));
        }
    }

    fn new_room_id(&self) -> Result<OwnedRoomId, RoomsError> {
        let id = format!("!{}:{}", self.parts.ids.room_localpart(), self.parts.server_name);
        RoomId::parse(id).map_err(|e| RoomsError::Invalid(e.to_string()))
    }
}

/// What is true of a room of which only the create event is known, with no state yet.
pub(super) fn first_view(create: &Arc<Event>, rules: &RoomVersionRules) -> RoomView {
    let created = Create::read(&create.pdu.content, &create.pdu.sender, rules);
    RoomView {
        partial: false,
        state: StateRoot::EMPTY,
        extremities: Vec::new(),
        forked: false,
        power: Arc::new(PowerLevels::read(rules, &create.pdu, None)),
        join_rules: Arc::new(JoinRules::read(&content_of(None))),
        history_visibility: HistoryVisibility::Shared,
        joined: Arc::from([]),
        joined_count: 0,
        invited_count: 0,
        servers: Arc::from([]),
        acl: None,
        policy_server: None,
        created: Arc::new(created),
        create: create.clone(),
        power_event: None,
    }
}
