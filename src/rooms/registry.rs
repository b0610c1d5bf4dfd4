//! Finds rooms, loads them when needed, and keeps those in use in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedServerName, RoomId, ServerName, UserId, events::StateEventType};
use tokio::sync::Notify;

use super::{
    RoomsError, policy::SharedPolicy, profile::SharedProfiles, reading::Reading, resolve::Resolver, room::Room,
    threads::Counted, writes::Writes,
};
use crate::{
    clock::Clock,
    event::SigningKey,
    ids::Ids,
    notify::Notifier,
    remote::{Outbox, Remote},
    store::{
        Event, EventNo, Events, Order, RoomNo, Store, StoreError, UserNo,
        schema::rooms::{MEMBERS, MemberRecord, Membership, STANDS, USER_ROOMS},
        state_tree::{StateRoot, StateTree},
    },
    users::PushRules,
};

/// Rooms kept in memory though nobody uses them at the moment: some 10 KiB each.
const ROOMS_KEPT: usize = 12_000;
/// Users whose room lists may be kept in memory, and how many rooms may be in all lists together: a list keeps its rooms.
const USERS_KEPT: usize = 20_000;
const LISTED_KEPT: u64 = 50_000;
/// Threads whose replies are kept counted.
const THREADS_KEPT: usize = 5_000;
/// Locks that keep one room from being loaded twice at once.
const LOADERS: usize = 32;
/// Counters of membership changes.
const CHANGE_COUNTERS: usize = 4096;
/// Most rooms of one user, most members of one room.
pub(super) const LIST_MAX: usize = 1_000_000;

/// What rooms are built from.
pub struct RoomsParts {
    /// Tables and the committer.
    pub store: Store,
    /// Events.
    pub events: Events,
    /// Room states.
    pub tree: StateTree,
    /// The time.
    pub clock: Clock,
    /// Random ids.
    pub ids: Ids,
    /// Wakes waiting syncs.
    pub notifier: Notifier,
    /// Signs this server's events.
    pub key: Arc<SigningKey>,
    /// This server's name.
    pub server_name: OwnedServerName,
    /// The rules of the house.
    pub policy: SharedPolicy,
    /// Names and pictures for member events.
    pub profiles: SharedProfiles,
    /// Rules about rooms, which follow their users into a room that replaces another.
    pub push_rules: PushRules,
    /// Other servers.
    pub remote: Remote,
    /// What they are to be told besides events.
    pub outbox: Outbox,
    /// Told whenever an event that other servers are to have is visible.
    pub outgoing: Arc<Notify>,
}

/// All rooms. Cheap to clone.
#[derive(Clone)]
pub struct Rooms {
    pub(super) parts: Arc<RoomsParts>,
    kept: Arc<Cache<RoomNo, Arc<Room>>>,
    known: Arc<Mutex<HashMap<RoomNo, Weak<Room>>>>,
    loaders: Arc<[tokio::sync::Mutex<()>]>,
    lists: Arc<UserRooms>,
    /// What several states come to.
    pub(super) resolver: Resolver,
    /// What writers share besides the rooms.
    pub(super) writes: Arc<Writes>,
    /// What readers of what other servers have share.
    pub(super) reading: Arc<Reading>,
    /// Threads as far as their replies were counted.
    pub(super) thread_counts: Arc<Cache<(RoomNo, EventNo), Arc<Counted>>>,
}

/// A room that a user has something to do with.
#[derive(Clone)]
pub struct UserRoom {
    /// The room.
    pub room: Arc<Room>,
    /// What the user is to it.
    pub record: MemberRecord,
}

/// Weighs a list by its rooms.
#[derive(Clone)]
struct Listed;

impl Weighter<UserNo, Arc<Vec<UserRoom>>> for Listed {
    fn weight(&self, _: &UserNo, list: &Arc<Vec<UserRoom>>) -> u64 {
        list.len() as u64 + 1
    }
}

