//! Presence: who is there (specification v1.19, client-server API, "Presence").
//!
//! It lives in memory only. A `/sync` says that a device is there, with [`Presence::seen`]: that is a look under one
//! lock, and nothing else happens unless others see a difference. Differences are gathered for a moment and published
//! together by one task, which also notices who has gone; there are no timers per person. Only people who share a
//! room are told, and only if the policy lets them see each other.

mod people;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{ServerName, UInt, UserId, api::federation::transactions::edu::PresenceUpdate, presence::PresenceState};
use serde::Serialize;
use tokio::sync::Notify;

use self::people::{People, Shown};
use super::{Rooms, RoomsError, policy::Verb};
use crate::{
    clock::Clock,
    notify::Concerned,
    store::{Batch, Position, RoomNo, StoreError, UserNo, schema::rooms::Membership},
};

/// How often the task looks for people who have gone.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long differences are gathered that somebody set on purpose.
const GATHER_SET: Duration = Duration::from_millis(500);
/// How long differences are gathered that follow from coming and going.
const GATHER_SEEN: Duration = Duration::from_secs(2);
/// In larger rooms nobody is woken for presence; it waits for their next answer.
const WAKE_ROOM_MAX: usize = 300;
/// Presence events in one answer.
const TOLD_MAX: usize = 500;
/// The longest status message kept, in bytes.
const STATUS_BYTES_MAX: usize = 1_024;

/// Who is there. Cheap to clone.
#[derive(Clone)]
pub struct Presence {
    inner: Arc<Inner>,
}

struct Inner {
    rooms: Rooms,
    enabled: bool,
    people: Mutex<People>,
    /// The position of the newest change: most questions end here.
    newest: AtomicU64,
    /// Wakes the task when something should be published earlier than it thought.
    sooner: Arc<Notify>,
}

/// One request that waits on behalf of a device: the person is there until it is dropped, and a little longer.
#[must_use = "the person counts as gone soon after this is dropped"]
pub struct Present {
    inner: Option<Arc<Inner>>,
    user: UserNo,
    device: Box<str>,
}

/// A person's presence as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// `online`, `unavailable` or `offline`.
    pub presence: PresenceState,
    /// Milliseconds since the person was last active; `None` when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_ago: Option<u64>,
    /// Whether the person is active now.
    pub currently_active: bool,
    /// What the person says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_msg: Option<String>,
}

