//! History that is fetched after what followed it: the same checks, and a place below what is here.
//!
//! Checks 4 and 5 decide. Checks 6 and 7 are for what claims to be new: history that the room has gone on from is not
//! refused for what the room has become since.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, ServerName, events::TimelineEventType};

use super::{
    ReceiveError, Verified, auth_events, auth_events::Known, house_rules, outliers::in_history_order, state_before,
};
use crate::{
    event::Pdu,
    rooms::{Room, Rooms, Writer},
    store::{Verdict, schema::rooms::GapRecord, state_tree::StateRoot},
};

/// States that are asked for to place one piece of history: mostly it is one, that before its oldest event.
const STATES_MAX: usize = 10;
/// Auth chains that are asked for.
const CHAINS_MAX: usize = 10;

impl Rooms {
    /// Puts a piece of history before the event at `order`, as far as it belongs into the gap there. The answer is
    /// whether the gap has become smaller.
    pub(in crate::rooms) async fn receive_history(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        order: i64,
        events: Vec<Verified>,
    ) -> Result<bool, ReceiveError> {
        let Some(gap) = room.gap_at(order) else { return Ok(true) };
        let events = in_history_order(self.before_gap(room, &gap, events).await?);
        if events.is_empty() {
            // All of it may have come another way meanwhile.
            return self.settle_gap(room, order).await;
        }
        let states = self.states_below(room, server, &events).await?;
        self.bring_auth_events(room, server, &events).await?;
        let mut writer = self.writer(room).await;
        let Some(gap) = room.gap_at(order) else { return Ok(true) };
        let smaller = writer.place_history(order, gap, events, &states).await?;
        if smaller {
            writer.commit_history().await?;
        }
        Ok(smaller)
    }

    /// Closes a gap of which nothing is missing any more, if that is so.
    async fn settle_gap(&self, room: &Arc<Room>, order: i64) -> Result<bool, ReceiveError> {
        let mut writer = self.writer(room).await;
        let Some(gap) = room.gap_at(order) else { return Ok(true) };
        let before = gap.missing.len();
        let missing = writer.still_missing(&gap.missing).await?;
        let smaller = missing.len() < before;
        writer.set_gap(order, GapRecord { missing, ..gap });
        writer.commit_history().await?;
        Ok(smaller)
    }

    /// Those events that the missing ones lead to, and that are not here.
    async fn before_gap(
        &self,
        room: &Room,
        gap: &GapRecord,
        events: Vec<Verified>,
    ) -> Result<Vec<Verified>, ReceiveError> {
        let mut by_id: HashMap<OwnedEventId, Verified> =
            events.into_iter().map(|event| (event.pdu().event_id.clone(), event)).collect();
        let mut next: Vec<OwnedEventId> = gap.missing.iter().filter_map(|id| EventId::parse(id).ok()).collect();
        let mut found = Vec::new();
        while let Some(id) = next.pop() {
            let Some(event) = by_id.remove(&id) else { continue };
            if self.is_received(room, &id).await? {
                continue;
            }
            next.extend(event.pdu().prev_events.iter().cloned());
            found.push(event);
        }
        Ok(found)
    }

    /// The states before those events of which not all predecessors are at hand, as the server has them.
    async fn states_below(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        events: &[Verified],
    ) -> Result<HashMap<OwnedEventId, StateRoot>, ReceiveError> {
        let among: HashSet<&EventId> = events.iter().map(|event| &*event.pdu().event_id).collect();
        let mut states = HashMap::new();
        for event in events {
            let pdu = event.pdu();
            let mut lacks = false;
            for id in &pdu.prev_events {
                let here = self.parts.events.in_room(room.number, id).await?;
                lacks |= !among.contains(&**id) && !here.is_some_and(|event| state_before::has_state(&event));
            }
            if !lacks {
                continue;
            }
            if states.len() >= STATES_MAX {
                return Err(ReceiveError::Answer("too many states are missing"));
            }
            let (state, batch) = self.state_before_from(room, server, &pdu.event_id).await?;
            self.parts.store.commit(batch).await?;
            states.insert(pdu.event_id.clone(), state);
        }
        Ok(states)
    }

    /// Fetches auth events that are neither here nor among the events.
    async fn bring_auth_events(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        events: &[Verified],
    ) -> Result<(), ReceiveError> {
        let among: HashSet<&EventId> = events.iter().map(|event| &*event.pdu().event_id).collect();
        let mut asked = 0;
        for event in events {
            let mut lacks = false;
            for id in auth_events::needed(event.pdu(), &room.rules) {
                lacks |= !among.contains(&*id) && self.parts.events.in_room(room.number, &id).await?.is_none();
            }
            if !lacks || asked >= CHAINS_MAX {
                continue;
            }
            asked += 1;
            let chain = match self.fetch_auth_chain(room, server, &event.pdu().event_id).await {
                Ok(chain) => chain,
                Err(ReceiveError::Store(error)) => return Err(error.into()),
                // The event is found wanting when it is its turn.
                Err(_) => continue,
            };
            let chain = chain.into_iter().filter(|event| !among.contains(&*event.pdu().event_id)).collect();
            self.store_outliers(room, chain).await?;
        }
        Ok(())
    }
}

