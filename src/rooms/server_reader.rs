//! Another server as the reader of a room: the one place that decides what of a room's history it is given.
//!
//! Spec v1.19, Server-Server API, "Backfilling and retrieving missing events": a server sees an event if one of its users
//! could see it. Everybody who asks is in the room now, so `shared` history is open; where the history is less open
//! than that, it depends on who of the server's users was in the room *at the event*. Of other events the server gets
//! what a redaction leaves, so that its graph stays whole.
//!
//! A server that is not in the room is answered like one that asks for a room or an event that does not exist.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::{
    EventId, OwnedServerName, RoomId, ServerName,
    events::{
        StateEventType, TimelineEventType, room::history_visibility::HistoryVisibility, room::member::MembershipState,
    },
};
use tokio::sync::OnceCell;

use super::{Room, Rooms};
use crate::{
    event::content,
    store::{
        Event, Order, ServerNo, StateKeyNo, StoreError, Verdict,
        schema::rooms::{MEMBERS, MemberRecord, Membership},
        state_tree::StateRoot,
    },
};

/// Members of a room that are looked through for those of a server. In larger rooms with restricted history no old event
/// is shown to servers.
const MEMBERS_MAX: usize = 100_000;
/// Users of a server whose membership at an event is looked up, for events from before all that are in the room now.
const PEOPLE_MAX: usize = 100;

/// A server that reads a room in which it has joined members. Made for one request.
pub struct ServerReader {
    pub(super) rooms: Rooms,
    /// The room.
    pub room: Arc<Room>,
    server: OwnedServerName,
    visibility_key: OnceCell<Option<StateKeyNo>>,
    people: OnceCell<Arc<People>>,
    memo: Mutex<HashMap<StateRoot, Openness>>,
}

/// What may be given of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    Whole,
    /// What a redaction leaves.
    Redacted,
}

/// What a state says of events after it, for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Openness {
    /// Everybody who is in the room now may see them.
    Open,
    /// Whoever was in the room, or invited where that is enough.
    Members {
        /// Whether the server had such a user.
        had: bool,
    },
}

/// Users of one server in one room.
pub(super) struct People {
    /// The state of the room that they were looked up for.
    state: StateRoot,
    /// Since when one of them has been in the room without interruption.
    since: Option<i64>,
    /// The state keys of the members of all who ever were in the room or invited.
    members: Vec<StateKeyNo>,
}

impl Rooms {
    /// A server as the reader of a room; `None` when there is no such room, or the server has nobody in it.
    pub async fn server_reader(&self, room: &RoomId, server: &ServerName) -> Result<Option<ServerReader>, StoreError> {
        let (Some(room), Some(number)) = (self.by_id(room).await?, self.store().server(server).await?) else {
            return Ok(None);
        };
        Ok(self.server_reader_of(room, number, server))
    }

    fn server_reader_of(&self, room: Arc<Room>, number: ServerNo, server: &ServerName) -> Option<ServerReader> {
        room.view().has_server(number).then(|| ServerReader {
            rooms: self.clone(),
            room,
            server: server.to_owned(),
            visibility_key: OnceCell::new(),
            people: OnceCell::new(),
            memo: Mutex::default(),
        })
    }

    /// An event that a server may see, of whatever room: `None` when there is none, it was refused here, the server is
    /// not in its room, or the event is from before its time.
    pub async fn event_for_server(
        &self,
        id: &EventId,
        server: &ServerName,
    ) -> Result<Option<(ServerReader, Arc<Event>)>, StoreError> {
        let Some(event) = self.events().by_id(id).await? else { return Ok(None) };
        let (Some(room), Some(number)) = (self.get(event.room).await?, self.store().server(server).await?) else {
            return Ok(None);
        };
        let Some(reader) = self.server_reader_of(room, number, server) else { return Ok(None) };
        let seen = matches!(reader.sight(&event).await?, Some(Sight::Whole));
        Ok(seen.then_some((reader, event)))
    }
}

impl ServerReader {
    /// An event of this room that this server has not refused.
    pub async fn event(&self, id: &EventId) -> Result<Option<Arc<Event>>, StoreError> {
        let event = self.rooms.events().in_room(self.room.number, id).await?;
        Ok(event.filter(|event| !matches!(event.header.verdict, Verdict::Rejected(_))))
    }