#[derive(Serialize)]
struct PresenceEvent<'a> {
    content: &'a Status,
    sender: &'a UserId,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl Presence {
    /// Nobody is there. When not `enabled`, nobody ever is.
    pub fn new(rooms: Rooms, enabled: bool) -> Self {
        let inner =
            Inner { rooms, enabled, people: Mutex::default(), newest: AtomicU64::new(0), sooner: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// A device of a user asks for news, in this state. The person is there until the answer is dropped, and half a
    /// minute longer: keep it while the request waits. A device that says `offline` is not seen.
    pub fn seen(&self, user: UserNo, device: &str, state: &PresenceState) -> Present {
        if !self.inner.enabled || !matches!(state, PresenceState::Online | PresenceState::Unavailable) {
            return Present { inner: None, user, device: Box::default() };
        }
        let mut people = self.inner.people.lock();
        let now = self.inner.clock().elapsed();
        people.enter(user, device, *state == PresenceState::Online, now);
        self.inner.settle(&mut people, user, now, GATHER_SEEN);
        drop(people);
        Present { inner: Some(self.inner.clone()), user, device: device.into() }
    }

    /// Sets a user's state, until one of their devices says another, and what they say.
    ///
    /// # Errors
    /// [`RoomsError::Invalid`] for a state that is none, [`RoomsError::TooLarge`] for a long message.
    pub fn set(&self, user: UserNo, state: &PresenceState, status_msg: Option<String>) -> Result<(), RoomsError> {
        if !matches!(state, PresenceState::Online | PresenceState::Unavailable | PresenceState::Offline) {
            return Err(RoomsError::Invalid("presence is online, unavailable or offline".into()));
        }
        if status_msg.as_ref().is_some_and(|message| message.len() > STATUS_BYTES_MAX) {
            return Err(RoomsError::TooLarge("the status message may have at most 1024 bytes".into()));
        }
        if self.inner.enabled {
            let mut people = self.inner.people.lock();
            let now = self.inner.clock().elapsed();
            people.set(user, state.clone(), status_msg, now);
            self.inner.settle(&mut people, user, now, GATHER_SET);
        }
        Ok(())
    }

    /// Another server tells of the presence of one of its users.
    ///
    /// # Errors
    /// The store failed.
    pub async fn receive(&self, origin: &ServerName, update: PresenceUpdate) -> Result<(), StoreError> {
        if !self.inner.enabled || update.user_id.server_name() != origin {
            return Ok(());
        }
        // Of people nobody here shares a room with, nothing is kept.
        let Some(user) = self.inner.rooms.store().user(&update.user_id).await? else { return Ok(()) };
        if !self.inner.rooms.meets_us(user).await? {
            return Ok(());
        }
        let state = match update.presence {
            known @ (PresenceState::Online | PresenceState::Unavailable | PresenceState::Offline) => known,
            _ => PresenceState::Online,
        };
        let message = update.status_msg.filter(|message| message.len() <= STATUS_BYTES_MAX);
        let mut people = self.inner.people.lock();
        let now = self.inner.clock().elapsed();
        let active_ago = Duration::from_millis(update.last_active_ago.into());
        people.set_elsewhere(user, (state, message), active_ago, now);
        self.inner.settle(&mut people, user, now, GATHER_SET);
        Ok(())
    }

    /// A user's presence, asked for by another one.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] when they share no room, the policy does not let the reader see it, or there is no such
    /// user.
    pub async fn status(&self, reader: (UserNo, &UserId), user_id: &UserId) -> Result<Status, RoomsError> {
        let user = (self.inner.rooms.number_or_nobody(user_id).await?, user_id);
        let rooms = self.joined(reader.0).await?;
        let together =
            reader.0 == user.0 || shares(&rooms, user.0) || self.meets_remote(&rooms, user.0, user_id).await?;
        if !together || !self.may_see(reader.1, user.1) {
            return Err(RoomsError::Forbidden("you are not allowed to see their presence".into()));
        }
        let now = self.inner.clock().elapsed();
        Ok(self.inner.people.lock().status(user.0, now))
    }

    /// The `m.presence` events of what changed after `since` and up to `upto` among the people a reader shares a room
    /// with, and of the reader; with `since` zero, of those who are there. Of people the reader has just `met`, who came
    /// into one of their rooms or the other way round, those who are there are told of as well.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changes(
        &self,
        reader: UserNo,
        reader_id: &UserId,
        since: Position,
        upto: Position,
        met: &BTreeSet<UserNo>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        if self.inner.newest.load(Ordering::Acquire) <= since.0 && met.is_empty() {
            return Ok(Vec::new());
        }
        let changed = self.inner.people.lock().changed(since, upto, met);
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let rooms = self.joined(reader).await?;
        let mut events = Vec::new();
        for user in changed {
            if events.len() >= TOLD_MAX {
                break;
            }
            let id = self.inner.rooms.store().user_id(user).await?;
            let concerns = user == reader || shares(&rooms, user) || self.meets_remote(&rooms, user, &id).await?;
            if !concerns || !self.may_see(reader_id, &id) {
                continue;
            }
            let status = self.inner.people.lock().status(user, self.inner.clock().elapsed());
            let event = PresenceEvent { content: &status, sender: &id, kind: "m.presence" };
            events.extend(serde_json::to_vec(&event).ok());
        }
        Ok(events)
    }

    /// The rooms a user is in, with their local people.
    async fn joined(&self, user: UserNo) -> Result<Vec<(RoomNo, Arc<[u64]>)>, StoreError> {
        let list = self.inner.rooms.user_rooms(user).await?;
        let joined = list.iter().filter(|entry| entry.record.membership == Membership::Join);
        Ok(joined.map(|entry| (entry.room.number, entry.room.view().joined.clone())).collect())
    }

    /// Whether somebody of another server is in one of these rooms.
    async fn meets_remote(
        &self,
        rooms: &[(RoomNo, Arc<[u64]>)],
        user: UserNo,
        user_id: &UserId,
    ) -> Result<bool, StoreError> {
        if self.inner.rooms.is_local(user_id) {
            return Ok(false);
        }
        let theirs = self.inner.rooms.user_rooms(user).await?;
        Ok(theirs.iter().any(|entry| {
            entry.record.membership == Membership::Join && rooms.iter().any(|(room, _)| *room == entry.room.number)
        }))
    }

    fn may_see(&self, reader: &UserId, user: &UserId) -> bool {
        reader == user || self.inner.rooms.policy().decide(reader, user, Verb::Presence).is_ok()
    }
}

fn shares(rooms: &[(RoomNo, Arc<[u64]>)], user: UserNo) -> bool {
    rooms.iter().any(|(_, joined)| joined.binary_search(&user.0).is_ok())
}

