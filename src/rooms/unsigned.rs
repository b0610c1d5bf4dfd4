//! Events as one reader sees them: the stored client form, and `unsigned` made for the reader.
//!
//! Specification v1.19, client-server API: "Types of room events" (`unsigned`), "Aggregations of child events",
//! `membership` from MSC4115.

use std::{io::Write as _, sync::Arc};

use ruma::events::{TimelineEventType, room::member::MembershipState};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Reader, Rooms, RoomsError};
use crate::{
    event::content::RelatesTo,
    store::{Event, Order, StoreError, Verdict, schema::rooms::RELATIONS},
};

/// Edits looked at to find the newest one.
const EDITS_MAX: usize = 100;
/// References listed with an event; the rest is had from `/relations`.
const REFERENCES_MAX: usize = 100;
/// Replies looked at to find the newest one the reader may see.
const REPLIES_LOOKED_AT: usize = 100;

/// How an event is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// With `room_id`: everywhere but in `/sync`.
    pub room_id: bool,
    /// With what other events say about it (`m.relations`).
    pub bundle: bool,
}

impl Form {
    /// As `/messages` and its like want it.
    pub const FULL: Self = Self { room_id: true, bundle: true };
    /// As `/sync` wants it.
    pub const SYNC: Self = Self { room_id: false, bundle: true };
}

/// Which relations are written with an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bundle {
    None,
    /// In an event inside another: edits only, so that the depth is bounded.
    Edits,
    All,
}

impl Rooms {
    /// Appends an event as `reader` sees it. Whether they may see it was asked before ([`Reader::sees`]).
    ///
    /// # Errors
    /// The store fails; `out` is then as it was before.
    pub async fn write_event(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Arc<Event>,
        form: Form,
    ) -> Result<(), RoomsError> {
        let bundle = if form.bundle { Bundle::All } else { Bundle::None };
        Ok(self.write(out, reader, event, form.room_id, bundle).await?)
    }

    /// An event as `reader` sees it.
    pub async fn event_json(&self, reader: &Reader, event: &Arc<Event>, form: Form) -> Result<Vec<u8>, RoomsError> {
        let mut out = Vec::with_capacity(event.client.bytes.len() + 256);
        self.write_event(&mut out, reader, event, form).await?;
        Ok(out)
    }

