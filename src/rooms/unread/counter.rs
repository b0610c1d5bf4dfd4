//! Brings a user's counts in a room up to date.

use std::{collections::HashSet, sync::Arc};

use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedEventId, UserId, events::StateEventType, push::Ruleset};

use super::{
    facts::Facts,
    rules::{Context, Outcome, Rules},
    tally::{Stale, Tallies},
};
use crate::{
    event::content::Member,
    rooms::{
        Room, Rooms, RoomsError,
        receipts::{Marks, Receipts},
    },
    store::{
        Batch, EventNo, Order, RoomNo, StoreError, UserNo,
        schema::rooms::{Membership, THREADS, TIMELINE, UNREAD},
    },
    users::{PushRules, UsersError},
};

/// Pairs of user and room whose counts are kept in memory.
const TALLIES_KEPT: usize = 50_000;
/// Users whose compiled rules are kept in memory, at some 3 KiB each.
const RULES_KEPT: usize = 2_000;
/// Bytes of events kept ready for the rules: the newest ones of the busy rooms.
const FACTS_BYTES: u64 = 4 << 20;
/// Events counted at most for a user who comes back after a long time: the newest. More than this nobody reads.
const EVENTS_MAX: usize = 9_999;
/// Counts are stored when this many events were counted since the last time, so that a restart repeats no more.
const UNSAVED_MAX: u32 = 256;
/// Events counted in a row before other tasks may run.
const BREATH: usize = 128;

/// How many events notify a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unread notifications of the main timeline.
    pub notification: u64,
    /// Those of them that highlight.
    pub highlight: u64,
    /// The same per thread: its root, notifications, highlights.
    pub threads: Vec<(OwnedEventId, u64, u64)>,
}

/// A user's rules, and what they were compiled from.
type Compiled = (Arc<Ruleset>, Arc<Rules>);

/// Counts unread events. Cheap to clone.
#[derive(Clone)]
pub struct Unread {
    inner: Arc<Inner>,
}

struct Inner {
    rooms: Rooms,
    push_rules: PushRules,
    receipts: Receipts,
    tallies: Cache<(UserNo, RoomNo), Arc<Tallies>>,
    rules: Cache<UserNo, Compiled>,
    facts: Cache<(RoomNo, EventNo), Arc<Facts>, FactsWeight>,
}

#[derive(Clone)]
struct FactsWeight;

impl Weighter<(RoomNo, EventNo), Arc<Facts>> for FactsWeight {
    fn weight(&self, _: &(RoomNo, EventNo), facts: &Arc<Facts>) -> u64 {
        facts.weight()
    }
}

/// One user who reads one room.
#[derive(Clone, Copy)]
struct Reading<'a> {
    room: &'a Arc<Room>,
    user: UserNo,
    user_id: &'a UserId,
    ignored: &'a HashSet<UserNo>,
    marks: &'a Marks,
}

