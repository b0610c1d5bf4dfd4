//! Typing notices (specification v1.19, client-server API, "Typing notifications").
//!
//! They live in memory only. A change takes a position of the stream, so that sync tokens order it, by a batch
//! without rows. Nothing runs while nobody types: the task that ends forgotten notices lives as long as there are some.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{OwnedUserId, RoomId, ServerName};
use tokio::sync::Notify;

use super::{Room, Rooms, RoomsError};
use crate::{
    clock::Clock,
    notify::Concerned,
    store::{Batch, Position, RoomNo, StoreError, UserNo},
};

/// The longest that one request says somebody types.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);
/// The shortest: what ends at once could never be shown.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// How long somebody of another server is taken to type without saying so again.
const REMOTE_TIMEOUT: Duration = Duration::from_mins(1);
/// Rooms remembered, of which most are quiet: beyond, those quiet for longest are forgotten.
const ROOMS_MAX: usize = 10_000;
/// People shown as typing in one room. Nobody reads more names.
const TYPING_MAX: usize = 100;

/// Who types where. Cheap to clone.
#[derive(Clone)]
pub struct Typing {
    inner: Arc<Inner>,
}

struct Inner {
    rooms: Rooms,
    state: Mutex<State>,
    /// The position of the newest change anywhere: most questions end here.
    newest: AtomicU64,
    /// Wakes the task when something ends earlier than it thought.
    sooner: Arc<Notify>,
}

#[derive(Default)]
struct State {
    rooms: HashMap<RoomNo, Typers>,
    /// The task runs, and will look again at this time.
    wakes_at: Option<Duration>,
}

/// Who types in one room.
struct Typers {
    room: Weak<Room>,
    /// Until when, on the clock's `elapsed`.
    until: BTreeMap<UserNo, (OwnedUserId, Duration)>,
    /// The last change.
    changed: Position,
}

impl Typing {
    /// Nobody types.
    pub fn new(rooms: Rooms) -> Self {
        let inner = Inner { rooms, state: Mutex::default(), newest: AtomicU64::new(0), sooner: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Says that a user types in a room for some time, or not any more (`None`).
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] when they are not in the room.
    pub async fn set(
        &self,
        user: UserNo,
        user_id: &ruma::UserId,
        room_id: &RoomId,
        timeout: Option<Duration>,
    ) -> Result<(), RoomsError> {
        let room = self.inner.rooms.joined_room(room_id, user).await?;
        let now = self.inner.clock().elapsed();
        let until = timeout.map(|timeout| now.saturating_add(timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX)));
        let servers: Vec<_> = room.view().servers.iter().map(|(server, _)| *server).collect();
        self.inner.rooms.parts.outbox.typing(servers, (room_id, user_id), until);
        self.note(room, user, user_id, until).await?;
        Ok(())
    }

    /// Another server says that one of its users types in a room, or not any more. Nothing happens unless the user is
    /// in the room, and the room admits the server.
    ///
    /// # Errors
    /// The store failed.
    pub async fn receive(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user_id: &ruma::UserId,
        typing: bool,
    ) -> Result<(), StoreError> {
        let Some((room, user)) = self.inner.rooms.member_of_server(origin, room_id, user_id).await? else {
            return Ok(());
        };
        let until = typing.then(|| self.inner.clock().elapsed().saturating_add(REMOTE_TIMEOUT));
        self.note(room, user, user_id, until).await
    }

    async fn note(
        &self,
        room: Arc<Room>,
        user: UserNo,
        user_id: &ruma::UserId,
        until: Option<Duration>,
    ) -> Result<(), StoreError> {
        let changed = {
            let mut state = self.inner.state.lock();
            let changed = state.set(&room, user, user_id, until);
            if let Some(until) = until {
                self.expect_end(&mut state, until);
            }
            changed
        };
        if changed {
            self.inner.publish(vec![room]).await?;
        }
        Ok(())
    }

    /// Who types in a room, as the content of an `m.typing` event, if that changed after `since` and up to `upto`.
    /// With `since` zero: if anybody types.
    pub fn changes(&self, room: RoomNo, since: Position, upto: Position) -> Option<Vec<u8>> {
        if self.inner.newest.load(Ordering::Acquire) <= since.0 {
            return None;
        }
        let state = self.inner.state.lock();
        let typers = state.rooms.get(&room)?;
        if typers.changed <= since || typers.changed > upto {
            return None;
        }
        let room = typers.room.upgrade()?;
        let view = room.view();
        // Somebody who left the room may not have stopped typing.
        let there = typers
            .until
            .iter()
            .filter(|(user, (id, _))| !self.inner.rooms.is_local(id) || view.joined.binary_search(&user.0).is_ok());
        let ids: Vec<&OwnedUserId> = there.map(|(_, (id, _))| id).take(TYPING_MAX).collect();
        if since == Position::ZERO && ids.is_empty() {
            return None;
        }
        serde_json::to_vec(&serde_json::json!({ "user_ids": ids })).ok()
    }

