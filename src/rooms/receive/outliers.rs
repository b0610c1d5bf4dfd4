//! Events of auth chains and of states that were fetched: checked against their own auth events and stored, without a
//! place in the room's history.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, RoomId, room_version_rules::RoomVersionRules};

use super::{
    Verified,
    auth_events::{self, Known},
    house_rules,
};
use crate::{
    event::Pdu,
    rooms::{Room, Rooms, append::auth_row},
    store::{Batch, Event, EventNo, RoomNo, StoreError, Verdict, events::Header, state_tree::StateRoot},
};

/// A room as far as its events can be checked, before it is there.
#[derive(Clone, Copy)]
pub(in crate::rooms) struct Ground<'a> {
    pub(in crate::rooms) id: &'a RoomId,
    pub(in crate::rooms) number: RoomNo,
    pub(in crate::rooms) rules: &'a RoomVersionRules,
}

impl<'a> From<&'a Room> for Ground<'a> {
    fn from(room: &'a Room) -> Self {
        Self { id: &room.id, number: room.number, rules: &room.rules }
    }
}

impl<'a> From<&'a Arc<Room>> for Ground<'a> {
    fn from(room: &'a Arc<Room>) -> Self {
        Self::from(&**room)
    }
}

/// Outliers that were added to a batch, and those known before.
#[derive(Default)]
pub(in crate::rooms) struct Outliers {
    /// Numbers by id of all that are not rejected.
    pub(in crate::rooms) numbers: HashMap<OwnedEventId, EventNo>,
    known: Known,
}

impl Rooms {
    /// Adds events to a batch, those first that others name as their auth events. One whose auth events are not all
    /// known is left out.
    pub(in crate::rooms) async fn add_outliers(
        &self,
        room: impl Into<Ground<'_>>,
        events: Vec<Verified>,
        batch: &mut Batch,
    ) -> Result<Outliers, StoreError> {
        self.add_outliers_but(room.into(), events, &HashMap::new(), batch).await
    }

    /// The same; those that are `refused`, with the reason, are rejected.
    async fn add_outliers_but(
        &self,
        room: Ground<'_>,
        events: Vec<Verified>,
        refused: &HashMap<OwnedEventId, String>,
        batch: &mut Batch,
    ) -> Result<Outliers, StoreError> {
        let mut outliers = Outliers::default();
        for event in in_auth_order(events) {
            let id = event.pdu().event_id.clone();
            if let Some((of, number)) = self.parts.events.number_of(&id).await? {
                let known = self.parts.events.require(of, number).await?;
                if of == room.number && !known.pdu.rejected {
                    outliers.numbers.insert(id.clone(), number);
                }
                outliers.known.insert(id, known.pdu.clone());
                continue;
            }
            if !self.knows_auth_events(room, event.pdu(), &mut outliers.known).await? {
                tracing::debug!(room = %room.id, event = %id, "an auth event is missing");
                continue;
            }
            let verdict = match (auth_events::check(event.pdu(), room.rules, &outliers.known), refused.get(&id)) {
                (Ok(()), None) => Verdict::Outlier,
                (Ok(()), Some(refusal)) => Verdict::Rejected(refusal.clone()),
                (Err(error), _) => Verdict::Rejected(error.0),
            };
            self.add_outlier(room, event, verdict, &mut outliers, batch).await?;
        }
        Ok(outliers)
    }

    /// Stores events of a room as outliers, in a commit of their own and while nobody writes to the room: their numbers
    /// are found by everybody as soon as they are given, so they must neither be given twice nor be taken back. For the
    /// same reason it goes on when whoever waits for it goes away.
    pub(super) async fn store_outliers(&self, room: &Arc<Room>, events: Vec<Verified>) -> Result<Outliers, StoreError> {
        if events.is_empty() {
            return Ok(Outliers::default());
        }
        let (rooms, room) = (self.clone(), room.clone());
        let storing = tokio::spawn(async move {
            let head = room.head.lock().await;
            let mut batch = Batch::new();
            let refused = house_rules::refused_of_past(&rooms, &room, &events).await?;
            let outliers = rooms.add_outliers_but((&room).into(), events, &refused, &mut batch).await?;
            let done = rooms.parts.store.place().await?.commit(batch);
            drop(head);
            done.await?;
            Ok(outliers)
        });
        storing.await.unwrap_or_else(|_| Err(StoreError::Stopped("storing outliers ended early".to_owned())))
    }

