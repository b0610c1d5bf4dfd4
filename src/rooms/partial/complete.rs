//! What becomes of a room that was joined without its members when they are there.
//!
//! Who leaves before that and comes back has stayed there several times, and the states of each stay lack members: it is
//! begun at the oldest of them. Every state since a join lacked members, and may hold some that an event only claimed. So
//! each event's states are made anew, in the order of the timeline, from the whole state before the join; an event that
//! they do not allow changes nothing any more, and one that was refused by mistake counts for what stands on it. Rows of
//! members say then what they would say had the whole state come with the join.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::servers::stand_at;
use crate::{
    rooms::{Extremity, RoomsError, Writer, append::move_ends, effects::OrderedRow},
    store::{
        Batch, Event, EventNo, Order, StoreError, UserNo,
        events::StatesAt,
        schema::rooms::{HEADS, HeadRecord, PARTIAL, PartialRecord, STANDS, STAYS, StandRecord, TIMELINE},
        state_tree::{StateChange, StateRoot},
    },
    users::mark_met,
};

/// Events of the timeline that are read at once.
const PAGE: usize = 500;

/// A time from this server's join on, whose states lack members.
pub(super) struct Stay {
    pub(super) join: Arc<Event>,
    /// Its newest event, if it is over.
    pub(super) last: Option<Arc<Event>>,
    /// The state before the join, with all members.
    pub(super) whole: StateRoot,
}

/// The states made anew so far.
#[derive(Default)]
struct Course {
    /// The state before the join.
    whole: StateRoot,
    /// After each event since the first.
    after: HashMap<EventNo, StateRoot>,
    /// Events that were rejected by states with members that were only claimed, and that the true ones allow.
    acquitted: Vec<EventNo>,
    /// Where the room stood.
    ends: Vec<Extremity>,
    state: StateRoot,
}

impl Writer {
    /// Brings in the members of a room that was joined without them: of these stays, the oldest first. If the last one goes
    /// on, `record` says so, and the room is whole afterwards.
    ///
    /// `false` means that the room is as it was, but for events that were rejected wrongly, and the same is to be done once
    /// more. They are acquitted, if the caller `acquits`, in a commit of their own: who resolves states looks at what is
    /// stored of an event.
    pub(super) async fn complete(
        &mut self,
        record: &PartialRecord,
        stays: &[Stay],
        acquits: bool,
    ) -> Result<bool, RoomsError> {
        let mut course = Course::default();
        for stay in stays {
            course = Course { whole: stay.whole, ends: Vec::new(), state: StateRoot::EMPTY, ..course };
            self.go_through(stay, &mut course).await?;
        }
        if acquits && !course.acquitted.is_empty() {
            self.acquit(&course.acquitted).await?;
            return Ok(false);
        }
        for stay in stays {
            if stay.last.is_some() {
                self.batch.delete(&STAYS, &(self.room.number, stay.join.number));
                continue;
            }
            let changes = self.stand_anew(&mut course).await?;
            let told: HashSet<_> = self.view.servers.iter().map(|(server, _)| *server).collect();
            self.take_effect(changes, &stay.join).await?;
            if self.view.servers.iter().any(|(server, _)| !told.contains(server)) {
                self.introduce_members();
            }
            self.end_partial(record).await?;
        }
        Ok(true)
    }

    /// Judges all events of a stay anew.
    async fn go_through(&mut self, stay: &Stay, course: &mut Course) -> Result<(), RoomsError> {
        let (room, store) = (self.room.number, self.rooms.store().clone());
        let end = stay.last.as_ref().map_or(i64::MAX, |last| last.order.saturating_add(1));
        let mut from = stay.join.order;
        while from < end {
            let page = store.range(&TIMELINE, &(room, from), &(room, end), Order::Ascending, PAGE).await?;
            let Some(((_, read), _)) = page.last() else { break };
            from = read.saturating_add(1);
            for (_, number) in page {
                let event = self.rooms.parts.events.require(room, number).await?;
                self.judge_in_turn(event, &stay.join, course).await?;
            }
        }
        self.judge_refused(stay, course).await
    }

    /// Events count for those that stand on them, as if they had come too late to be shown.
    async fn acquit(&self, events: &[EventNo]) -> Result<(), StoreError> {
        let parts = &self.rooms.parts;
        let mut batch = Batch::new();
        for number in events {
            let event = parts.events.require(self.room.number, *number).await?;
            tracing::info!(room = %self.room.id, event = %event.pdu.event_id, "it was refused, and the members allow it");
            parts.events.acquit(&event, &mut batch);
        }
        parts.store.commit(batch).await?;
        Ok(())
    }