    /// Makes sure that the task looks at `until` at the latest.
    fn expect_end(&self, state: &mut State, until: Duration) {
        match state.wakes_at {
            Some(at) if at <= until => {}
            Some(_) => self.inner.sooner.notify_one(),
            None => {
                state.wakes_at = Some(until);
                let (inner, sooner, clock) =
                    (Arc::downgrade(&self.inner), self.inner.sooner.clone(), self.inner.clock().clone());
                tokio::spawn(end_forgotten(inner, sooner, clock, until));
            }
        }
    }
}

/// Ends notices whose time is over. Does not keep the service alive.
async fn end_forgotten(inner: Weak<Inner>, sooner: Arc<Notify>, clock: Clock, mut at: Duration) {
    loop {
        let left = at.saturating_sub(clock.elapsed());
        tokio::select! {
            () = clock.sleep(left) => {}
            () = sooner.notified() => {}
        }
        let Some(inner) = inner.upgrade() else { return };
        let (ended, next) = {
            let mut state = inner.state.lock();
            let ended = state.end(clock.elapsed());
            state.wakes_at = state.first_end();
            (ended, state.wakes_at)
        };
        if !ended.is_empty()
            && let Err(error) = inner.publish(ended).await
        {
            tracing::warn!(%error, "typing notices were not ended");
        }
        match next {
            Some(next) => at = next,
            None => return,
        }
    }
}

impl Inner {
    fn clock(&self) -> &Clock {
        &self.rooms.parts.clock
    }

    /// Gives changes their place in the stream and wakes the rooms' people.
    async fn publish(self: &Arc<Self>, rooms: Vec<Arc<Room>>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.at_position(|_, _| {});
        let (inner, waking, changed) = (self.clone(), self.clone(), rooms.clone());
        batch.on_publish(move |position| {
            inner.newest.fetch_max(position.0, Ordering::AcqRel);
            let mut state = inner.state.lock();
            for room in &rooms {
                if let Some(typers) = state.rooms.get_mut(&room.number) {
                    typers.changed = typers.changed.max(position);
                }
            }
        });
        batch.on_visible(move || {
            for room in changed {
                waking.rooms.parts.notifier.wake(Concerned::Users(room.view().joined.clone()));
            }
        });
        self.rooms.store().commit(batch).await?;
        Ok(())
    }
}

impl State {
    /// Whether anybody sees a difference.
    fn set(&mut self, room: &Arc<Room>, user: UserNo, id: &ruma::UserId, until: Option<Duration>) -> bool {
        let Some(until) = until else {
            return self.rooms.get_mut(&room.number).is_some_and(|typers| typers.until.remove(&user).is_some());
        };
        if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(&room.number) {
            self.forget_quiet();
        }
        let typers = self.rooms.entry(room.number).or_insert_with(|| Typers {
            room: Weak::new(),
            until: BTreeMap::new(),
            changed: Position::ZERO,
        });
        typers.room = Arc::downgrade(room);
        typers.until.insert(user, (id.to_owned(), until)).is_none()
    }

    /// Takes out what has ended by now. Answers the rooms that changed.
    fn end(&mut self, now: Duration) -> Vec<Arc<Room>> {
        let mut changed = Vec::new();
        for typers in self.rooms.values_mut() {
            let before = typers.until.len();
            typers.until.retain(|_, (_, until)| *until > now);
            if typers.until.len() < before {
                changed.extend(typers.room.upgrade());
            }
        }
        changed
    }

    fn first_end(&self) -> Option<Duration> {
        self.rooms.values().flat_map(|typers| typers.until.values()).map(|(_, until)| *until).min()
    }

    /// Forgets the half of the rooms that has been quiet for longest.
    fn forget_quiet(&mut self) {
        let mut changes: Vec<Position> = self.rooms.values().map(|typers| typers.changed).collect();
        changes.sort_unstable();
        let middle = changes.get(changes.len() / 2).copied().unwrap_or(Position::ZERO);
        self.rooms.retain(|_, typers| !typers.until.is_empty() || typers.changed > middle);
    }
}