    async fn add_outlier(
        &self,
        room: Ground<'_>,
        event: Verified,
        verdict: Verdict,
        outliers: &mut Outliers,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let (store, pdu) = (&self.parts.store, event.into_pdu());
        let number = store.next_event();
        if pdu.state_key.is_some() {
            auth_row(&self.parts, room.number, &pdu, number, batch).await?;
        }
        let header = Header {
            event_id: pdu.event_id.to_string(),
            sender: store.mint_user(&pdu.sender, batch).await?,
            state_before: StateRoot::EMPTY,
            state_after: StateRoot::EMPTY,
            verdict,
            redacted_by: None,
            replaces_state: None,
            transaction: None,
        };
        let event = Event::new(number, room.number, header, pdu)?;
        if !event.pdu.rejected {
            outliers.numbers.insert(event.pdu.event_id.clone(), number);
        }
        outliers.known.insert(event.pdu.event_id.clone(), event.pdu.clone());
        self.parts.events.add_at(Event::UNPLACED, &event, batch);
        Ok(())
    }

    /// Whether all auth events of an event are known; they are taken into `known`.
    pub(super) async fn knows_auth_events(
        &self,
        room: impl Into<Ground<'_>>,
        pdu: &Pdu,
        known: &mut Known,
    ) -> Result<bool, StoreError> {
        let room = room.into();
        for id in auth_events::needed(pdu, room.rules) {
            if known.contains_key(&id) {
                continue;
            }
            match self.parts.events.in_room(room.number, &id).await? {
                Some(event) => drop(known.insert(id, event.pdu.clone())),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Sorts events so that each comes after its auth events among them. Of a circle, which honest servers cannot make,
/// some come too early, and are left out later.
pub(super) fn in_auth_order(events: Vec<Verified>) -> Vec<Verified> {
    in_order(events, |pdu| &pdu.auth_events)
}

/// Sorts events so that each comes after its predecessors among them.
pub(super) fn in_history_order(events: Vec<Verified>) -> Vec<Verified> {
    in_order(events, |pdu| &pdu.prev_events)
}

fn in_order(events: Vec<Verified>, before: impl Fn(&Pdu) -> &[OwnedEventId]) -> Vec<Verified> {
    let mut by_id: HashMap<OwnedEventId, Verified> = HashMap::with_capacity(events.len());
    let mut order = Vec::with_capacity(events.len());
    for event in events {
        let id = event.pdu().event_id.clone();
        if by_id.insert(id.clone(), event).is_none() {
            order.push(id);
        }
    }
    let pdus: HashMap<&EventId, Arc<Pdu>> =
        by_id.values().map(|event| (&*event.pdu().event_id, event.pdu().clone())).collect();
    let mut sorted: Vec<OwnedEventId> = Vec::with_capacity(order.len());
    let mut seen: HashSet<&EventId> = HashSet::with_capacity(order.len());
    // An event goes on the stack twice: to be entered, and to be left once all before it are out.
    let mut stack: Vec<(&EventId, bool)> = Vec::new();
    for first in &order {
        stack.push((first, false));
        while let Some((id, leaving)) = stack.pop() {
            if leaving {
                sorted.push(id.to_owned());
                continue;
            }
            let Some((id, pdu)) = pdus.get_key_value(id) else { continue };
            if seen.insert(id) {
                stack.push((id, true));
                let inside = before(pdu).iter().filter_map(|id| pdus.get_key_value(&**id));
                stack.extend(inside.filter(|(id, _)| !seen.contains(*id)).map(|(id, _)| (*id, false)));
            }
        }
    }
    drop(pdus);
    sorted.into_iter().filter_map(|id| by_id.remove(&id)).collect()
}