    /// Servers that nobody knew to be in the room have not been told what has changed of the devices of those who joined.
    fn introduce_members(&mut self) {
        for user in &*self.view.joined {
            mark_met(&mut self.batch, UserNo(*user), &self.rooms.parts.notifier);
        }
    }

    /// Judges an event anew, and before it those that it stands on though they do not count: their states lack members
    /// too, and may hold what they only claimed.
    async fn judge_in_turn(&mut self, event: Arc<Event>, join: &Event, course: &mut Course) -> Result<(), RoomsError> {
        let (mut open, mut seen) = (vec![event], HashSet::new());
        while let Some(event) = open.last().cloned() {
            // Each is looked at twice: before what it stands on, and after.
            if seen.insert(event.number) && event.number != join.number {
                for id in &event.pdu.prev_events {
                    let known = self.rooms.parts.events.in_room(self.room.number, id).await?;
                    let since = known.filter(|prev| is_refused(prev) && prev.number > join.number);
                    open.extend(since.filter(|prev| !course.after.contains_key(&prev.number)));
                }
                continue;
            }
            open.pop();
            if !course.after.contains_key(&event.number) {
                self.judge_anew(&event, join, course).await?;
            }
        }
        Ok(())
    }

    /// Judges those anew that do not count and on which nothing stands: something may later.
    async fn judge_refused(&mut self, stay: &Stay, course: &mut Course) -> Result<(), RoomsError> {
        let events = self.rooms.parts.events.clone();
        let last = stay.last.as_ref().map_or(EventNo(u64::MAX), |last| last.number);
        let mut next = stay.join.number.0.checked_add(1).map(EventNo);
        while let Some(from) = next.filter(|from| *from <= last) {
            let (refused, more) = events.refused_from(self.room.number, from, PAGE).await?;
            for number in refused {
                if number > last || course.after.contains_key(&number) {
                    continue;
                }
                let event = events.require(self.room.number, number).await?;
                if is_refused(&event) {
                    self.judge_in_turn(event, &stay.join, course).await?;
                }
            }
            next = more;
        }
        Ok(())
    }

    /// The states at an event, and where the room stood when it came.
    async fn judge_anew(&mut self, event: &Event, join: &Event, course: &mut Course) -> Result<(), RoomsError> {
        let parts = self.rooms.parts.clone();
        let before = if event.number == join.number { course.whole } else { self.before_anew(event, course).await? };
        if event.pdu.rejected && self.would_count(&event.pdu, before).await? {
            course.acquitted.push(event.number);
        }
        let (mut after, mut replaces) = (before, None);
        if let Some((kind, key)) = event.pdu.state_pair().filter(|_| !event.pdu.rejected) {
            let pair = parts.store.mint_state_key(&kind, key, &mut self.batch).await?;
            replaces = parts.tree.get(before, pair).await?;
            if self.rooms.is_allowed_at(&self.room, before, &event.pdu).await? {
                after = parts.tree.apply(before, &[(pair, Some(event.number))], &mut self.batch).await?;
            } else {
                tracing::info!(room = %self.room.id, event = %event.pdu.event_id, "taken back: members do not allow it");
            }
        }
        course.after.insert(event.number, after);
        parts.events.restate(event, StatesAt { before, after, replaces }, &mut self.batch);
        if is_refused(event) {
            return Ok(());
        }
        self.stand_then(event, after, before, course).await
    }

    /// The state that an event's predecessors come to.
    async fn before_anew(&mut self, event: &Event, course: &Course) -> Result<StateRoot, RoomsError> {
        let mut states = Vec::new();
        for id in &event.pdu.prev_events {
            let Some(prev) = self.rooms.parts.events.in_room(self.room.number, id).await? else { continue };
            let state = match course.after.get(&prev.number) {
                Some(state) => *state,
                // It is from before the join: nothing was made anew of it.
                None => self.filled_up(prev.header.state_after, course.whole).await?,
            };
            if !state.is_empty() && !states.contains(&state) {
                states.push(state);
            }
        }
        if states.is_empty() {
            return Ok(self.filled_up(event.header.state_before, course.whole).await?);
        }
        self.come_to(&states).await
    }

    async fn come_to(&mut self, states: &[StateRoot]) -> Result<StateRoot, RoomsError> {
        match states {
            [only] => Ok(*only),
            several => {
                let resolver = &self.rooms.resolver;
                Ok(resolver.resolve(self.room.number, &self.room.rules, several, &mut self.batch).await?)
            }
        }
    }

