//! What is missing before an event, asked of other servers: first the events in between, then the state.
//!
//! A gap that can be filled is filled, in order, so that nothing is lost of what was said meanwhile. One that is too
//! wide, or whose events nobody gives, is bridged: the state at its far end is fetched, the event takes its place, and
//! the history in between is fetched when somebody looks for it (`GAPS`).

use std::{collections::HashSet, sync::Arc, time::Duration};

use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};

use super::{
    Outcome, ReceiveError, Verified,
    auth_events::Known,
    house_rules,
    outliers::{Outliers, in_history_order},
    pipeline::Footing,
    state_before,
};
use crate::{
    event::Pdu,
    rooms::{Room, Rooms},
    store::{Batch, EventNo, StateKeyNo, StoreError, Verdict, state_tree::StateRoot},
};

/// Questions about missing events for one event.
const ROUNDS_MAX: usize = 10;
/// An answer of fewer events is all that the other server has, or gives: it is not asked for those before.
const MORE_FROM: usize = 10;
/// Events that are fetched to fill one gap.
const FILL_MAX: usize = 1_000;
/// States that are fetched for one event and those fetched with it.
const STATES_MAX: usize = 10;
/// Servers that are asked.
const SERVERS_MAX: usize = 4;
/// How long all of that may take.
const TIME_MAX: Duration = Duration::from_mins(3);

impl Rooms {
    /// Receives an event that lacks what came before it, asking other servers, `origin` first if that is for it to say.
    pub async fn receive_fetching(
        &self,
        room: &Arc<Room>,
        origin: &ServerName,
        event: Verified,
    ) -> Result<Outcome, ReceiveError> {
        let receiving = async {
            let pdu = event.pdu().clone();
            let servers = self.servers_to_ask(room, origin, &pdu).await?;
            let first = first_to_ask(&servers, origin, &pdu);
            let (filled, failure) = self.missing_events(room, first, event.pdu()).await?;
            let mut states = STATES_MAX;
            for earlier in filled {
                let id = earlier.pdu().event_id.clone();
                if let Err(error) = self.receive_bridging(room, first, earlier, &mut states).await {
                    tracing::info!(room = %room.id, event = %id, %error, "a missing event was not received");
                }
            }
            // Who sends an event has to be able to say what came right before it.
            if !self.without_state(room, &event.pdu().prev_events).await?.is_empty() {
                return Err(failure.unwrap_or(ReceiveError::Answer("its predecessors cannot be had")));
            }
            self.receive_bridging(room, first, event, &mut states).await
        };
        let received = self.parts.clock.timeout(TIME_MAX, Box::pin(receiving)).await;
        received.unwrap_or(Err(ReceiveError::Answer("it took too long")))
    }

    /// Events between those that are known and this one, in the order of the history; and why there are no more, where
    /// the other server has not answered.
    async fn missing_events(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        pdu: &Pdu,
    ) -> Result<(Vec<Verified>, Option<ReceiveError>), StoreError> {
        let mut failure = None;
        let mut found: Vec<Verified> = Vec::new();
        let mut ids: HashSet<OwnedEventId> = HashSet::new();
        let mut latest = vec![pdu.event_id.clone()];
        let mut lacking = self.without_state(room, &pdu.prev_events).await?;
        for _ in 0..ROUNDS_MAX {
            if lacking.is_empty() || found.len() >= FILL_MAX {
                break;
            }
            let earliest = room.view().extremities.iter().map(|end| end.id.clone()).collect();
            let answer = match self.fetch_missing(room, server, earliest, latest).await {
                Ok(answer) => answer,
                Err(ReceiveError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::debug!(room = %room.id, %server, %error, "missing events cannot be had");
                    failure = Some(error);
                    break;
                }
            };
            let (mut new, whole) = (Vec::new(), answer.len() < MORE_FROM);
            for event in answer {
                let id = &event.pdu().event_id;
                if !ids.contains(id) && !self.is_received(room, id).await? {
                    ids.insert(id.clone());
                    new.push(event);
                }
            }
            if new.is_empty() {
                break;
            }
            found.extend(new);
            if whole {
                break;
            }
            (latest, lacking) = self.frontier(room, &found, &ids).await?;
        }
        Ok((in_history_order(found), failure))
    }

