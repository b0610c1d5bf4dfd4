//! One room in memory.
//!
//! A writer holds the room's lock and works on the *head*, which may be ahead of the disk. Readers take the *view*,
//! which the committer replaces once everything in it is durable. Neither waits for the other.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, RoomVersionId, ServerName, events::room::history_visibility::HistoryVisibility,
    room::JoinRuleKind, room_version_rules::RoomVersionRules,
};

use crate::{
    event::{
        PowerLevels,
        content::{Create, JoinRules, Policy as PolicyServer, ServerAcl},
    },
    store::{
        Batch, Event, EventNo, Position, RoomNo, ServerNo, Store, StoreError, UserNo,
        schema::rooms::{GapRecord, THREAD_ORDER},
        state_tree::StateRoot,
    },
};

/// The order a thread is listed under, the newest reply handed to the committer included.
pub(super) type ThreadPlace = Arc<Mutex<Option<i64>>>;

/// Places kept before the forgotten ones are swept out.
const THREAD_PLACES_SWEEP: usize = 64;

/// Forward extremities that are remembered; of more, the shallowest are left behind.
pub(super) const EXTREMITIES_MAX: usize = 50;

/// Gaps of a room that are kept in memory; the oldest beyond are found again when the room is loaded anew.
pub(super) const GAPS_MAX: usize = 1_000;

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
    /// Since when all members are known, where the room was joined without them.
    whole_since: AtomicU64,
    tail: Mutex<Tail>,
    /// Some of its events came when the room's state was another than at the event (`STANDS`).
    detours: AtomicBool,
    /// Where history is missing: the order of the event behind each gap.
    gaps: Mutex<BTreeMap<i64, GapRecord>>,
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
    /// The forward extremities: events that no other names as its predecessor. Never empty, at most
    /// [`EXTREMITIES_MAX`].
    pub extremities: Vec<Extremity>,
    /// Whether the room stands elsewhere than at its newest event: then a row of `HEADS` says where.
    pub forked: bool,
    /// Whether the state lacks members, because the room was joined without them (`partial`).
    pub partial: bool,
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
    /// Other servers with joined members and how many, by number.
    pub servers: Arc<[(ServerNo, u64)]>,
    /// Which servers may take part, if the room says so.
    pub acl: Option<Arc<ServerAcl>>,
    /// The server that looks at the room's events first, if the room names one.
    pub policy_server: Option<Arc<PolicyServer>>,
}

/// An event without successors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extremity {
    /// Its id.
    pub id: OwnedEventId,
    /// Its number.
    pub number: EventNo,
    /// Its depth.
    pub depth: u64,
    /// The room's state after it.
    pub state: StateRoot,
}

impl Extremity {
    /// An event that nothing follows yet.
    pub fn of(event: &Event) -> Self {
        Self {
            id: event.pdu.event_id.clone(),
            number: event.number,
            depth: event.pdu.depth,
            state: event.header.state_after,
        }
    }
}

impl RoomView {
    /// Whether the room lets a server take part (spec v1.19, "Server Access Control Lists").
    pub fn admits(&self, server: &ServerName) -> bool {
        self.acl.as_ref().is_none_or(|acl| acl.allows(server))
    }

    /// Whether anybody may know of the room: everyone may read it, or could join or knock.
    pub fn is_open(&self) -> bool {
        matches!(self.join_rules.rule, JoinRuleKind::Public | JoinRuleKind::Knock | JoinRuleKind::KnockRestricted)
            || self.history_visibility == HistoryVisibility::WorldReadable
    }

    /// Whether another server has a joined member.
    pub fn has_server(&self, server: ServerNo) -> bool {
        self.servers.binary_search_by_key(&server, |(number, _)| *number).is_ok()
    }
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
            whole_since: AtomicU64::new(0),
            detours: AtomicBool::new(false),
            tail: Mutex::default(),
            gaps: Mutex::default(),
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

    /// The position at which the last members became known of a room that was joined without them; 0 where they always
    /// were. Who read the room before reads it anew.
    pub fn whole_since(&self) -> Position {
        Position(self.whole_since.load(Ordering::Acquire))
    }

    pub(super) fn set_whole_since(&self, at: Position) {
        self.whole_since.store(at.0, Ordering::Release);
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

    /// Whether readers have to look for what the room's state was when an event came.
    pub fn has_detours(&self) -> bool {
        self.detours.load(Ordering::Acquire)
    }

    pub(super) fn note_detour(&self) {
        self.detours.store(true, Ordering::Release);
    }

    /// The newest gap with `low < order ≤ high`: history is missing before the event at that order.
    pub fn gap_in(&self, low: i64, high: i64) -> Option<(i64, GapRecord)> {
        let (low, high) = (low.checked_add(1)?, high.saturating_add(1));
        let gaps = self.gaps.lock();
        (low < high).then(|| gaps.range(low..high).next_back().map(|(order, gap)| (*order, gap.clone())))?
    }

    /// The gap before the event at an order, if there is one.
    pub fn gap_at(&self, order: i64) -> Option<GapRecord> {
        self.gaps.lock().get(&order).cloned()
    }

    /// The gap that a walk back from a place meets first. What was fetched for it stands above its `next`.
    pub fn gap_before(&self, place: i64) -> Option<(i64, GapRecord)> {
        let gaps = self.gaps.lock();
        let narrowed = gaps.range(place.saturating_add(1)..).next().filter(|(_, gap)| gap.next <= place);
        narrowed.or_else(|| gaps.range(..=place).next_back()).map(|(order, gap)| (*order, gap.clone()))
    }

    /// The gap that a walk forwards from a place meets first. It is behind the place, or the place within it.
    pub fn gap_after(&self, place: i64) -> Option<(i64, GapRecord)> {
        let gaps = self.gaps.lock();
        // What was fetched for a gap stands above its `next`: from there on nothing of it is missing.
        let mut behind = gaps.range(place.saturating_add(1)..);
        behind.find(|(_, gap)| gap.next > place).map(|(order, gap)| (*order, gap.clone()))
    }

    /// The gap whose missing history begins with an event.
    pub fn gap_for(&self, id: &EventId) -> Option<(i64, GapRecord)> {
        let gaps = self.gaps.lock();
        gaps.iter().find(|(_, gap)| gap.missing.iter().any(|missing| missing == id)).map(|(at, gap)| (*at, gap.clone()))
    }

    /// A gap is there, has become smaller, or is closed with `None`. Called by the committer, and when the room is
    /// loaded.
    pub(super) fn set_gap(&self, order: i64, gap: Option<GapRecord>) {
        let mut gaps = self.gaps.lock();
        match gap {
            Some(gap) => drop(gaps.insert(order, gap)),
            None => drop(gaps.remove(&order)),
        }
        if gaps.len() > GAPS_MAX {
            gaps.pop_first();
        }
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
            if self.gaps.lock().contains_key(&entry.0) {
                // What is missing before it will not come here.
                tail.events.clear();
                tail.complete_after = entry.0 - 1;
            }
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