    /// What the server may see of an event; `None` for one of another room and one that was refused here.
    pub async fn sight(&self, event: &Event) -> Result<Option<Sight>, StoreError> {
        if event.room != self.room.number || matches!(event.header.verdict, Verdict::Rejected(_)) {
            return Ok(None);
        }
        let header = &event.header;
        if header.state_after == StateRoot::EMPTY {
            // Where it stands is not known: part of a state or of an auth chain, which whoever is in the room is given.
            let whole = event.pdu.state_key.is_some();
            return Ok(Some(if whole { Sight::Whole } else { Sight::Redacted }));
        }
        if self.allows(header.state_after, event.order).await? {
            return Ok(Some(Sight::Whole));
        }
        // Of a change of the visibility or of a membership, the more permissive of before and after counts.
        let twofold = event.pdu.is_state(&TimelineEventType::RoomHistoryVisibility, "") || self.is_own_member(event);
        let whole = twofold && self.allows(header.state_before, event.order).await?;
        Ok(Some(if whole { Sight::Whole } else { Sight::Redacted }))
    }

    fn is_own_member(&self, event: &Event) -> bool {
        let of_server = |key: &str| <&ruma::UserId>::try_from(key).is_ok_and(|user| user.server_name() == self.server);
        event.pdu.kind == TimelineEventType::RoomMember && event.pdu.state_key.as_deref().is_some_and(of_server)
    }

    async fn allows(&self, state: StateRoot, order: i64) -> Result<bool, StoreError> {
        let known = self.memo.lock().get(&state).copied();
        let openness = if let Some(openness) = known {
            openness
        } else {
            let openness = self.openness(state).await?;
            self.memo.lock().insert(state, openness);
            openness
        };
        Ok(match openness {
            Openness::Open | Openness::Members { had: true } => true,
            Openness::Members { had: false } => {
                order != Event::UNPLACED && self.people().await?.since.is_some_and(|since| since <= order)
            }
        })
    }

    async fn openness(&self, state: StateRoot) -> Result<Openness, StoreError> {
        let (kind, store) = (StateEventType::RoomHistoryVisibility, self.rooms.store());
        let key = *self.visibility_key.get_or_try_init(|| store.state_key(&kind, "")).await?;
        let visibility = match key {
            Some(key) => {
                self.content_at(state, key).await?.map(|event| content::history_visibility(&event.pdu.content))
            }
            None => None,
        };
        let invited_too = match visibility.unwrap_or(HistoryVisibility::Shared) {
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared => return Ok(Openness::Open),
            HistoryVisibility::Invited => true,
            _ => false,
        };
        let people = self.people().await?;
        for key in people.members.iter().take(PEOPLE_MAX) {
            let Some(event) = self.content_at(state, *key).await? else { continue };
            let membership = content::membership(&event.pdu.content);
            if membership == Some(MembershipState::Join) || (invited_too && membership == Some(MembershipState::Invite))
            {
                return Ok(Openness::Members { had: true });
            }
        }
        Ok(Openness::Members { had: false })
    }

    async fn content_at(&self, state: StateRoot, key: StateKeyNo) -> Result<Option<Arc<Event>>, StoreError> {
        match self.rooms.tree().get(state, key).await? {
            Some(number) => self.rooms.events().require(self.room.number, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The server's users in this room; looked up only where the history is restricted, and kept as long as the state
    /// of the room is the same.
    async fn people(&self) -> Result<Arc<People>, StoreError> {
        self.people.get_or_try_init(|| self.find_people()).await.cloned()
    }

    async fn find_people(&self) -> Result<Arc<People>, StoreError> {
        let (store, room) = (self.rooms.store(), &self.room);
        let (view, Some(server)) = (room.view(), store.server(&self.server).await?) else {
            return Ok(Arc::new(People { state: StateRoot::EMPTY, since: None, members: Vec::new() }));
        };
        let cache = &self.rooms.reading.people;
        if let Some(people) = cache.get(&(room.number, server)).filter(|people| people.state == view.state) {
            return Ok(people);
        }
        let mut people = People { state: view.state, since: None, members: Vec::new() };
        for ((_, user), record) in store.prefix(&MEMBERS, &room.number, Order::Ascending, MEMBERS_MAX).await? {
            if record.local || !has_been(&record) {
                continue;
            }
            let user = store.user_id(user).await?;
            if user.server_name() != self.server {
                continue;
            }
            if record.membership == Membership::Join {
                let position = i64::try_from(record.position.0).unwrap_or(i64::MAX);
                people.since = Some(people.since.map_or(position, |since| since.min(position)));
            }
            people.members.extend(store.state_key(&StateEventType::RoomMember, user.as_str()).await?);
        }
        let people = Arc::new(people);
        cache.insert((room.number, server), people.clone());
        Ok(people)
    }
}

fn has_been(record: &MemberRecord) -> bool {
    record.was_joined || record.membership == Membership::Invite
}