/// The room lists of users, kept while nothing in them changes.
struct UserRooms {
    lists: Cache<UserNo, Arc<Vec<UserRoom>>, Listed>,
    /// Raised with each change of a user's memberships: a list read meanwhile is not kept.
    /// Several users share a counter, which only costs a list that need not have been dropped.
    changes: Mutex<Box<[u64]>>,
}

impl Rooms {
    /// Rooms over these parts.
    pub fn new(parts: RoomsParts) -> Self {
        let resolver = Resolver::new(parts.store.clone(), parts.events.clone(), parts.tree.clone());
        Self {
            parts: Arc::new(parts),
            resolver,
            kept: Arc::new(Cache::new(ROOMS_KEPT)),
            known: Arc::default(),
            loaders: (0..LOADERS).map(|_| tokio::sync::Mutex::default()).collect(),
            lists: Arc::new(UserRooms {
                lists: Cache::with_weighter(USERS_KEPT, LISTED_KEPT, Listed),
                changes: Mutex::new(vec![0; CHANGE_COUNTERS].into()),
            }),
            writes: Arc::default(),
            reading: Arc::default(),
            thread_counts: Arc::new(Cache::new(THREADS_KEPT)),
        }
    }

    /// The store underneath.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The events underneath.
    pub fn events(&self) -> &Events {
        &self.parts.events
    }

    /// The room states underneath.
    pub fn tree(&self) -> &StateTree {
        &self.parts.tree
    }

    /// The rules of the house.
    pub fn policy(&self) -> &SharedPolicy {
        &self.parts.policy
    }

    /// Whether a user is one of this server's.
    pub fn is_local(&self, user: &UserId) -> bool {
        user.server_name() == self.parts.server_name
    }

    /// A room by id.
    pub async fn by_id(&self, id: &RoomId) -> Result<Option<Arc<Room>>, StoreError> {
        match self.parts.store.room(id).await? {
            Some(number) => self.get(number).await,
            None => Ok(None),
        }
    }

    /// A room by number.
    pub async fn get(&self, number: RoomNo) -> Result<Option<Arc<Room>>, StoreError> {
        if let Some(room) = self.in_memory(number) {
            return Ok(Some(room));
        }
        let slot = usize::try_from(number.0).unwrap_or_default() % LOADERS;
        let Some(loader) = self.loaders.get(slot) else { return Ok(None) };
        let _loading = loader.lock().await;
        if let Some(room) = self.in_memory(number) {
            return Ok(Some(room));
        }
        let Some(room) = self.load(number).await? else { return Ok(None) };
        let room = Arc::new(room);
        self.keep(&room);
        Ok(Some(room))
    }

    fn in_memory(&self, number: RoomNo) -> Option<Arc<Room>> {
        if let Some(room) = self.kept.get(&number) {
            return Some(room);
        }
        let room = self.known.lock().get(&number)?.upgrade()?;
        self.kept.insert(number, room.clone());
        Some(room)
    }

    /// Makes a room findable. There must be none of its number.
    pub(super) fn keep(&self, room: &Arc<Room>) {
        let mut known = self.known.lock();
        if known.len() > 2 * ROOMS_KEPT {
            known.retain(|_, room| room.strong_count() > 0);
        }
        known.insert(room.number, Arc::downgrade(room));
        self.kept.insert(room.number, room.clone());
    }

