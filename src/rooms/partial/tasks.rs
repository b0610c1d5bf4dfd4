//! Fetching the members of a room that was joined without them: in the background, one server after the other, until it
//! succeeds or nobody of this server is in the room any more: who comes back has it begun again. It goes on after a restart.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName, events::StateEventType};
use tokio::sync::{Notify, Semaphore};

use super::{
    complete::Stay,
    persist::{Attempt, PAUSE, PAUSE_MAX, persist},
    servers::STAYS_MAX,
};
use crate::{
    rooms::{Room, Rooms, RoomsError, receive::ReceiveError, registry::LIST_MAX, writer::settled},
    store::{
        Batch, Event, EventNo, Order, RoomNo, StoreError,
        schema::rooms::{PARTIAL, PartialRecord, STAYS},
        state_tree::StateRoot,
    },
};

/// Rooms whose members are fetched at once: each holds a whole state in memory.
const AT_ONCE: usize = 2;
/// Servers that are asked before a pause, beginning with the one that answered the join.
const SERVERS_MAX: usize = 5;
/// How long a server may take to give them.
const TIME_MAX: Duration = Duration::from_mins(5);
/// How long the members of now wait for those of earlier stays, which need not come at once.
const EARLIER_TIME: Duration = Duration::from_mins(1);
/// How often events that were rejected are looked at again, when others turn out not to be.
const ROUNDS_MAX: usize = 5;
/// How often those in the room are asked who was in it at an earlier stay, once its members of now are known: for some two
/// hours. After a restart it begins anew.
const EARLIER_TRIES: usize = 12;
/// How long a client waits for the members of a room.
const PATIENCE: Duration = Duration::from_mins(1);

/// Rooms whose members are to be fetched.
pub(in crate::rooms) struct Completions {
    /// Those of which the task does not know yet. At most as many as rooms were joined since it looked.
    new: Mutex<Vec<Arc<Room>>>,
    wake: Notify,
    /// A room was joined: what waits for another attempt looks whether it is that one.
    joined: Notify,
    places: Semaphore,
    /// Told whenever one is done.
    done: Notify,
}

impl Default for Completions {
    fn default() -> Self {
        let places = Semaphore::new(AT_ONCE);
        let (wake, joined, done) = (Notify::new(), Notify::new(), Notify::new());
        Self { new: Mutex::default(), wake, joined, places, done }
    }
}

impl Rooms {
    /// Fetches the members of rooms that are joined without them, and of those that were when the server was stopped.
    /// Runs until it is dropped.
    pub async fn keep_whole(self) {
        // What cannot be read of the time before keeps nobody waiting who joins now.
        tokio::join!(self.resume_some_time(), self.complete_all());
    }

    async fn complete_all(&self) {
        let completions = &self.writes.completions;
        let (mut under_way, mut rooms) = (FuturesUnordered::new(), HashSet::new());
        // Joined again while they are under way: what is may have looked before.
        let mut again: HashMap<RoomNo, Arc<Room>> = HashMap::new();
        loop {
            tokio::select! {
                () = completions.wake.notified() => {}
                Some(number) = under_way.next() => {
                    rooms.remove(&number);
                    completions.new.lock().extend(again.remove(&number));
                    completions.done.notify_waiters();
                }
            }
            for room in std::mem::take(&mut *completions.new.lock()) {
                if rooms.insert(room.number) {
                    under_way.push(self.complete_some_time(room));
                } else {
                    again.insert(room.number, room);
                }
            }
        }
    }