    /// Of fetched events those that have predecessors which are still missing, and these.
    async fn frontier(
        &self,
        room: &Room,
        found: &[Verified],
        ids: &HashSet<OwnedEventId>,
    ) -> Result<(Vec<OwnedEventId>, Vec<OwnedEventId>), StoreError> {
        let (mut latest, mut lacking) = (Vec::new(), Vec::new());
        for event in found {
            let outside: Vec<_> = event.pdu().prev_events.iter().filter(|id| !ids.contains(*id)).cloned().collect();
            let outside = self.without_state(room, &outside).await?;
            if !outside.is_empty() {
                latest.push(event.pdu().event_id.clone());
                lacking.extend(outside);
            }
        }
        latest.truncate(20);
        Ok((latest, lacking))
    }

    /// Those events at which the room's state is not known.
    async fn without_state(&self, room: &Room, ids: &[OwnedEventId]) -> Result<Vec<OwnedEventId>, StoreError> {
        let mut without = Vec::new();
        for id in ids {
            let known = self.parts.events.in_room(room.number, id).await?;
            if !known.is_some_and(|event| state_before::has_state(&event)) {
                without.push(id.clone());
            }
        }
        Ok(without)
    }

    /// Receives an event; the states after predecessors that are not here are fetched, at most `states` of them.
    async fn receive_bridging(
        &self,
        room: &Arc<Room>,
        origin: &ServerName,
        event: Verified,
        states: &mut usize,
    ) -> Result<Outcome, ReceiveError> {
        if self.is_received(room, &event.pdu().event_id).await? {
            return Ok(Outcome::Known);
        }
        let servers = self.servers_to_ask(room, origin, event.pdu()).await?;
        if !self.without_state(room, &event.pdu().prev_events).await?.is_empty() {
            // A state that is fetched lacks nothing, so those that are here must not either.
            self.until_whole(room).await;
        }
        let mut footing = Footing { known: Known::new(), states: Vec::new(), missing: Vec::new() };
        for id in &event.pdu().prev_events {
            let here = self.parts.events.in_room(room.number, id).await?;
            let state = if let Some(event) = here.filter(|event| state_before::has_state(event)) {
                event.header.state_after
            } else {
                *states = states.checked_sub(1).ok_or(ReceiveError::Answer("too many states are missing"))?;
                footing.missing.push(id.clone());
                self.state_from_others(room, &servers, id).await?
            };
            if !footing.states.contains(&state) {
                footing.states.push(state);
            }
        }
        if footing.states.is_empty() {
            return Err(ReceiveError::Answer("an event without predecessors"));
        }
        // Last: states that were fetched bring most of the auth events with them.
        footing.known = self.with_auth_events(room, &servers, event.pdu()).await?;
        self.receive_on(room, event, footing).await
    }