impl Unread {
    /// Counts over these parts.
    pub fn new(rooms: Rooms, push_rules: PushRules, receipts: Receipts) -> Self {
        let facts = Cache::with_weighter(2_048, FACTS_BYTES, FactsWeight);
        let inner = Inner {
            rooms,
            push_rules,
            receipts,
            tallies: Cache::new(TALLIES_KEPT),
            rules: Cache::new(RULES_KEPT),
            facts,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The unread counts of a user in a room, up to the event at order `upto`; zero for somebody who has not joined.
    ///
    /// Events of `ignored` users notify nobody. Everything up to the user's receipts is read, and everything up to their own newest event in the same thread
    /// (specification v1.19, "Marking notifications as read"): sending writes no receipt, it is seen here.
    ///
    /// # Errors
    /// The store failed.
    pub async fn counts(
        &self,
        room: &Arc<Room>,
        (user, user_id): (UserNo, &UserId),
        ignored: &HashSet<UserNo>,
        upto: i64,
    ) -> Result<Counts, RoomsError> {
        let marks = self.inner.receipts.marks(room.number, user).await?;
        let reading = Reading { room, user, user_id, ignored, marks: &marks };
        let newest = i64::try_from(room.last_position().0).unwrap_or(i64::MAX).min(upto);
        let kept = self.inner.tallies.get(&(user, room.number));
        if let Some(tallies) = kept.as_ref().filter(|tallies| tallies.upto >= newest && tallies.settled(&marks)) {
            return Ok(counts(tallies));
        }
        let Some(joined) = self.joined(room, user).await? else { return Ok(Counts::default()) };
        let mut tallies = match kept {
            Some(tallies) if tallies.joined == joined => Tallies::clone(&tallies),
            _ => self.begin(reading, joined).await?,
        };
        if let Some(stale) = tallies.read_upto(&marks) {
            let (from, to) = (stale.from.max(joined), tallies.upto);
            self.count(reading, &mut tallies, from, to, Some(&stale)).await?;
        }
        if tallies.upto < newest {
            let from = tallies.upto;
            self.count(reading, &mut tallies, from, newest, None).await?;
            tallies.upto = newest;
        }
        Ok(self.keep(reading, tallies))
    }

    /// When the user joined; `None` when they have not.
    async fn joined(&self, room: &Room, user: UserNo) -> Result<Option<i64>, StoreError> {
        let list = self.inner.rooms.user_rooms(user).await?;
        let found = list.binary_search_by_key(&room.number, |entry| entry.room.number).ok().and_then(|at| list.get(at));
        let record = found.map(|entry| entry.record).filter(|record| record.membership == Membership::Join);
        Ok(record.map(|record| i64::try_from(record.position.0).unwrap_or(i64::MAX)))
    }

    /// Where counting begins: what is stored, or nothing from the oldest receipt on.
    async fn begin(&self, reading: Reading<'_>, joined: i64) -> Result<Tallies, StoreError> {
        let store = self.inner.rooms.store();
        let (room, marks) = (reading.room.number, reading.marks);
        if let Some(stored) = store.get(&UNREAD, &(reading.user, room)).await?
            && let Ok(tallies) = serde_json::from_str::<Tallies>(&stored)
            && tallies.joined == joined
        {
            return Ok(tallies);
        }
        let read = marks.everywhere().max(joined);
        let thread = store.prefix(&THREADS, &room, Order::Descending, 1).await?;
        // Without threads since, the receipt of the main timeline is as good as one for everything.
        let active = thread.first().is_some_and(|((_, order), _)| *order > read);
        Ok(Tallies::new(joined, if active { read } else { read.max(marks.in_thread(None)) }))
    }

    /// Counts the events after `from` and up to `to`; only the stale threads among them, if any are named.
    async fn count(
        &self,
        reading: Reading<'_>,
        tallies: &mut Tallies,
        from: i64,
        to: i64,
        stale: Option<&Stale>,
    ) -> Result<(), RoomsError> {
        let events = self.events(reading.room, from, to).await?;
        let mut judge: Option<Judge> = None;
        for (place, (order, number)) in events.into_iter().enumerate() {
            if place % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
            let facts = self.facts(reading.room.number, number).await?;
            let root = facts.root.as_deref();
            tallies.unsaved = tallies.unsaved.saturating_add(1);
            if stale.is_some_and(|stale| !stale.covers(root)) {
                continue;
            }
            if facts.sender == reading.user {
                // A new name or picture changes the user's member events everywhere: that is no sign of reading.
                if &*facts.kind != "m.room.member" {
                    tallies.clear(root);
                }
                continue;
            }
            if order <= reading.marks.in_thread(root) || reading.ignored.contains(&facts.sender) {
                continue;
            }
            let judge = match &judge {
                Some(judge) => judge,
                None => judge.insert(self.judge(reading).await?),
            };
            tallies.add(root, order, judge.outcome(&facts));
        }
        Ok(())
    }

    async fn events(&self, room: &Room, from: i64, to: i64) -> Result<Vec<(i64, EventNo)>, StoreError> {
        if let Some(events) = room.recent(from, to) {
            return Ok(events);
        }
        let (from, before) = ((room.number, from.saturating_add(1)), (room.number, to.saturating_add(1)));
        let rows = self.inner.rooms.store().range(&TIMELINE, &from, &before, Order::Descending, EVENTS_MAX).await?;
        Ok(rows.into_iter().rev().map(|((_, order), event)| (order, event)).collect())
    }

    async fn facts(&self, room: RoomNo, number: EventNo) -> Result<Arc<Facts>, StoreError> {
        if let Some(facts) = self.inner.facts.get(&(room, number)) {
            return Ok(facts);
        }
        let events = self.inner.rooms.events();
        let event = events.require(room, number).await?;
        let facts = Arc::new(Facts::of(events, &event).await?);
        self.inner.facts.insert((room, number), facts.clone());
        Ok(facts)
    }

    /// The user's rules, and what they ask of the room.
    async fn judge(&self, reading: Reading<'_>) -> Result<Judge, RoomsError> {
        let rules = self.rules(reading.user).await?;
        let view = reading.room.view();
        let mut display_name = None;
        if rules.wants_display_name() {
            let kind = StateEventType::RoomMember;
            let member =
                self.inner.rooms.state_event(reading.room.number, view.state, &kind, reading.user_id.as_str()).await?;
            display_name = member.and_then(|member| Member::read(&member.pdu.content).displayname);
        }
        Ok(Judge { rules, view, display_name, room: reading.room.clone() })
    }

    async fn rules(&self, user: UserNo) -> Result<Arc<Rules>, RoomsError> {
        let ruleset = self.inner.push_rules.ruleset(user).await.map_err(from_users)?;
        if let Some((from, rules)) = self.inner.rules.get(&user)
            && Arc::ptr_eq(&from, &ruleset)
        {
            return Ok(rules);
        }
        let rules = Arc::new(Rules::compile(&ruleset));
        self.inner.rules.insert(user, (ruleset, rules.clone()));
        Ok(rules)
    }

    /// Remembers the counts, and stores them now and then. Nobody waits for that: what is lost is counted again.
    fn keep(&self, reading: Reading<'_>, mut tallies: Tallies) -> Counts {
        let key = (reading.user, reading.room.number);
        if tallies.unsaved >= UNSAVED_MAX
            && let Ok(row) = serde_json::to_string(&tallies)
        {
            tallies.unsaved = 0;
            let mut batch = Batch::new();
            batch.put(&UNREAD, &key, &row);
            let store = self.inner.rooms.store().clone();
            tokio::spawn(async move {
                if let Err(error) = store.commit(batch).await {
                    tracing::warn!(%error, "unread counts were not stored");
                }
            });
        }
        let answer = counts(&tallies);
        self.inner.tallies.insert(key, Arc::new(tallies));
        answer
    }
}

/// Decides about events for one user in one room.
struct Judge {
    rules: Arc<Rules>,
    view: Arc<crate::rooms::RoomView>,
    display_name: Option<Box<str>>,
    room: Arc<Room>,
}

impl Judge {
    fn outcome(&self, facts: &Facts) -> Outcome {
        let context = Context {
            room_id: self.room.id.as_str(),
            joined: self.view.joined_count,
            power: &self.view.power,
            display_name: self.display_name.as_deref(),
        };
        self.rules.evaluate(facts, &context)
    }
}

fn counts(tallies: &Tallies) -> Counts {
    let threads = tallies.threads.iter();
    let threads =
        threads.map(|(root, tally)| (root.clone(), u64::from(tally.notified), u64::from(tally.highlighted))).collect();
    Counts { notification: tallies.main.notified.into(), highlight: tallies.main.highlighted.into(), threads }
}

/// A failure to read settings, which can only be the store's here.
pub(in crate::rooms) fn from_users(error: UsersError) -> StoreError {
    match error {
        UsersError::Store(error) => error,
        _ => StoreError::Corrupt { table: "account_data", what: "a user's settings" },
    }
}
