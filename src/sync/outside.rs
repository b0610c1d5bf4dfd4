//! Rooms that this server is not in: invited to, knocking at, or no longer either.

use std::collections::HashSet;

use ruma::{OwnedEventId, UserId};

use super::{
    SyncError,
    json::{self, Open},
    room::order,
    token,
    v3::Round,
};
use crate::{
    event::{ClientEvent, Pdu, client_format::stripped_state},
    rooms::Outside,
    store::{RoomNo, schema::rooms::Membership},
};

impl Round<'_> {
    /// The numbers of these rooms: what a user was to one of them before is no longer told.
    pub(super) fn numbers_outside(&self) -> HashSet<RoomNo> {
        self.outside.iter().map(|outside| outside.number).collect()
    }

    /// Writes the entries of a section.
    pub(super) async fn rooms_outside(
        &self,
        out: &mut Vec<u8>,
        section: &mut Open,
        wanted: &[Membership],
    ) -> Result<(), SyncError> {
        for outside in self.outside.iter().filter(|outside| wanted.contains(&outside.record.membership)) {
            let (start, was_empty) = (out.len(), section.is_empty());
            section.key(out, outside.room_id.as_str());
            if !self.room_outside(out, outside).await? {
                out.truncate(start);
                section.reset(was_empty);
            }
        }
        Ok(())
    }

    /// Writes one entry; nothing and `false` when there is nothing to tell.
    async fn room_outside(&self, out: &mut Vec<u8>, outside: &Outside) -> Result<bool, SyncError> {
        let record = &outside.record;
        let told = self.since.is_some_and(|since| record.position <= since);
        if record.position > self.now || told || !self.filters.wants_room(&outside.room_id) {
            return Ok(false);
        }
        // What was stored is readable; a damaged row must not stop everything else from being told.
        let event = OwnedEventId::try_from(record.event_id.as_str()).ok();
        let Some(event) = event.and_then(|id| Pdu::from_stored(id, record.event.as_str()).ok()) else {
            tracing::error!(room = %outside.room_id, "what is known of a room from outside cannot be read");
            return Ok(false);
        };
        match record.membership {
            Membership::Invite | Membership::Knock => {
                if self.ignores(&event.sender).await? {
                    return Ok(false);
                }
                let invited = record.membership == Membership::Invite;
                let mut entry = Open::object(out);
                json::events(
                    &mut entry,
                    out,
                    if invited { "invite_state" } else { "knock_state" },
                    &shown(&record.state, &event),
                );
                entry.close(out);
                Ok(true)
            }
            _ if self.since.is_none() && !self.filters.include_leave => Ok(false),
            _ => {
                let Ok(event) = ClientEvent::from_pdu(&event) else { return Ok(false) };
                let mut written = Vec::new();
                event.write(&mut written, None, None);
                write_left(out, &written, order(record.position), self.state_after);
                Ok(true)
            }
        }
    }

    async fn ignores(&self, sender: &UserId) -> Result<bool, SyncError> {
        if self.ignored.is_empty() {
            return Ok(false);
        }
        let number = self.parts.rooms.store().user(sender).await?;
        Ok(number.is_some_and(|number| self.ignored.contains(&number)))
    }
}

/// What is shown of the room, with the user's own membership behind it.
fn shown(state: &str, event: &Pdu) -> Vec<u8> {
    let inner = state.trim().trim_start_matches('[').trim_end_matches(']');
    let mut shown = inner.as_bytes().to_vec();
    if !shown.is_empty() {
        shown.push(b',');
    }
    shown.extend_from_slice(stripped_state(event).get().as_bytes());
    shown
}

fn write_left(out: &mut Vec<u8>, event: &[u8], order: i64, state_after: Option<&'static [&'static str]>) {
    let mut entry = Open::object(out);
    entry.key(out, "timeline");
    let mut timeline = Open::object(out);
    timeline.key(out, "events");
    out.push(b'[');
    out.extend_from_slice(event);
    out.push(b']');
    timeline.key(out, "limited");
    json::value(out, &false);
    timeline.key(out, "prev_batch");
    json::text(out, &token::order(order));
    timeline.close(out);
    for key in state_after.unwrap_or(&["state"]) {
        json::events(&mut entry, out, key, &[]);
    }
    json::events(&mut entry, out, "account_data", &[]);
    entry.close(out);
}
