//! The one writer of events.
//!
//! A [`Writer`] holds a room's lock. Each [`Writer::append`] builds an event on the room's head, checks it against the
//! room's rules, signs it and adds its rows to one batch; [`Writer::commit`] (`commit`) hands the batch over, lets the lock
//! go and waits until it is durable. Appending to a room therefore never waits for the disk of the event before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType, room::guest_access::GuestAccess},
    room_version_rules::RoomVersionRules,
};
use tokio::sync::OwnedMutexGuard;

use super::{
    MemberProfile, Rooms, RoomsError,
    append::Arrival,
    effects::Effects,
    policy::Proposal,
    room::{Room, RoomView},
};
use crate::{
    event::{
        Content, Pdu, PduBuilder, auth,
        content::{self},
    },
    notify::Concerned,
    store::{Batch, Event, EventNo, StoreError, UserNo, schema::rooms::GapRecord, state_tree::StateRoot},
};

/// How much later than everybody else the sender of a message is woken.
///
/// Clients show what they send at once, so nobody waits for this. But matrix-js-sdk 43 loses track of a reply in a
/// thread ("not a local echo") when its own `/sync` tells of it before it has read the answer of the request that sent
/// it, and both travel on connections of their own.
pub(super) const OWN_ECHO_DELAY: Duration = Duration::from_millis(10);

/// An event to be made.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<Box<str>>,
    /// Its content.
    pub content: Content,
    /// The event it redacts.
    pub redacts: Option<OwnedEventId>,
    /// Who sends it: a user of this server.
    pub sender: OwnedUserId,
    /// The device and transaction id it came with.
    pub transaction: Option<(String, String)>,
    /// Another time than now, for application services.
    pub origin_server_ts: Option<MilliSecondsSinceUnixEpoch>,
}

impl NewEvent {
    /// A state event.
    #[expect(clippy::needless_pass_by_value, reason = "callers name the type where they call")]
    pub fn state(sender: &UserId, kind: StateEventType, key: &str, content: Content) -> Self {
        Self {
            kind: kind.to_string().into(),
            state_key: Some(key.into()),
            content,
            redacts: None,
            sender: sender.to_owned(),
            transaction: None,
            origin_server_ts: None,
        }
    }

    /// A message event.
    pub fn message(sender: &UserId, kind: TimelineEventType, content: Content) -> Self {
        Self {
            kind,
            state_key: None,
            content,
            redacts: None,
            sender: sender.to_owned(),
            transaction: None,
            origin_server_ts: None,
        }
    }
}

/// Where the committer has put the events.
pub(super) type Placed = Arc<Mutex<Vec<(i64, EventNo)>>>;
/// What becomes of gaps in the history, once their orders are known.
pub(super) type Gaps = Arc<Mutex<Vec<(i64, Option<GapRecord>)>>>;

/// Predecessors that an event may name (spec v1.19, Server-Server API "PDUs").
const PREV_EVENTS_MAX: usize = 20;
/// The largest depth that canonical JSON can hold.
const DEPTH_MAX: u64 = (1 << 53) - 1;

/// The right to write to one room.
pub struct Writer {
    pub(super) rooms: Rooms,
    pub(super) room: Arc<Room>,
    pub(super) head: OwnedMutexGuard<Arc<RoomView>>,
    pub(super) view: RoomView,
    pub(super) batch: Batch,
    pub(super) added: Vec<Arc<Event>>,
    pub(super) placed: Placed,
    /// Gaps that this writer makes, narrows or closes.
    pub(super) gaps: Gaps,
    pub(super) effects: Effects,
    /// Other servers are to have some of the events.
    pub(super) outgoing: bool,
    /// The room is being made by this writer.
    pub(super) new: bool,
    /// The school itself writes: its rules are for others.
    pub(super) house: bool,
}

impl Rooms {
    /// Waits for the room's lock.
    pub async fn writer(&self, room: &Arc<Room>) -> Writer {
        let head = room.head.clone().lock_owned().await;
        Writer {
            view: RoomView::clone(&head),
            rooms: self.clone(),
            room: room.clone(),
            head,
            batch: Batch::new(),
            added: Vec::new(),
            placed: Placed::default(),
            gaps: Gaps::default(),
            effects: Effects::default(),
            outgoing: false,
            new: false,
            house: false,
        }
    }

