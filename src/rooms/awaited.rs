//! Events that came before what they aim at: before the event they redact, or relate to.
//!
//! Such an event leaves a row under the id it names. The event of that id looks for rows when it comes, so that it makes
//! no difference which of the two was first. Rows that are not in the tables yet are found in memory: of writers that
//! follow each other, the next one does not wait for the disk of the one before.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::{EventId, OwnedEventId, events::TimelineEventType};

use super::{RoomsError, Writer, redaction::may_redact};
use crate::{
    event::{Pdu, content::RelatesTo, redact},
    store::{Batch, Event, EventNo, Order, RoomNo, StoreError, Verdict, events::Header, schema::rooms::AWAITED},
};

/// Events that wait for one unknown event, of which the effects are taken up when it comes.
const AWAITING_MAX: usize = 1_000;

/// Events that aim at an unknown one by rows which may not be in the tables yet. As many as are being added.
#[derive(Default)]
pub(super) struct Aims(Arc<Mutex<Taken>>);

type Taken = HashMap<(RoomNo, OwnedEventId), Vec<EventNo>>;

/// One of them, until its batch is durable or given up.
struct Aim {
    all: Arc<Mutex<Taken>>,
    target: (RoomNo, OwnedEventId),
    event: EventNo,
}

impl Drop for Aim {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(events) = all.get_mut(&self.target) {
            events.retain(|event| *event != self.event);
            if events.is_empty() {
                all.remove(&self.target);
            }
        }
    }
}

impl Aims {
    fn take(&self, target: (RoomNo, OwnedEventId), event: EventNo) -> Aim {
        self.0.lock().entry(target.clone()).or_default().push(event);
        Aim { all: self.0.clone(), target, event }
    }

    fn at(&self, room: RoomNo, id: &EventId) -> Vec<EventNo> {
        let all = self.0.lock();
        if all.is_empty() { Vec::new() } else { all.get(&(room, id.to_owned())).cloned().unwrap_or_default() }
    }

    /// Whether an event that is being added aims at this one.
    pub(super) fn are_at(&self, room: RoomNo, id: &EventId) -> bool {
        !self.at(room, id).is_empty()
    }
}

impl Writer {
    /// An event that a redaction has reached before it came is stored in its redacted form.
    pub(super) async fn redacted_ahead(&self, pdu: Pdu, header: Header) -> Result<(Pdu, Header), RoomsError> {
        if pdu.kind == TimelineEventType::RoomCreate {
            return Ok((pdu, header));
        }
        for number in self.awaiting(&pdu.event_id).await? {
            let redaction = self.rooms.parts.events.require(self.room.number, number).await?;
            if self.aims_to_redact(&redaction, &pdu.event_id)
                && may_redact(&self.view, &redaction.pdu.sender, &pdu.sender)
            {
                let invalid = |error: &dyn std::fmt::Display| RoomsError::Invalid(error.to_string());
                let json = redact::redact(&pdu.json, &self.room.rules.redaction).map_err(|error| invalid(&error))?;
                let emptied = Pdu::from_stored(pdu.event_id, json).map_err(|error| invalid(&error))?;
                return Ok((emptied, Header { redacted_by: Some(number), ..header }));
            }
        }
        Ok((pdu, header))
    }

    /// Whether an event that waits for another one wants to redact it. Redactions that were redacted themselves do not
    /// say so any more before room version 11, and count nevertheless: as if they had been redacted later.
    fn aims_to_redact(&self, waiting: &Event, id: &EventId) -> bool {
        match waiting.pdu.redaction_target(&self.room.rules.redaction) {
            Some(target) => target == *id,
            None => waiting.pdu.kind == TimelineEventType::RoomRedaction && waiting.header.redacted_by.is_some(),
        }
    }

    /// Events that redact or relate to one that was not known yet.
    async fn awaiting(&self, id: &EventId) -> Result<Vec<EventNo>, StoreError> {
        // Before the tables: what is in neither is not there.
        let mut found = self.rooms.writes.aims.at(self.room.number, id);
        let prefix = (self.room.number, id.as_str().to_owned());
        let rows = self.rooms.parts.store.prefix(&AWAITED, &prefix, Order::Ascending, AWAITING_MAX).await?;
        for ((.., number), ()) in rows {
            if !found.contains(&number) {
                found.push(number);
            }
        }
        Ok(found)
    }

    /// Remembers what an event aims at, if that is not known yet: `redacts`, or what it relates to.
    pub(super) async fn await_target(
        &mut self,
        event: &Arc<Event>,
        redacts: Option<&EventId>,
    ) -> Result<(), StoreError> {
        let target = redacts.map(ToOwned::to_owned).or_else(|| {
            let relates = RelatesTo::read(&event.pdu.content)?;
            relates.relation().map(|(_, parent)| parent.to_owned())
        });
        let Some(target) = target else { return Ok(()) };
        let known = self.rooms.parts.events.in_room(self.room.number, &target).await?;
        if known.is_none_or(|known| known.header.verdict == Verdict::Outlier) {
            self.batch.put(&AWAITED, &(self.room.number, target.to_string(), event.number), &());
            let aim = self.rooms.writes.aims.take((self.room.number, target), event.number);
            self.batch.on_publish(move |_| drop(aim));
        }
        Ok(())
    }

    /// What came before an event and relates to it becomes its children.
    pub(super) async fn take_up_awaiting(&mut self, event: &Arc<Event>) -> Result<(), RoomsError> {
        let parts = self.rooms.parts.clone();
        for number in self.awaiting(&event.pdu.event_id).await? {
            let mut child = parts.events.require(self.room.number, number).await?;
            if child.order == Event::UNPLACED && child.header.verdict == Verdict::Accepted {
                // On its way to the disk: its place is known then.
                parts.store.commit(Batch::new()).await?;
                child = parts.events.require(self.room.number, number).await?;
            }
            if child.order != Event::UNPLACED {
                self.adopt(event, &child).await?;
            }
            self.batch.delete(&AWAITED, &(self.room.number, event.pdu.event_id.to_string(), number));
        }
        Ok(())
    }
}