    /// Appends a state event for a list of state: with its redaction, without what it replaced and what relates to it.
    /// Cheap, for rooms with thousands of members.
    pub async fn write_state(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Event,
        room_id: bool,
    ) -> Result<(), RoomsError> {
        let by = match event.header.redacted_by {
            Some(by) => Some(self.events().require(event.room, by).await?),
            None => None,
        };
        write_head(out, reader, event, room_id);
        if let Some(by) = by {
            out.extend_from_slice(b",\"redacted_because\":");
            write_head(out, reader, &by, room_id);
            out.extend_from_slice(b"}}");
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Appends events separated by commas.
    pub async fn write_events(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        events: &[Arc<Event>],
        form: Form,
    ) -> Result<(), RoomsError> {
        for (place, event) in events.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.write_event(out, reader, event, form).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Arc<Event>,
        room_id: bool,
        bundle: Bundle,
    ) -> Result<(), StoreError> {
        let bundle = if bundle != Bundle::None && self.has_children(event).await? { bundle } else { Bundle::None };
        let begin = out.len();
        write_head(out, reader, event, room_id);
        let header = &event.header;
        let plain = bundle == Bundle::None && header.redacted_by.is_none() && header.replaces_state.is_none();
        if plain && reader.was_in_since(event) {
            out.extend_from_slice(b",\"membership\":\"join\"}}");
            return Ok(());
        }
        // Boxed: it writes events inside the event.
        let written = Box::pin(self.write_more(out, reader, event, room_id, bundle)).await;
        match written {
            Ok(()) => out.extend_from_slice(b"}}"),
            Err(_) => out.truncate(begin),
        }
        written
    }

    /// Whether anything relates to an event. Once known it is remembered with the event.
    async fn has_children(&self, event: &Event) -> Result<bool, StoreError> {
        if let Some(known) = event.has_children() {
            return Ok(known);
        }
        let rows = self.store().prefix(&RELATIONS, &(event.room, event.number), Order::Ascending, 1).await?;
        event.set_has_children(!rows.is_empty());
        Ok(!rows.is_empty())
    }

    async fn write_more(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Arc<Event>,
        room_id: bool,
        bundle: Bundle,
    ) -> Result<(), StoreError> {
        let membership = reader.membership_at(event).await?;
        out.extend_from_slice(b",\"membership\":");
        text(out, membership_text(&membership));
        if let Some(old) = event.header.replaces_state {
            let old = self.events().require(event.room, old).await?;
            // State that came with a join is told to whoever has joined, though it has no place in the history.
            if old.header.verdict == Verdict::Outlier || reader.sees(&old).await? {
                out.extend_from_slice(b",\"prev_content\":");
                out.extend_from_slice(old.pdu.content.get().as_bytes());
                out.extend_from_slice(b",\"prev_sender\":");
                text(out, old.pdu.sender.as_str());
            }
            out.extend_from_slice(b",\"replaces_state\":");
            text(out, &old.header.event_id);
        }
        if let Some(by) = event.header.redacted_by {
            let by = self.events().require(event.room, by).await?;
            // What redacts an event belongs to it: without it the reader's client could not tell why it is empty.
            // Not by what that was redacted in turn: such a chain is as long as somebody likes, or has no end.
            out.extend_from_slice(b",\"redacted_because\":");
            write_head(out, reader, &by, room_id);
            out.extend_from_slice(b",\"membership\":");
            text(out, membership_text(&reader.membership_at(&by).await?));
            out.extend_from_slice(b"}}");
        }
        if bundle != Bundle::None {
            self.write_relations(out, reader, event, room_id, bundle).await?;
        }
        Ok(())
    }

    async fn write_relations(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Arc<Event>,
        room_id: bool,
        bundle: Bundle,
    ) -> Result<(), StoreError> {
        let begin = out.len();
        out.extend_from_slice(b",\"m.relations\":{");
        let first = out.len();
        if let Some(edit) = self.newest_edit(reader, event).await? {
            out.extend_from_slice(b"\"m.replace\":");
            self.write(out, reader, &edit, room_id, Bundle::None).await?;
        }
        if bundle == Bundle::All {
            self.write_references(out, reader, event, first).await?;
            self.write_thread(out, reader, event, room_id, first).await?;
        }
        if out.len() == first {
            out.truncate(begin);
        } else {
            out.push(b'}');
        }
        Ok(())
    }

    /// The edit that counts: by the original's sender and of its type; the newest by the senders' clock, then by id
    /// (specification v1.19, "Event replacements").
    pub(super) async fn newest_edit(&self, reader: &Reader, event: &Event) -> Result<Option<Arc<Event>>, StoreError> {
        if event.header.redacted_by.is_some() || event.pdu.state_key.is_some() || is_edit(event) {
            return Ok(None);
        }
        let part = (event.room, event.number, "m.replace".to_owned());
        let rows = self.store().prefix(&RELATIONS, &part, Order::Descending, EDITS_MAX).await?;
        let mut newest: Option<Arc<Event>> = None;
        for (_, number) in rows {
            let edit = self.events().require(event.room, number).await?;
            let fits = edit.header.sender == event.header.sender
                && edit.pdu.kind == event.pdu.kind
                && edit.pdu.state_key.is_none()
                && edit.header.redacted_by.is_none()
                && (edit.pdu.kind == TimelineEventType::RoomEncrypted || has_new_content(&edit.pdu.content))
                && !reader.ignores(&edit);
            let age = |event: &Event| (event.pdu.origin_server_ts, event.pdu.event_id.clone());
            if fits && newest.as_deref().is_none_or(|newest| age(&edit) > age(newest)) && reader.sees(&edit).await? {
                newest = Some(edit);
            }
        }
        Ok(newest)
    }

    async fn write_references(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Event,
        first: usize,
    ) -> Result<(), StoreError> {
        let part = (event.room, event.number, "m.reference".to_owned());
        let rows = self.store().prefix(&RELATIONS, &part, Order::Ascending, REFERENCES_MAX).await?;
        let mut ids = Vec::new();
        for (_, number) in rows {
            let child = self.events().require(event.room, number).await?;
            if !reader.ignores(&child) && reader.sees(&child).await? {
                ids.push(child);
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        separate(out, first);
        out.extend_from_slice(b"\"m.reference\":{\"chunk\":[");
        for (place, child) in ids.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"{\"event_id\":" } else { b",{\"event_id\":" });
            text(out, &child.header.event_id);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }

    async fn write_thread(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        event: &Arc<Event>,
        room_id: bool,
        first: usize,
    ) -> Result<(), StoreError> {
        let part = (event.room, event.number, "m.thread".to_owned());
        let rows = self.store().prefix(&RELATIONS, &part, Order::Descending, REPLIES_LOOKED_AT).await?;
        let mut latest = None;
        for (_, number) in rows {
            let reply = self.events().require(event.room, number).await?;
            if !reader.ignores(&reply) && reader.sees(&reply).await? {
                latest = Some(reply);
                break;
            }
        }
        let Some(latest) = latest else { return Ok(()) };
        let thread = self.thread(reader, event).await?;
        separate(out, first);
        out.extend_from_slice(b"\"m.thread\":{\"latest_event\":");
        self.write(out, reader, &latest, room_id, Bundle::Edits).await?;
        let (count, participated) = (thread.count, thread.participated);
        drop(write!(out, ",\"count\":{count},\"current_user_participated\":{participated}}}"));
        Ok(())
    }
}

/// Everything up to the inside of `unsigned`.
fn write_head(out: &mut Vec<u8>, reader: &Reader, event: &Event, room_id: bool) {
    out.extend_from_slice(&event.client.bytes);
    if room_id {
        out.extend_from_slice(b",\"room_id\":");
        text(out, reader.room.id.as_str());
    }
    let age = i128::from(reader.now_ms) - i128::from(u64::from(event.pdu.origin_server_ts.get()));
    drop(write!(out, ",\"unsigned\":{{\"age\":{age}"));
    if let Some((device, transaction)) = &event.header.transaction
        && event.header.sender == reader.user
        && reader.device.as_ref().is_some_and(|reading| reading.as_str() == device)
    {
        out.extend_from_slice(b",\"transaction_id\":");
        text(out, transaction);
    }
}

/// A comma, unless nothing was written since `first`.
fn separate(out: &mut Vec<u8>, first: usize) {
    if out.len() > first {
        out.push(b',');
    }
}

/// Writes a JSON string.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    drop(serde_json::to_writer(out, text));
}

fn membership_text(membership: &MembershipState) -> &str {
    membership.as_ref()
}

fn is_edit(event: &Event) -> bool {
    RelatesTo::read(&event.pdu.content).is_some_and(|relates| relates.rel_type.as_deref() == Some("m.replace"))
}

fn has_new_content(content: &RawValue) -> bool {
    #[derive(Deserialize, Default)]
    struct One<'a> {
        #[serde(borrow, default, rename = "m.new_content")]
        new_content: Option<&'a RawValue>,
    }
    let one: One<'_> = serde_json::from_str(content.get()).unwrap_or_default();
    one.new_content.is_some_and(|content| content.get().starts_with('{'))
}