    /// A state with what it lacks of another.
    async fn filled_up(&mut self, state: StateRoot, whole: StateRoot) -> Result<StateRoot, StoreError> {
        if state.is_empty() {
            return Ok(state);
        }
        let tree = &self.rooms.parts.tree;
        let differences = tree.diff(state, whole).await?;
        let lacking: Vec<_> =
            differences.iter().filter(|change| change.old.is_none()).map(|c| (c.key, c.new)).collect();
        tree.apply(state, &lacking, &mut self.batch).await
    }

    /// What readers who follow the timeline hold before and after an event.
    async fn stand_then(
        &mut self,
        event: &Event,
        after: StateRoot,
        before: StateRoot,
        course: &mut Course,
    ) -> Result<(), RoomsError> {
        let first = course.ends.is_empty();
        let stood = course.state;
        if first || self.room.gap_for(&event.pdu.event_id).is_none() {
            let end = Extremity { state: after, ..Extremity::of(event) };
            let states = move_ends(&mut course.ends, &event.pdu, end, stood);
            course.state = self.come_to(&states).await?;
        }
        let key = (self.room.number, event.order);
        let stand = StandRecord { before: stood, after: course.state };
        if first || (stand.before == before && stand.after == after) {
            self.batch.delete(&STANDS, &key);
        } else {
            self.room.note_detour();
            self.batch.put(&STANDS, &key, &stand);
        }
        Ok(())
    }

    /// Where the room stands now: at the ends it had, with their states as they are known now.
    async fn stand_anew(&mut self, course: &mut Course) -> Result<Vec<StateChange>, RoomsError> {
        let mut states = Vec::new();
        let mut ends = std::mem::take(&mut self.view.extremities);
        for end in &mut ends {
            end.state = match course.after.get(&end.number) {
                Some(state) => *state,
                None => self.filled_up(end.state, course.whole).await?,
            };
            if !states.contains(&end.state) {
                states.push(end.state);
            }
        }
        self.view.extremities = ends;
        let old = self.view.state;
        // Where the ends are as they came to be one by one, so is the state.
        let same = course.ends.iter().map(|end| end.number).eq(self.view.extremities.iter().map(|end| end.number));
        self.view.state = if same { course.state } else { self.come_to(&states).await? };
        if self.view.forked {
            let extremities = self.view.extremities.iter().map(|end| end.number).collect();
            self.batch.put(&HEADS, &self.room.number, &HeadRecord { extremities, state: self.view.state });
        }
        Ok(self.rooms.parts.tree.diff(old, self.view.state).await?)
    }

    /// The changes of the room's state take effect as of the event that made them, or as of the join.
    async fn take_effect(&mut self, changes: Vec<StateChange>, join: &Event) -> Result<(), RoomsError> {
        let parts = self.rooms.parts.clone();
        let mut rows: Vec<(i64, OrderedRow)> = Vec::with_capacity(changes.len());
        for change in &changes {
            let row = self.effects.state(&parts, &self.room, &mut self.view, change, &mut self.batch).await?;
            let Some(row) = row else { continue };
            let order = match change.new {
                Some(number) => parts.events.require(self.room.number, number).await?.order,
                None => Event::UNPLACED,
            };
            let order = if order == Event::UNPLACED { join.order } else { order };
            rows.push((order, row));
        }
        self.batch.rows_later(move |made| {
            for (order, row) in rows {
                row(order, made);
            }
        });
        Ok(())
    }

    /// The room is no longer one of which members are missing.
    async fn end_partial(&mut self, record: &PartialRecord) -> Result<(), StoreError> {
        let servers: Vec<_> = record.server_names().collect();
        let rows = self.release_servers(servers.iter().map(AsRef::as_ref)).await?;
        self.view.partial = false;
        let (room, event) = (self.room.clone(), record.event);
        let number = room.number;
        self.batch.at_position(move |at, made| {
            stand_at(at, rows, made);
            let record = PartialRecord { event, servers: Vec::new(), whole_since: Some(at) };
            made.put(&PARTIAL, &number, &record);
        });
        self.batch.on_publish(move |at| room.set_whole_since(at));
        Ok(())
    }
}

/// Whether an event was found not to count, and has states all the same.
fn is_refused(event: &Event) -> bool {
    event.header.verdict.is_refusal() && !event.header.state_after.is_empty()
}
