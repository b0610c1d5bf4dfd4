//! How history that was fetched later becomes part of its room: below what is here, without changing what the room is.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, events::TimelineEventType};

use super::{
    RoomsError, Writer,
    append::{auth_row, header},
};
use crate::{
    event::{Pdu, content::RelatesTo},
    store::{
        Event, StoreError, Verdict,
        events::Header,
        schema::rooms::{GAPS, GapRecord, TIMELINE},
        state_tree::StateRoot,
    },
};

/// Events that may be missing at the far end of one gap.
const MISSING_MAX: usize = 100;

impl Writer {
    /// Adds an old event at a place that is free for it. The caller has checked it and knows the state before it.
    pub(super) async fn add_past(
        &mut self,
        pdu: Pdu,
        order: i64,
        before: StateRoot,
        verdict: Verdict,
    ) -> Result<(), RoomsError> {
        let parts = self.rooms.parts.clone();
        let known = parts.events.number_of(&pdu.event_id).await?;
        // In room versions 1 and 2 a server names its events as it likes.
        if known.is_some_and(|(of, _)| of != self.room.number) {
            return Ok(());
        }
        let number = known.map_or_else(|| parts.store.next_event(), |(_, number)| number);
        let sender = parts.store.mint_user(&pdu.sender, &mut self.batch).await?;
        let (mut after, mut replaces) = (before, None);
        if let Some((kind, key)) = pdu.state_pair().filter(|_| verdict == Verdict::Accepted) {
            let pair = parts.store.mint_state_key(&kind, key, &mut self.batch).await?;
            replaces = parts.tree.get(before, pair).await?;
            after = parts.tree.apply(before, &[(pair, Some(number))], &mut self.batch).await?;
        }
        if pdu.state_key.is_some() {
            auth_row(&parts, self.room.number, &pdu, number, &mut self.batch).await?;
        }
        let accepted = verdict == Verdict::Accepted;
        let header = Header { verdict, ..header(&pdu, sender, before, after, replaces, None) };
        let redacts = pdu.redaction_target(&self.room.rules.redaction);
        let (pdu, header) = self.redacted_ahead(pdu, header).await?;
        let mut event = Event::new(number, self.room.number, header, pdu)?;
        event.order = if accepted { order } else { Event::UNPLACED };
        parts.events.add_at(event.order, &event, &mut self.batch);
        if accepted {
            self.batch.put(&TIMELINE, &(self.room.number, order), &number);
            let event = Arc::new(event);
            self.connect_past(&event, redacts.as_deref()).await?;
            self.added.push(event);
        }
        Ok(())
    }

    /// What an old event relates to or redacts, and what relates to it.
    async fn connect_past(&mut self, event: &Arc<Event>, redacts: Option<&EventId>) -> Result<(), RoomsError> {
        let (parts, room) = (self.rooms.parts.clone(), self.room.clone());
        self.await_target(event, redacts).await?;
        self.take_up_awaiting(event).await?;
        if event.pdu.kind == TimelineEventType::RoomRedaction {
            self.effects.of(&parts, &room, &mut self.view, (event, redacts), &mut self.batch).await?;
            return Ok(());
        }
        let relates = RelatesTo::read(&event.pdu.content).filter(|_| event.pdu.state_key.is_none());
        let Some((_, parent)) = relates.as_ref().and_then(RelatesTo::relation) else { return Ok(()) };
        let Some(parent) = parts.events.in_room(room.number, parent).await? else { return Ok(()) };
        if parent.header.verdict == Verdict::Accepted {
            self.adopt(&parent, event).await?;
        }
        Ok(())
    }

    /// Says what is missing before the event at `order`; with nothing missing the gap is closed.
    pub(super) fn set_gap(&mut self, order: i64, mut gap: GapRecord) {
        let key = (self.room.number, order);
        gap.missing.truncate(MISSING_MAX);
        if gap.missing.is_empty() {
            self.batch.delete(&GAPS, &key);
            self.gaps.lock().push((order, None));
        } else {
            self.batch.put(&GAPS, &key, &gap);
            self.gaps.lock().push((order, Some(gap)));
        }
    }

    /// Makes old events durable and visible. Nobody is woken: nothing is new.
    pub(super) async fn commit_history(self) -> Result<(), StoreError> {
        let Self { rooms, room, mut head, view, mut batch, added, gaps, effects, .. } = self;
        let (early, number) = (rooms.writes.early_receipts.clone(), room.number);
        batch.on_visible(move || early.arrived(number, added.iter().map(AsRef::as_ref)));
        let view = Arc::new(view);
        let (published, publishing, known) = (view.clone(), room, rooms.clone());
        batch.on_publish(move |_| {
            for (order, gap) in std::mem::take(&mut *gaps.lock()) {
                publishing.set_gap(order, gap);
            }
            publishing.publish(published, &[], &[]);
            effects.publish(&known.parts.events, publishing.number);
        });
        let place = rooms.parts.store.place().await?;
        let done = place.commit(batch);
        *head = view;
        drop(head);
        done.await.map(drop)
    }
}

/// The ids of a gap's missing events.
pub(super) fn missing_ids(gap: &GapRecord) -> Vec<OwnedEventId> {
    gap.missing.iter().filter_map(|id| OwnedEventId::try_from(id.as_str()).ok()).collect()
}