    /// Whom to ask: who brought the event, whose it is, and some of those in the room. Who is not in the room, as far as
    /// is known here, is asked last, and only about events of its own: it could make up what it likes to have been there.
    async fn servers_to_ask(
        &self,
        room: &Room,
        origin: &ServerName,
        pdu: &Pdu,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let (view, own) = (room.view(), pdu.sender.server_name());
        let (mut servers, mut strange) = (Vec::with_capacity(SERVERS_MAX), None);
        for server in [origin, own].into_iter().filter(|server| *server != self.parts.server_name) {
            let number = self.parts.store.server(server).await?;
            if number.is_some_and(|number| view.has_server(number)) {
                servers.push(server.to_owned());
            } else if server == own {
                strange = Some(server.to_owned());
            }
        }
        servers.dedup();
        let most = SERVERS_MAX - usize::from(strange.is_some());
        for (number, _) in view.servers.iter().take(2 * SERVERS_MAX) {
            let server = self.parts.store.server_name(*number).await?;
            if servers.len() < most && !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers.extend(strange);
        Ok(servers)
    }

    /// The auth events of an event, fetched if they are not here.
    async fn with_auth_events(
        &self,
        room: &Arc<Room>,
        servers: &[OwnedServerName],
        pdu: &Pdu,
    ) -> Result<Known, ReceiveError> {
        let mut known = Known::new();
        if self.knows_auth_events(&**room, pdu, &mut known).await? {
            return Ok(known);
        }
        for server in servers {
            match self.fetch_auth_chain(room, server, &pdu.event_id).await {
                Ok(chain) => drop(self.store_outliers(room, chain).await?),
                Err(ReceiveError::Store(error)) => return Err(error.into()),
                Err(error) => tracing::debug!(room = %room.id, %server, %error, "an auth chain cannot be had"),
            }
            if self.knows_auth_events(&**room, pdu, &mut known).await? {
                return Ok(known);
            }
            // It has the event from another server perhaps, and nothing on its chain.
            let events = self.fetch_events(room, server, pdu.auth_events.clone(), None).await.unwrap_or_default();
            self.store_outliers(room, events).await?;
            if self.knows_auth_events(&**room, pdu, &mut known).await? {
                return Ok(known);
            }
        }
        Err(ReceiveError::Answer("its auth events cannot be had"))
    }

    /// The state after an event that is not here, from the first server that gives it.
    async fn state_from_others(
        &self,
        room: &Arc<Room>,
        servers: &[OwnedServerName],
        event: &EventId,
    ) -> Result<StateRoot, ReceiveError> {
        let mut failure = ReceiveError::Answer("there is nobody to ask");
        for server in servers {
            match self.state_after_from(room, server, event).await {
                Ok(state) => return Ok(state),
                Err(ReceiveError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(room = %room.id, %server, %event, %error, "a state cannot be had");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// The state after an event as another server has it. All of its events are here then, as outliers if not more.
    pub(in crate::rooms) async fn state_after_from(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        event: &EventId,
    ) -> Result<StateRoot, ReceiveError> {
        let (before, mut batch) = self.state_before_from(room, server, event).await?;
        let here = self.parts.events.in_room(room.number, event).await?;
        let mut added = Outliers::default();
        let pdu = if let Some(here) = &here {
            here.pdu.clone()
        } else {
            let fetched = self.fetch_event(room, server, event).await?;
            let pdu = fetched.pdu().clone();
            added = self.store_outliers(room, vec![fetched]).await?;
            pdu
        };
        let number = here.filter(|here| !here.pdu.rejected).map(|here| here.number);
        let number = number.or_else(|| added.numbers.get(event).copied());
        let after = match (pdu.state_pair(), number) {
            (Some((kind, key)), Some(number)) => {
                let pair = self.parts.store.mint_state_key(&kind, key, &mut batch).await?;
                self.parts.tree.apply(before, &[(pair, Some(number))], &mut batch).await?
            }
            _ => before,
        };
        self.parts.store.commit(batch).await?;
        Ok(after)
    }

    /// The state before an event as another server has it, and the batch that makes it stored here. Its events are
    /// stored already.
    pub(in crate::rooms) async fn state_before_from(
        &self,
        room: &Arc<Room>,
        server: &ServerName,
        event: &EventId,
    ) -> Result<(StateRoot, Batch), ReceiveError> {
        let ids = self.fetch_state_ids(room, server, event).await?;
        let mut unknown = Vec::new();
        for id in ids.state.iter().chain(&ids.auth_chain) {
            if self.parts.events.number_of(id).await?.is_none() {
                unknown.push(id.clone());
            }
        }
        let fetched =
            if unknown.is_empty() { Vec::new() } else { self.fetch_events(room, server, unknown, Some(event)).await? };
        let added = self.store_outliers(room, fetched).await?;
        let mut batch = Batch::new();
        let mut entries: Vec<(StateKeyNo, Option<EventNo>)> = Vec::with_capacity(ids.state.len());
        for id in &ids.state {
            let number = match added.numbers.get(id) {
                Some(number) => Some(*number),
                None => self.parts.events.number_of(id).await?.filter(|(of, _)| *of == room.number).map(|(_, no)| no),
            };
            let Some(number) = number else { continue };
            let found = self.parts.events.require(room.number, number).await?;
            // One that came with the answer to a join was not held against the rules of the house.
            let unasked = found.header.verdict == Verdict::Outlier;
            if unasked && house_rules::refusal_of_past(self, room, None, &found.pdu).await?.is_some() {
                continue;
            }
            if let Some((kind, key)) = found.pdu.state_pair().filter(|_| !found.pdu.rejected) {
                entries.push((self.parts.store.mint_state_key(&kind, key, &mut batch).await?, Some(number)));
            }
        }
        let create = room.view().create.number;
        if !entries.iter().any(|(_, number)| *number == Some(create)) {
            return Err(ReceiveError::Answer("a state without the room's create event"));
        }
        let state = self.parts.tree.apply(StateRoot::EMPTY, &entries, &mut batch).await?;
        Ok((state, batch))
    }
}

/// Whom to ask what came right before an event: who brought it, or whose it is, even a newcomer, for each of those events
/// is looked at by itself.
fn first_to_ask<'a>(servers: &'a [OwnedServerName], origin: &'a ServerName, pdu: &'a Pdu) -> &'a ServerName {
    let mut named = [origin, pdu.sender.server_name()].into_iter();
    let known = named.find(|server| servers.iter().any(|asked| asked == *server));
    known.or(servers.first().map(|server| &**server)).unwrap_or(origin)
}
