//! One room in memory.
//!
//! A writer holds the room's lock and works on the *head*, which may be ahead of the disk. Readers take the *view*,
//! which the committer replaces once everything in it is durable. Neither waits for the other.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use ruma::{
    OwnedEventId, OwnedRoomId, RoomVersionId, events::room::history_visibility::HistoryVisibility,
    room_version_rules::RoomVersionRules,
};

use crate::{
    event::{
        PowerLevels,
        content::{Create, JoinRules},
    },
    store::{
        Batch, Event, EventNo, Position, RoomNo, Store, StoreError, UserNo, schema::rooms::THREAD_ORDER,
        state_tree::StateRoot,
    },
};

/// The order a thread is listed under, the newest reply handed to the committer included.
pub(super) type ThreadPlace = Arc<Mutex<Option<i64>>>;

/// Places kept before the forgotten ones are swept out.
const THREAD_PLACES_SWEEP: usize = 64;

/// Events kept as the newest ones of a room.
pub(super) const TAIL_MAX: usize = 40;

/// A room. There is at most one of each number in memory.
pub struct Room {
    /// Its number.
    pub number: RoomNo,
    /// Its id.
    pub id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// What the version means.
    pub rules: RoomVersionRules,
    pub(super) head: Arc<tokio::sync::Mutex<Arc<RoomView>>>,
    view: ArcSwap<RoomView>,
    last: AtomicU64,
    receipts: AtomicU64,
    tail: Mutex<Tail>,
    /// Users whose newest membership may not be in the tables yet.
    members_in_flight: Mutex<HashSet<UserNo>>,
    /// Threads with replies that may not be in the tables yet, as long as a batch with one holds the place.
    threads_in_flight: Mutex<HashMap<EventNo, Weak<Mutex<Option<i64>>>>>,
}

/// The newest events of a room's timeline.
#[derive(Default)]
struct Tail {
    events: VecDeque<(i64, EventNo)>,
    /// Everything after this order is in `events`.
    complete_after: i64,
}

/// What is true of a room at one moment. Immutable.
#[derive(Clone)]
pub struct RoomView {
    /// The current state.
    pub state: StateRoot,
    /// The forward extremities with their depths.
    pub extremities: Vec<(OwnedEventId, u64)>,
    /// The create event.
    pub create: Arc<Event>,
    /// Its content, read.
    pub created: Arc<Create>,
    /// The power levels in force.
    pub power: Arc<PowerLevels>,
    /// The event that set them.
    pub power_event: Option<Arc<Event>>,
    /// The join rule in force.
    pub join_rules: Arc<JoinRules>,
    /// The history visibility in force.
    pub history_visibility: HistoryVisibility,
    /// The numbers of this server's users who have joined, sorted.
    pub joined: Arc<[u64]>,
    /// Everyone who has joined, here and elsewhere.
    pub joined_count: u64,
    /// Everyone who is invited.
    pub invited_count: u64,
}

impl Room {
    pub(super) fn new(
        id: OwnedRoomId,
        number: RoomNo,
        version: RoomVersionId,
        rules: RoomVersionRules,
        view: Arc<RoomView>,
    ) -> Self {
        Self {
            number,
            id,
            version,
            rules,
            head: Arc::new(tokio::sync::Mutex::new(view.clone())),
            view: ArcSwap::new(view),
            last: AtomicU64::new(0),
            receipts: AtomicU64::new(0),
            tail: Mutex::default(),
            members_in_flight: Mutex::default(),
            threads_in_flight: Mutex::default(),
        }
    }

    /// The room as readers may see it.
    pub fn view(&self) -> Arc<RoomView> {
        self.view.load_full()
    }

    /// The position of the newest event.
    pub fn last_position(&self) -> Position {
        Position(self.last.load(Ordering::Acquire))
    }

    /// The position of the newest receipt this process has seen; 0 when it does not know.
    pub fn receipts_position(&self) -> Position {
        Position(self.receipts.load(Ordering::Acquire))
    }

