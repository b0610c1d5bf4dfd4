//! Checks 4 to 7, and an event's place in its room.
//!
//! Events whose predecessors and auth events are all here go through without a question to anybody, many under one lock
//! and in one commit. Those that lack something come back as [`ReceiveError::Incomplete`] and take the longer way
//! (`gaps`), which is for the caller to start where it delays nobody else.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId};

use super::{
    Refusal, Verified,
    auth_events::{self, Known},
    current_state, house_rules, state_before,
};
use crate::{
    event::Pdu,
    remote::RemoteError,
    rooms::{Room, Rooms, RoomsError, Writer, append::Arrival},
    store::{Batch, Event, StoreError, Verdict, state_tree::StateRoot},
};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was here before.
    Known,
    /// It counts.
    Accepted,
    /// The room's current state does not allow it, or its policy server.
    SoftFailed(String),
    /// It is not allowed.
    Rejected(String),
}

/// Why an event was not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another server did not answer, or not usefully.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What another server answered does not pass the first checks.
    #[error("an answer holds what is {0}")]
    Refused(Refusal),
    /// What another server answered does not answer the question.
    #[error("an answer of no use: {0}")]
    Answer(&'static str),
    /// Its predecessors, its auth events or the word of the room's policy server are not here.
    #[error("what it needs is not here")]
    Incomplete,
    /// Nobody here is in the room.
    #[error("nobody of this server is in the room")]
    NotInRoom,
    /// It cannot be added.
    #[error(transparent)]
    Rooms(#[from] RoomsError),
}

/// What an event stands on.
pub(super) struct Footing {
    /// Its auth events.
    pub(super) known: Known,
    /// The states after its predecessors, each once.
    pub(super) states: Vec<StateRoot>,
    /// Predecessors that are not part of the history here.
    pub(super) missing: Vec<OwnedEventId>,
}

impl Rooms {
    /// Receives events of a room, which stand in the order of its history, as far as nothing has to be asked of others.
    /// The answers stand in the order of the events.
    pub async fn receive_ready(
        &self,
        room: &Arc<Room>,
        events: Vec<Verified>,
    ) -> Result<Vec<Result<Outcome, ReceiveError>>, StoreError> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut writer: Option<Writer> = None;
        for event in events {
            if self.is_received(room, &event.pdu().event_id).await? {
                outcomes.push(Ok(Outcome::Known));
                continue;
            }
            let Some(footing) = self.footing(room, event.pdu()).await? else {
                outcomes.push(Err(ReceiveError::Incomplete));
                continue;
            };
            if self.waits_for_policy_server(room, event.pdu()).await? {
                outcomes.push(Err(ReceiveError::Incomplete));
                continue;
            }
            let aimed_at = self.writes.aims.are_at(room.number, &event.pdu().event_id);
            if writer.as_ref().is_some_and(|writer| aimed_at || writer.has_target_of(event.pdu()))
                && let Some(writer) = writer.take()
            {
                writer.commit().await?;
            }
            let mut held = match writer.take() {
                Some(writer) => writer,
                None => self.warmed_writer(room, &footing).await?,
            };
            let outcome = held.receive(event, footing, None).await;
            writer = Some(held);
            outcomes.push(match outcome {
                Err(ReceiveError::Store(error)) => return Err(error),
                other => other,
            });
        }
        if let Some(writer) = writer {
            writer.commit().await?;
        }
        Ok(outcomes)
    }

    /// Receives one event with all that it stands on.
    pub(super) async fn receive_on(
        &self,
        room: &Arc<Room>,
        event: Verified,
        footing: Footing,
    ) -> Result<Outcome, ReceiveError> {
        let refusal = self.policy_server_refusal(room, event.pdu()).await?;
        let mut writer = self.warmed_writer(room, &footing).await?;
        let outcome = writer.receive(event, footing, refusal).await?;
        writer.commit().await?;
        Ok(outcome)
    }

    /// Whether an event is here, other than as a part of some state.
    pub(super) async fn is_received(&self, room: &Room, id: &EventId) -> Result<bool, StoreError> {
        let known = self.parts.events.in_room(room.number, id).await?;
        Ok(known.is_some_and(|event| match event.header.verdict {
            Verdict::Outlier => false,
            // Refused by its auth events as a part of some state: nothing can change that.
            Verdict::Rejected(_) | Verdict::Accepted | Verdict::SoftFailed(_) => true,
        }))
    }

    /// What an event stands on; `None` when something of it is not here.
    pub(super) async fn footing(&self, room: &Room, pdu: &Pdu) -> Result<Option<Footing>, StoreError> {
        let mut known = Known::new();
        if !self.knows_auth_events(room, pdu, &mut known).await? {
            return Ok(None);
        }
        let mut states = Vec::new();
        for id in &pdu.prev_events {
            match self.parts.events.in_room(room.number, id).await?.filter(|event| state_before::has_state(event)) {
                Some(event) if states.contains(&event.header.state_after) => {}
                Some(event) => states.push(event.header.state_after),
                None => return Ok(None),
            }
        }
        // Only the create event has no predecessors, and it is here.
        Ok((!states.is_empty()).then_some(Footing { known, states, missing: Vec::new() }))
    }

    /// A writer of the room. Where states have to be resolved, that is done before the room's lock is taken: the answer
    /// is remembered.
    async fn warmed_writer(&self, room: &Arc<Room>, footing: &Footing) -> Result<Writer, StoreError> {
        if footing.states.len() > 1 {
            self.resolver.resolve(room.number, &room.rules, &footing.states, &mut Batch::new()).await?;
        }
        Ok(self.writer(room).await)
    }
}