impl Drop for Present {
    fn drop(&mut self) {
        if let Some(inner) = &self.inner {
            let now = inner.clock().elapsed();
            inner.people.lock().leave(self.user, &self.device, now);
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        &self.rooms.parts.clock
    }

    /// Sees to it that a difference is published, and that somebody looks whether the person has gone.
    fn settle(self: &Arc<Self>, people: &mut People, user: UserNo, now: Duration, gather: Duration) {
        let due = if people.differs(user, now) { people.publish_at(now + gather) } else { now + LOOK_EVERY };
        match people.wakes_at {
            Some(at) if at <= due => {}
            Some(_) => {
                people.wakes_at = Some(due);
                self.sooner.notify_one();
            }
            None => {
                people.wakes_at = Some(due);
                let (inner, sooner) = (Arc::downgrade(self), self.sooner.clone());
                tokio::spawn(watch(inner, sooner, self.clock().clone(), due));
            }
        }
    }

    /// Publishes differences: one position for all of them, and each reader is woken once.
    async fn publish(self: &Arc<Self>, changed: HashMap<UserNo, Shown>) -> Result<(), StoreError> {
        let concerned = self.concerned(changed.keys()).await?;
        self.tell_servers(changed.keys()).await?;
        let mut batch = Batch::new();
        batch.at_position(|_, _| {});
        let inner = self.clone();
        batch.on_publish(move |position| {
            inner.people.lock().published(changed, position);
            inner.newest.fetch_max(position.0, Ordering::AcqRel);
        });
        let notifier = self.rooms.parts.notifier.clone();
        batch.on_visible(move || notifier.wake(Concerned::Users(concerned)));
        self.rooms.store().commit(batch).await?;
        Ok(())
    }

    /// Tells other servers of the presence of this server's users: those with members in one of their rooms.
    async fn tell_servers(&self, users: impl Iterator<Item = &UserNo>) -> Result<(), StoreError> {
        for user in users {
            let user_id = self.rooms.store().user_id(*user).await?;
            if !self.rooms.is_local(&user_id) {
                continue;
            }
            let mut servers = BTreeSet::new();
            for entry in self.rooms.user_rooms(*user).await?.iter() {
                if entry.record.membership == Membership::Join {
                    servers.extend(entry.room.view().servers.iter().map(|(server, _)| *server));
                }
            }
            let servers = self.rooms.servers_told_of_presence(servers, &user_id).await?;
            if servers.is_empty() {
                continue;
            }
            let status = self.people.lock().status(*user, self.clock().elapsed());
            let ago = UInt::new_saturating(status.last_active_ago.unwrap_or_default());
            let mut update = PresenceUpdate::new(user_id, status.presence, ago);
            update.currently_active = status.currently_active;
            update.status_msg = status.status_msg;
            self.rooms.parts.outbox.presence(servers, update);
        }
        Ok(())
    }

    /// Those who share a room with any of these users; large rooms are left out.
    async fn concerned(&self, users: impl Iterator<Item = &UserNo>) -> Result<Arc<[u64]>, StoreError> {
        let mut rooms: HashSet<RoomNo> = HashSet::new();
        let mut concerned: HashSet<u64> = HashSet::new();
        for user in users {
            concerned.insert(user.0);
            for entry in self.rooms.user_rooms(*user).await?.iter() {
                if entry.record.membership == Membership::Join && rooms.insert(entry.room.number) {
                    let joined = entry.room.view().joined.clone();
                    if joined.len() <= WAKE_ROOM_MAX {
                        concerned.extend(joined.iter());
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(concerned.into_iter().collect())
    }
}

/// Publishes differences and notices who has gone, as long as anybody is there. Does not keep the service alive.
async fn watch(inner: Weak<Inner>, sooner: Arc<Notify>, clock: Clock, mut at: Duration) {
    loop {
        let hurried = tokio::select! {
            () = clock.sleep(at.saturating_sub(clock.elapsed())) => false,
            () = sooner.notified() => true,
        };
        let Some(inner) = inner.upgrade() else { return };
        let (changed, next) = {
            let mut people = inner.people.lock();
            if hurried {
                at = people.wakes_at.unwrap_or(at);
                continue;
            }
            let now = clock.elapsed();
            let changed = people.differences(now, GATHER_SEEN);
            people.wakes_at = people.next_look(now, LOOK_EVERY);
            (changed, people.wakes_at)
        };
        if !changed.is_empty()
            && let Err(error) = inner.publish(changed).await
        {
            tracing::warn!(%error, "presence was not published");
        }
        // Whoever comes after this was decided starts a task of its own.
        match next {
            Some(next) => at = next,
            None => return,
        }
    }
}