    pub(super) fn set_receipts_position(&self, at: Position) {
        self.receipts.fetch_max(at.0, Ordering::AcqRel);
    }

    /// The events with `since < order ≤ upto`, oldest first, when memory holds all of them.
    pub fn recent(&self, since: i64, upto: i64) -> Option<Vec<(i64, EventNo)>> {
        let tail = self.tail.lock();
        (since >= tail.complete_after)
            .then(|| tail.events.iter().filter(|(order, _)| *order > since && *order <= upto).copied().collect())
    }

    /// The `limit` newest events up to `upto`, oldest first, when memory holds them.
    pub fn newest(&self, upto: i64, limit: usize) -> Option<Vec<(i64, EventNo)>> {
        let tail = self.tail.lock();
        let end = tail.events.partition_point(|(order, _)| *order <= upto);
        let begin = end.saturating_sub(limit);
        // Fewer than asked for are enough only when the tail is the whole room.
        (end - begin == limit || tail.complete_after == i64::MIN)
            .then(|| tail.events.range(begin..end).copied().collect())
    }

    pub(super) fn load_tail(&self, newest_first: &[(i64, EventNo)], whole: bool) {
        let mut tail = self.tail.lock();
        tail.events = newest_first.iter().rev().copied().collect();
        tail.complete_after = match newest_first.last() {
            _ if whole => i64::MIN,
            Some((oldest, _)) => oldest - 1,
            None => i64::MIN,
        };
        if let Some((order, _)) = tail.events.back() {
            self.last.store(u64::try_from(*order).unwrap_or(0), Ordering::Release);
        }
    }

    /// Waits until the tables hold a user's newest membership. The caller holds the room's lock.
    pub(super) async fn settle_member(&self, store: &Store, user: UserNo) -> Result<(), StoreError> {
        if self.members_in_flight.lock().contains(&user) {
            store.commit(Batch::new()).await?;
            self.members_in_flight.lock().clear();
        }
        Ok(())
    }

    /// A membership is about to be handed over. The caller holds the room's lock.
    pub(super) fn member_in_flight(&self, user: UserNo) {
        self.members_in_flight.lock().insert(user);
    }

    /// Where a thread is listed, for a writer that adds a reply: its row replaces the one at that place when the
    /// committer makes it, and the place is held until the reply is durable. The caller holds the room's lock.
    pub(super) async fn thread_place(&self, store: &Store, root: EventNo) -> Result<ThreadPlace, StoreError> {
        if let Some(place) = self.threads_in_flight.lock().get(&root).and_then(Weak::upgrade) {
            return Ok(place);
        }
        // Nobody holds it: all earlier replies are durable or given up.
        let place = Arc::new(Mutex::new(store.get(&THREAD_ORDER, &(self.number, root)).await?));
        let mut threads = self.threads_in_flight.lock();
        if threads.len() >= THREAD_PLACES_SWEEP {
            threads.retain(|_, place| place.strong_count() > 0);
        }
        threads.insert(root, Arc::downgrade(&place));
        Ok(place)
    }

    /// Called by the committer: these events are durable, and so is the view.
    pub(super) fn publish(&self, view: Arc<RoomView>, added: &[(i64, EventNo)], members: &[UserNo]) {
        self.view.store(view);
        if !members.is_empty() {
            let mut in_flight = self.members_in_flight.lock();
            for user in members {
                in_flight.remove(user);
            }
        }
        let mut tail = self.tail.lock();
        for entry in added {
            tail.events.push_back(*entry);
            if tail.events.len() > TAIL_MAX
                && let Some((dropped, _)) = tail.events.pop_front()
            {
                tail.complete_after = dropped;
            }
        }
        if let Some((order, _)) = added.last() {
            self.last.store(u64::try_from(*order).unwrap_or(0), Ordering::Release);
        }
    }
}