impl Writer {
    /// Puts an event through checks 4 to 7 and adds it as what it was found to be.
    async fn receive(
        &mut self,
        event: Verified,
        footing: Footing,
        policy_refusal: Option<String>,
    ) -> Result<Outcome, ReceiveError> {
        let (rooms, room, pdu) = (self.rooms.clone(), self.room.clone(), event.pdu().clone());
        if rooms.is_received(&room, &pdu.event_id).await? {
            return Ok(Outcome::Known);
        }
        // What it stands on may have been another writer's, who has given it up since.
        let footing = if footing.missing.is_empty() {
            rooms.footing(&room, &pdu).await?.ok_or(ReceiveError::Incomplete)?
        } else {
            footing
        };
        if self.view.joined.is_empty() {
            return Err(ReceiveError::NotInRoom);
        }
        let before = match &*footing.states {
            [only] => *only,
            states => rooms.resolver.resolve(room.number, &room.rules, states, &mut self.batch).await?,
        };
        let before = if self.view.partial { self.with_claimed_members(before, &pdu).await? } else { before };
        let verdict = self.verdict(&pdu, before, &footing.known, policy_refusal).await?;
        let outcome = match &verdict {
            Verdict::SoftFailed(reason) => Outcome::SoftFailed(reason.clone()),
            Verdict::Rejected(reason) => Outcome::Rejected(reason.clone()),
            Verdict::Accepted | Verdict::Outlier => Outcome::Accepted,
        };
        if outcome != Outcome::Accepted {
            tracing::info!(room = %room.id, event = %pdu.event_id, ?outcome, "an event does not count");
        }
        // An event of this server's own that comes from another one is told of by that.
        let arrival = Arrival { verdict, missing: footing.missing, delivered: true, ..Arrival::accepted(before) };
        self.arrive(event.into_pdu(), arrival).await?;
        Ok(outcome)
    }

    /// Whether an event, received before, passes the checks with this state before it.
    pub(in crate::rooms) async fn would_count(&self, pdu: &Pdu, before: StateRoot) -> Result<bool, StoreError> {
        let mut known = Known::new();
        if !self.rooms.knows_auth_events(&*self.room, pdu, &mut known).await? {
            return Ok(false);
        }
        Ok(!matches!(self.verdict(pdu, before, &known, None).await?, Verdict::Rejected(_)))
    }

    async fn verdict(
        &self,
        pdu: &Pdu,
        before: StateRoot,
        known: &Known,
        policy_refusal: Option<String>,
    ) -> Result<Verdict, StoreError> {
        if let Err(error) = auth_events::check(pdu, &self.room.rules, known) {
            return Ok(Verdict::Rejected(error.0));
        }
        let state = self.rooms.auth_state_at(&self.room, before, pdu).await?;
        if let Err(error) = state.and_then(|state| state_before::check(pdu, &self.room, &state)) {
            return Ok(Verdict::Rejected(error.0));
        }
        if let Some(refusal) = house_rules::refusal(self, pdu).await? {
            return Ok(Verdict::Rejected(refusal));
        }
        if let Err(error) = current_state::check(self, pdu, before).await? {
            return Ok(Verdict::SoftFailed(error.0));
        }
        Ok(policy_refusal.map_or(Verdict::Accepted, Verdict::SoftFailed))
    }

    /// Whether an event redacts one that this writer has added: that one's row has to be there first.
    fn has_target_of(&self, pdu: &Pdu) -> bool {
        let target = pdu.redaction_target(&self.room.rules.redaction);
        target.is_some_and(|target| self.added.iter().any(|event: &Arc<Event>| event.pdu.event_id == target))
    }
}