    /// The event of a state for a type and state key.
    pub async fn state_event(
        &self,
        room: RoomNo,
        state: StateRoot,
        kind: &StateEventType,
        key: &str,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        let Some(pair) = self.parts.store.state_key(kind, key).await? else { return Ok(None) };
        match self.parts.tree.get(state, pair).await? {
            Some(number) => self.parts.events.require(room, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The room's state before and after an event of its timeline came: what a client that follows the timeline holds.
    /// It is the state at the event, except where branches of the history come together.
    pub async fn stand(&self, room: &Room, event: &Event) -> Result<(StateRoot, StateRoot), StoreError> {
        if room.has_detours()
            && let Some(stand) = self.parts.store.get(&STANDS, &(room.number, event.order)).await?
        {
            return Ok((stand.before, stand.after));
        }
        Ok((event.header.state_before, event.header.state_after))
    }

    /// All events of a state.
    pub async fn state_events(&self, room: RoomNo, state: StateRoot) -> Result<Vec<Arc<Event>>, StoreError> {
        let entries = self.parts.tree.entries(state).await?;
        let mut events = Vec::with_capacity(entries.len());
        for (_, number) in entries {
            events.push(self.parts.events.require(room, number).await?);
        }
        Ok(events)
    }

    /// A user's current membership in a room.
    pub async fn membership(&self, room: RoomNo, user: UserNo) -> Result<Option<MemberRecord>, StoreError> {
        self.parts.store.get(&MEMBERS, &(room, user)).await
    }

    /// Whether a user of this server has joined a room.
    pub fn has_joined(room: &Room, user: UserNo) -> bool {
        room.view().joined.binary_search(&user.0).is_ok()
    }

    /// A room that a user has joined.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] when they have not, whether or not the room exists.
    pub async fn joined_room(&self, id: &RoomId, user: UserNo) -> Result<Arc<Room>, RoomsError> {
        let room = self.by_id(id).await?.filter(|room| Self::has_joined(room, user));
        room.ok_or_else(|| RoomsError::Forbidden("you are not in this room".into()))
    }

    /// A room and the number of somebody in it, as another server names them: nothing unless the user is that server's
    /// and in the room, and the room admits the server.
    pub(super) async fn member_of_server(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        user_id: &UserId,
    ) -> Result<Option<(Arc<Room>, UserNo)>, StoreError> {
        if user_id.server_name() != server {
            return Ok(None);
        }
        let Some(room) = self.by_id(room_id).await?.filter(|room| room.view().admits(server)) else { return Ok(None) };
        let Some(user) = self.parts.store.user(user_id).await? else { return Ok(None) };
        let record = self.membership(room.number, user).await?;
        Ok(record.is_some_and(|record| record.membership == Membership::Join).then_some((room, user)))
    }

    /// Every room a user has joined, left, been invited to, asked to join or been banned from, by room number.
    pub async fn user_rooms(&self, user: UserNo) -> Result<Arc<Vec<UserRoom>>, StoreError> {
        if let Some(list) = self.lists.lists.get(&user) {
            return Ok(list);
        }
        let before = self.lists.changes.lock().get(change_counter(user)).copied();
        let rows = self.parts.store.prefix(&USER_ROOMS, &user, Order::Ascending, LIST_MAX).await?;
        let mut list = Vec::with_capacity(rows.len());
        for ((_, number), record) in rows {
            if let Some(room) = self.get(number).await? {
                list.push(UserRoom { room, record });
            }
        }
        let list = Arc::new(list);
        let changes = self.lists.changes.lock();
        if changes.get(change_counter(user)).copied() == before {
            self.lists.lists.insert(user, list.clone());
        }
        Ok(list)
    }

    /// Called by the committer when a membership of these users has changed.
    pub(super) fn forget_user_rooms(&self, users: &[UserNo]) {
        let mut changes = self.lists.changes.lock();
        for user in users {
            if let Some(counter) = changes.get_mut(change_counter(*user)) {
                *counter += 1;
            }
            self.lists.lists.remove(user);
        }
    }
}

fn change_counter(user: UserNo) -> usize {
    usize::try_from(user.0).unwrap_or_default() % CHANGE_COUNTERS
}

/// The content of an event, or an empty object.
pub(super) fn content_of(event: Option<&Event>) -> Box<serde_json::value::RawValue> {
    event.map_or_else(|| crate::event::Content::empty().into_raw(), |event| event.pdu.content.clone())
}