    /// The lock of a room that is being made, of which nobody knows yet.
    pub(super) async fn first_writer(&self, room: Room, batch: Batch) -> Writer {
        let room = Arc::new(room);
        Writer { batch, new: true, ..self.writer(&room).await }
    }

    pub(super) fn draft(
        &self,
        event: NewEvent,
        room_id: Option<OwnedRoomId>,
        prev_events: Vec<OwnedEventId>,
        auth_events: Vec<OwnedEventId>,
        depth: u64,
    ) -> PduBuilder {
        PduBuilder {
            kind: event.kind,
            state_key: event.state_key,
            content: event.content,
            redacts: event.redacts,
            sender: event.sender,
            room_id,
            origin_server_ts: event.origin_server_ts.unwrap_or_else(|| self.parts.clock.now()),
            prev_events,
            auth_events,
            depth,
        }
    }
}

impl Writer {
    /// The room as this writer has made it so far.
    pub fn view(&self) -> &RoomView {
        &self.view
    }

    /// The room.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Rows that become durable together with the events.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// From here on the events are the school's own, whoever stands in them as the sender: the policy is not asked, the
    /// room's rules are. For what follows from the roster, which nobody has asked for.
    pub fn for_the_house(&mut self) {
        self.house = true;
    }

    /// The state event in force for a type and key, appended ones included.
    pub async fn state_event(&self, kind: &StateEventType, key: &str) -> Result<Option<Arc<Event>>, StoreError> {
        let is_it = |event: &&Arc<Event>| event.pdu.state_pair().is_some_and(|pair| pair == (kind.clone(), key));
        match self.added.iter().rev().find(is_it) {
            Some(event) => Ok(Some(event.clone())),
            None => self.rooms.state_event(self.room.number, self.view.state, kind, key).await,
        }
    }

    /// Asks the policy about an event, builds it on the head, checks it against the room's rules, and adds it.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] when the rules refuse it, [`RoomsError::Policy`] or [`RoomsError::NoUser`] when the
    /// policy does; the writer can then still be used or dropped.
    pub async fn append(&mut self, new: NewEvent) -> Result<Arc<Event>, RoomsError> {
        self.ask_policy(&new).await?;
        let transaction = new.transaction.clone();
        let Some(auth_events) = self.message_auth(&new).await? else { return self.append_checked(new).await };
        let pdu = self.build(new, auth_events).await?;
        self.add(pdu, transaction).await
    }

    /// Asks the policy while the room stands still, so that what it has found stays true until the event is added.
    pub(super) async fn ask_policy(&self, new: &NewEvent) -> Result<(), RoomsError> {
        let policy = &self.rooms.parts.policy;
        if self.house || !policy.is_active() {
            return Ok(());
        }
        let member = new.kind == TimelineEventType::RoomMember;
        let encrypted = member && self.state_event(&StateEventType::RoomEncryption, "").await?.is_some();
        let guests = if member { self.state_event(&StateEventType::RoomGuestAccess, "").await? } else { None };
        let before = match &new.state_key {
            Some(key) => self.state_event(&new.kind.to_string().into(), key).await?,
            None => None,
        };
        let target = new.state_key.as_deref().filter(|_| member).and_then(|key| <&UserId>::try_from(key).ok());
        let profile = match target {
            Some(target) => self.rooms.profile_of(target).await?,
            None => MemberProfile::default(),
        };
        let proposal = Proposal {
            room: self.room.number,
            room_id: &self.room.id,
            view: &self.view,
            new: self.new,
            encrypted,
            guests: guests.is_some_and(|event| content::guest_access(&event.pdu.content) == GuestAccess::CanJoin),
            sender: &new.sender,
            kind: &new.kind,
            state_key: new.state_key.as_deref(),
            content: new.content.raw(),
            name: profile.displayname.as_deref(),
            before: before.as_ref().map(|event| &*event.pdu.content),
        };
        Ok(policy.event(&proposal)?)
    }

