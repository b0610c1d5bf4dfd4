//! A room made of the answer to a join: this server's first event in it, on the state that a resident server has given.

use std::sync::Arc;

use ruma::{OwnedRoomId, OwnedServerName, RoomVersionId, events::StateEventType};

use super::{ReceiveError, Verified, house_rules, outliers::Ground};
use crate::{
    event::{Pdu, auth, content, room_version},
    rooms::{Room, Rooms, RoomsError, Writer, append::Arrival, founding::first_view},
    store::{
        Batch, Event, EventNo, StateKeyNo,
        schema::rooms::{ROOMS, RoomRecord},
        state_tree::StateRoot,
    },
};

/// What a resident server has answered to a join, as far as it was verified.
pub struct Entrance {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// The event that lets a local user in, as this server or, where it co-signed, the other has it.
    pub join: Verified,
    /// The state before it.
    pub state: Vec<Verified>,
    /// The events that allow the state.
    pub auth_chain: Vec<Verified>,
    /// The servers in the room, beginning with the one that answered, if members are left out of the state.
    pub partial: Option<Vec<OwnedServerName>>,
}

impl Rooms {
    /// Enters a room: it stands at the join event from now on, whatever was known of it before. One commit.
    ///
    /// # Errors
    /// The state has no create event of this room and version, or does not allow the join.
    pub async fn enter(&self, entrance: Entrance) -> Result<Arc<Room>, ReceiveError> {
        let Entrance { room_id, version, join, state, auth_chain, partial } = entrance;
        let create = state.iter().chain(&auth_chain).find(|event| is_create(event.pdu())).cloned();
        let create = create.ok_or(ReceiveError::Answer("a room without its create event"))?;
        let mut writer = match self.by_id(&room_id).await? {
            Some(room) => self.writer(&room).await,
            None => self.writer_of_strange(&room_id, &version, &create).await?,
        };
        let room = writer.room.clone();
        if room.version != version {
            return Err(ReceiveError::Answer("a room of another version"));
        }
        let welcome = |event: &Verified| !house_rules::refuses(self, event.pdu(), &join.pdu().sender);
        let state: Vec<_> = state.into_iter().filter(welcome).collect();
        let ids: Vec<_> = state.iter().map(|event| event.pdu().event_id.clone()).collect();
        let events = state.into_iter().chain(auth_chain).collect();
        let outliers = self.add_outliers(&*room, events, &mut writer.batch).await?;
        let mut entries: Vec<(StateKeyNo, Option<EventNo>)> = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(number) = outliers.numbers.get(id) else { continue };
            let event = self.parts.events.require(room.number, *number).await?;
            if let Some((kind, key)) = event.pdu.state_pair() {
                entries.push((self.parts.store.mint_state_key(&kind, key, &mut writer.batch).await?, Some(*number)));
            }
        }
        let mut before = self.parts.tree.apply(StateRoot::EMPTY, &entries, &mut writer.batch).await?;
        if partial.is_some() {
            before = writer.with_claimed_members(before, join.pdu()).await?;
        }
        self.check_entrance(&room, join.pdu(), before).await?;
        let mut missing = Vec::new();
        for id in &join.pdu().prev_events {
            let known = self.parts.events.in_room(room.number, id).await?;
            if known.is_none_or(|event| event.order == Event::UNPLACED) {
                missing.push(id.clone());
            }
        }
        let arrival = Arrival { missing, delivered: true, anew: true, ..Arrival::accepted(before) };
        let join = writer.arrive(join.into_pdu(), arrival).await?;
        writer.enter_partially(join.number, partial.as_deref()).await?;
        writer.commit().await?;
        // Also where the whole state came: states of an earlier stay may lack members.
        self.complete_later(&room);
        Ok(room)
    }

    /// The join must be allowed by the state that came with it.
    async fn check_entrance(&self, room: &Room, join: &Pdu, before: StateRoot) -> Result<(), ReceiveError> {
        let state = self.auth_state_at(room, before, join).await?;
        let checked = state.and_then(|state| {
            auth::check_state_dependent(join, &room.rules, |kind, key| {
                state.get(&(kind.clone(), key.to_owned())).cloned()
            })
        });
        checked.map_err(|error| ReceiveError::Rooms(RoomsError::Forbidden(error.0)))
    }

    /// A writer of a room that this server has never been in.
    async fn writer_of_strange(
        &self,
        room_id: &OwnedRoomId,
        version: &RoomVersionId,
        create: &Verified,
    ) -> Result<Writer, ReceiveError> {
        let rules = room_version::supported(version).ok_or_else(|| RoomsError::UnsupportedVersion(version.clone()))?;
        if content::create_room_version(&create.pdu().content).as_ref() != Some(version) {
            return Err(ReceiveError::Answer("a create event of another version"));
        }
        let mut batch = Batch::new();
        let number = self.parts.store.mint_room(room_id, &mut batch).await?;
        let ground = Ground { id: room_id, number, rules: &rules };
        let outliers = self.add_outliers(ground, vec![create.clone()], &mut batch).await?;
        let create = outliers.numbers.get(&create.pdu().event_id).copied();
        let create = create.ok_or(ReceiveError::Answer("a create event that is not allowed"))?;
        let create = self.parts.events.require(number, create).await?;
        let record = RoomRecord { version: version.to_string(), created_ms: self.parts.clock.now_ms() };
        batch.put(&ROOMS, &number, &record);
        let view = Arc::new(first_view(&create, &rules));
        Ok(self.first_writer(Room::new(room_id.clone(), number, version.clone(), rules, view), batch).await)
    }
}

fn is_create(pdu: &Pdu) -> bool {
    pdu.state_pair().is_some_and(|(kind, key)| kind == StateEventType::RoomCreate && key.is_empty())
}