impl Writer {
    /// Places events, the oldest first, below the event at `order`, and narrows the gap or closes it. The answer is
    /// whether something else is missing now.
    async fn place_history(
        &mut self,
        order: i64,
        gap: GapRecord,
        events: Vec<Verified>,
        states: &HashMap<OwnedEventId, StateRoot>,
    ) -> Result<bool, ReceiveError> {
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        // Those that are refused leave their place empty: places are not scarce.
        let lowest = gap.next.saturating_sub(count);
        if lowest < gap.floor {
            return Err(ReceiveError::Answer("there is no place left for so much history"));
        }
        let mut before: Vec<String> = gap.missing.clone();
        for (place, event) in (lowest.saturating_add(1)..).zip(events) {
            let pdu = event.pdu().clone();
            before.extend(pdu.prev_events.iter().map(ToString::to_string));
            if self.rooms.is_received(&self.room, &pdu.event_id).await? {
                continue;
            }
            let Some(state) = self.state_before_past(&pdu, states).await? else { continue };
            let Some(verdict) = self.verdict_on_past(&pdu, state).await? else { continue };
            if let Verdict::Rejected(reason) = &verdict {
                tracing::info!(room = %self.room.id, event = %pdu.event_id, reason, "an old event does not count");
            }
            self.add_past(event.into_pdu(), place, state, verdict).await?;
        }
        let missing = self.still_missing(&before).await?;
        let changed = missing != gap.missing;
        self.set_gap(order, GapRecord { missing, next: lowest, floor: gap.floor });
        Ok(changed)
    }

    /// The state before an old event; `None` when it cannot be known.
    async fn state_before_past(
        &mut self,
        pdu: &Pdu,
        states: &HashMap<OwnedEventId, StateRoot>,
    ) -> Result<Option<StateRoot>, ReceiveError> {
        if let Some(state) = states.get(&pdu.event_id) {
            return Ok(Some(*state));
        }
        if pdu.kind == TimelineEventType::RoomCreate {
            return Ok(Some(StateRoot::EMPTY));
        }
        let mut after: Vec<StateRoot> = Vec::new();
        for id in &pdu.prev_events {
            let known = self.rooms.parts.events.in_room(self.room.number, id).await?;
            let Some(known) = known.filter(|event| state_before::has_state(event)) else { return Ok(None) };
            if !after.contains(&known.header.state_after) {
                after.push(known.header.state_after);
            }
        }
        Ok(match &*after {
            [] => None,
            [only] => Some(*only),
            several => {
                let resolver = &self.rooms.resolver;
                Some(resolver.resolve(self.room.number, &self.room.rules, several, &mut self.batch).await?)
            }
        })
    }

    /// What is to be thought of an old event; `None` when that cannot be said, because the other server has not given
    /// what it stands on. A verdict is for good, and must not follow from somebody's silence.
    async fn verdict_on_past(&self, pdu: &Pdu, before: StateRoot) -> Result<Option<Verdict>, ReceiveError> {
        let mut known = Known::new();
        if !self.rooms.knows_auth_events(&self.room, pdu, &mut known).await? {
            return Ok(None);
        }
        if let Err(error) = auth_events::check(pdu, &self.room.rules, &known) {
            return Ok(Some(Verdict::Rejected(error.0)));
        }
        if pdu.kind == TimelineEventType::RoomCreate {
            return Ok(Some(Verdict::Accepted));
        }
        if let Some(refusal) = house_rules::refusal_of_past(&self.rooms, &self.room, Some(before), pdu).await? {
            return Ok(Some(Verdict::Rejected(refusal)));
        }
        let state = self.rooms.auth_state_at(&self.room, before, pdu).await?;
        let allowed = state.and_then(|state| state_before::check(pdu, &self.room, &state));
        Ok(Some(allowed.map_or_else(|error| Verdict::Rejected(error.0), |()| Verdict::Accepted)))
    }

    /// Those of some events that are not part of the history here, each once.
    async fn still_missing(&self, ids: &[String]) -> Result<Vec<String>, ReceiveError> {
        let mut missing: Vec<String> = Vec::new();
        for id in ids {
            let Ok(event) = EventId::parse(id) else { continue };
            if !missing.contains(id) && !self.rooms.is_received(&self.room, &event).await? {
                missing.push(id.clone());
            }
        }
        Ok(missing)
    }
}