    /// The short way for messages: what the view knows decides, and names the auth events. `None` for events that need
    /// the rules in full.
    async fn message_auth(&self, new: &NewEvent) -> Result<Option<Vec<OwnedEventId>>, RoomsError> {
        if new.state_key.is_some() {
            return Ok(None);
        }
        let member = self.state_event(&StateEventType::RoomMember, new.sender.as_str()).await?;
        let membership = member.as_ref().and_then(|member| content::membership(&member.pdu.content));
        match auth::check_message(&new.kind, &new.sender, membership.as_ref(), &self.view.power) {
            None => return Ok(None),
            Some(allowed) => allowed?,
        }
        let create = (!self.room.rules.authorization.room_create_event_id_as_room_id).then_some(&self.view.create);
        let auth = [create, self.view.power_event.as_ref(), member.as_ref()];
        Ok(Some(auth.into_iter().flatten().map(|event| event.pdu.event_id.clone()).collect()))
    }

    /// Asks the policy about an event and builds it as [`Writer::append`] does, but does not add it; with the state that
    /// it stands on. For what another server has to sign first.
    pub(super) async fn propose(&self, new: NewEvent) -> Result<(Pdu, StateRoot), RoomsError> {
        self.ask_policy(&new).await?;
        Ok((self.checked(new).await?, self.view.state))
    }

    /// The long way: the event is checked against the rules in full once it is built.
    async fn append_checked(&mut self, new: NewEvent) -> Result<Arc<Event>, RoomsError> {
        let transaction = new.transaction.clone();
        let pdu = self.checked(new).await?;
        self.add(pdu, transaction).await
    }

    async fn checked(&self, new: NewEvent) -> Result<Pdu, RoomsError> {
        let room = self.room.clone();
        let state = self.auth_state(&new, &room.rules).await?;
        let state_key = new.state_key.as_deref();
        let kinds = auth::auth_types(&new.kind, &new.sender, state_key, new.content.raw(), &room.rules)?;
        let auth_events = kinds.iter().filter_map(|pair| Some(state.get(pair)?.event_id.clone())).collect();
        let pdu = self.build(new, auth_events).await?;
        auth::check_own(&pdu, &room.rules, |kind, key| state.get(&(kind.clone(), key.to_owned())).cloned())?;
        Ok(pdu)
    }

    /// Where the next event stands in the graph: after all that nothing follows yet, as far as an event may name them.
    pub(super) fn place(&self) -> (Vec<OwnedEventId>, u64) {
        let mut extremities: Vec<_> = self.view.extremities.iter().collect();
        extremities.sort_by_key(|extremity| std::cmp::Reverse(extremity.depth));
        let depth = extremities.first().map_or(0, |deepest| deepest.depth);
        let prev_events = extremities.iter().take(PREV_EVENTS_MAX).map(|extremity| extremity.id.clone()).collect();
        (prev_events, (depth + 1).min(DEPTH_MAX))
    }

    /// Adds an event of this server: it follows what the room stands at.
    async fn add(&mut self, pdu: Pdu, transaction: Option<(String, String)>) -> Result<Arc<Event>, RoomsError> {
        let arrival = Arrival { transaction, ..Arrival::accepted(self.view.state) };
        self.arrive(pdu, arrival).await
    }

    /// The state that the rules will ask for.
    async fn auth_state(
        &self,
        new: &NewEvent,
        rules: &RoomVersionRules,
    ) -> Result<HashMap<(StateEventType, String), Arc<Pdu>>, RoomsError> {
        let mut wanted = auth::auth_types(&new.kind, &new.sender, new.state_key.as_deref(), new.content.raw(), rules)?;
        wanted.push((StateEventType::RoomCreate, String::new()));
        let mut state = HashMap::with_capacity(wanted.len());
        for (kind, key) in wanted {
            if let Some(event) = self.state_event(&kind, &key).await? {
                state.insert((kind, key), event.pdu.clone());
            }
        }
        Ok(state)
    }
}

/// Waits for everything that was handed over before, so that an answer about it can be given.
pub(super) async fn settled(rooms: &Rooms) -> Result<(), StoreError> {
    rooms.parts.store.commit(Batch::new()).await.map(drop)
}

/// Everyone in a room, and whom else an event concerns.
pub(super) fn concerned(joined: &Arc<[u64]>, author: Option<UserNo>, others: &[UserNo]) -> Vec<Concerned> {
    let members = match author {
        Some(author) => Concerned::UsersExcept(joined.clone(), author.0),
        None => Concerned::Users(joined.clone()),
    };
    let mut all = vec![members];
    all.extend(others.iter().map(|user| Concerned::User(user.0)));
    all
}