    async fn resume_some_time(&self) {
        let mut pause = PAUSE;
        while let Err(error) = self.resume().await {
            tracing::error!(%error, ?pause, "rooms whose members are to be fetched cannot be read");
            self.parts.clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn resume(&self) -> Result<(), StoreError> {
        let rows = self.store().range(&PARTIAL, &RoomNo(0), &RoomNo(u64::MAX), Order::Ascending, LIST_MAX).await?;
        for (number, record) in rows {
            let earlier = self.store().prefix(&STAYS, &number, Order::Ascending, 1).await?;
            if (record.whole_since.is_none() || !earlier.is_empty())
                && let Some(room) = self.get(number).await?
            {
                self.complete_later(&room);
            }
        }
        Ok(())
    }

    /// Waits until all members of a room are known, as long as somebody who asks for them can be expected to. Where nobody
    /// of this server is left, nobody fetches them.
    ///
    /// # Errors
    /// [`RoomsError::Unreachable`] when it takes longer.
    pub async fn whole(&self, room: &Room) -> Result<(), RoomsError> {
        if !is_awaited(room) {
            return Ok(());
        }
        let waiting = self.until_whole(room);
        let late = || RoomsError::Unreachable("the members of this room are still being fetched".to_owned());
        self.parts.clock.timeout(PATIENCE, waiting).await.ok_or_else(late)
    }

    /// Waits until all members of a room are known, however long that takes, or nobody is left who fetches them.
    pub(in crate::rooms) async fn until_whole(&self, room: &Room) {
        loop {
            let done = self.writes.completions.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if !is_awaited(room) {
                return;
            }
            done.await;
        }
    }

    /// Has the members of a room fetched.
    pub(in crate::rooms) fn complete_later(&self, room: &Arc<Room>) {
        self.writes.completions.new.lock().push(room.clone());
        self.writes.completions.wake.notify_one();
        self.writes.completions.joined.notify_waiters();
    }

    async fn complete_some_time(&self, room: Arc<Room>) -> RoomNo {
        let attempt = |failures| self.try_to_complete(&room, failures);
        persist(&room.id, attempt, |record, pause| self.pause(&room, record, pause)).await;
        room.number
    }

    /// Waits before another attempt, unless the room is joined anew meanwhile: what is to be fetched is not `record` then.
    async fn pause(&self, room: &Room, record: Option<PartialRecord>, pause: Duration) {
        let joined_anew = async {
            loop {
                let joined = self.writes.completions.joined.notified();
                tokio::pin!(joined);
                joined.as_mut().enable();
                // Where it cannot be read, there is nothing to hurry for.
                let now = self.store().get(&PARTIAL, &room.number);
                if record.is_some() && now.await.is_ok_and(|now| now != record) {
                    return;
                }
                joined.await;
            }
        };
        self.parts.clock.timeout(pause, joined_anew).await;
    }

    async fn try_to_complete(&self, room: &Arc<Room>, failures: usize) -> Result<Attempt, StoreError> {
        let Some(record) = self.store().get(&PARTIAL, &room.number).await? else { return Ok(Attempt::Done) };
        let earlier = self.store().prefix(&STAYS, &room.number, Order::Ascending, STAYS_MAX).await?;
        let lacks_members = record.whole_since.is_none();
        if !lacks_members && earlier.is_empty() {
            return Ok(Attempt::Done);
        }
        if room.view().joined.is_empty() {
            // Who comes back begins anew, with what is left of this stay.
            if lacks_members {
                self.forget_servers(room).await?;
            }
            return Ok(Attempt::Done);
        }
        if !lacks_members && failures >= EARLIER_TRIES {
            self.give_up(room, &earlier).await?;
            return Ok(Attempt::Overtaken);
        }
        let record = if lacks_members { self.narrowed(room, record).await? } else { record };
        let servers = if lacks_members {
            servers_in_turn(&record, failures)
        } else {
            self.other_servers_in(room, SERVERS_MAX).await?
        };
        for server in servers {
            // For one server, so that those who never answer do not keep other rooms waiting for long.
            let _place = self.writes.completions.places.acquire().await;
            match self.complete_from(room, &server, &record, &earlier).await {
                Ok(()) => return Ok(Attempt::Overtaken),
                Err(ReceiveError::Store(error)) => return Err(error),
                Err(error) => tracing::debug!(room = %room.id, %server, %error, "members cannot be had"),
            }
        }
        Ok(Attempt::Failed(record))
    }

    /// What is still to be fetched.
    pub(super) async fn partial_record(&self, room: &Room) -> Result<Option<PartialRecord>, StoreError> {
        let record = self.store().get(&PARTIAL, &room.number).await?;
        Ok(record.filter(|record| record.whole_since.is_none()))
    }

    async fn complete_from(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        record: &PartialRecord,
        earlier: &[((RoomNo, EventNo), EventNo)],
    ) -> Result<(), ReceiveError> {
        let (mut stays, mut current) = (Vec::new(), None);
        let mut patience = TIME_MAX;
        if record.whole_since.is_none() {
            current = Some(self.stay_from(room, server, (record.event, None), TIME_MAX).await?);
            patience = EARLIER_TIME;
        }
        let end = self.parts.clock.elapsed() + patience;
        let mut failed = ReceiveError::Answer("no stay to ask for");
        for ((_, join), last) in earlier {
            let patience = end.saturating_sub(self.parts.clock.elapsed());
            match self.stay_from(room, server, (*join, Some(*last)), patience).await {
                Ok(stay) => stays.push(stay),
                Err(ReceiveError::Store(error)) => return Err(error.into()),
                Err(error) => failed = error,
            }
        }
        if current.is_none() && stays.is_empty() {
            return Err(failed);
        }
        stays.extend(current);
        for round in 0.. {
            let mut writer = self.writer(room).await;
            // Who holds the lock sees whether it was left, or joined anew, meanwhile: once what others have handed over can
            // be read.
            settled(self).await?;
            let now = self.store().get(&PARTIAL, &room.number).await?;
            if writer.view().joined.is_empty() || now.as_ref() != Some(record) {
                return Ok(());
            }
            if writer.complete(record, &stays, round < ROUNDS_MAX).await? {
                writer.commit().await?;
                break;
            }
        }
        self.writes.completions.done.notify_waiters();
        tracing::info!(room = %room.id, %server, stays = stays.len(), "all members of a room are known");
        Ok(())
    }

    /// A stay with its members, as a server tells them.
    async fn stay_from(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        (join, last): (EventNo, Option<EventNo>),
        patience: Duration,
    ) -> Result<Stay, ReceiveError> {
        let join = self.parts.events.require(room.number, join).await?;
        let last = match last {
            Some(last) => Some(self.parts.events.require(room.number, last).await?),
            None => None,
        };
        let fetching = Box::pin(self.fetch_whole(room, server, &join));
        let whole = self.parts.clock.timeout(patience, fetching).await;
        Ok(Stay { whole: whole.unwrap_or(Err(ReceiveError::Answer("it took too long")))?, join, last })
    }

    /// Nobody tells who was in the room at earlier stays: their states stay as they are.
    async fn give_up(&self, room: &Arc<Room>, stays: &[((RoomNo, EventNo), EventNo)]) -> Result<(), StoreError> {
        tracing::info!(room = %room.id, stays = stays.len(), "who was in the room at earlier stays is not known");
        let mut batch = Batch::new();
        for (stay, _) in stays {
            batch.delete(&STAYS, stay);
        }
        self.store().commit(batch).await.map(drop)
    }

    /// The state before the join, as the one who answered it gave it, with the members that a server tells now.
    async fn fetch_whole(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        join: &Event,
    ) -> Result<StateRoot, ReceiveError> {
        // Every server can say what the state was at an event that all know; of several it would have to be resolved.
        let told = if let [only] = &*join.pdu.prev_events {
            self.state_after_from(room, server, only).await?
        } else {
            let (state, batch) = self.state_before_from(room, server, &join.pdu.event_id).await?;
            self.parts.store.commit(batch).await?;
            state
        };
        let whole = self.with_members_only(join.header.state_before, told).await?;
        // Who is in the room is not put out of it by what somebody says it was.
        if self.is_allowed_at(room, whole, &join.pdu).await? {
            Ok(whole)
        } else {
            Err(ReceiveError::Answer("a state that does not allow the join"))
        }
    }

    /// A state with the members of another, and nothing else of it: it is only members that are missing, and who tells
    /// them was not chosen to say anything else.
    async fn with_members_only(&self, state: StateRoot, other: StateRoot) -> Result<StateRoot, StoreError> {
        let mut members = Vec::new();
        for change in self.parts.tree.diff(state, other).await? {
            let (kind, _) = self.parts.store.state_key_pair(change.key).await?;
            if kind == StateEventType::RoomMember {
                members.push((change.key, change.new));
            }
        }
        let mut batch = Batch::new();
        let whole = self.parts.tree.apply(state, &members, &mut batch).await?;
        self.parts.store.commit(batch).await?;
        Ok(whole)
    }
}

/// Whether members of a room are missing, and fetched.
fn is_awaited(room: &Room) -> bool {
    let view = room.view();
    view.partial && !view.joined.is_empty()
}

/// Whom to ask: always the one who answered the join, and of the others some after the other.
fn servers_in_turn(record: &PartialRecord, failures: usize) -> Vec<OwnedServerName> {
    let mut servers: Vec<_> = record.server_names().collect();
    if let Some(others) = servers.get_mut(1..).filter(|others| !others.is_empty()) {
        let asked = failures.wrapping_mul(SERVERS_MAX - 1) % others.len();
        others.rotate_left(asked);
    }
    servers.truncate(SERVERS_MAX);
    servers
}

impl PartialRecord {
    /// The servers that can be asked.
    pub(in crate::rooms) fn server_names(&self) -> impl Iterator<Item = OwnedServerName> {
        self.servers.iter().filter_map(|server| ServerName::parse(server).ok())
    }
}
