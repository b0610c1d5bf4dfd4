//! The state a client lacks: before its timeline, or after it (`state_after`), and the members it needs to show it.

use std::{collections::HashSet, sync::Arc};

use ruma::events::StateEventType;

use super::{
    SyncError,
    filter::Filters,
    lazy::{SentMembers, To},
    timeline::Timeline,
};
use crate::{
    rooms::{Reader, Room, Rooms, event_filter::LazyMembers},
    store::{Event, EventNo, state_tree::StateRoot},
};

/// What is known of the client's side.
pub(super) struct Known {
    /// The state the client holds; empty when it holds none.
    pub(super) state: StateRoot,
    /// Whether it wants the state after the timeline.
    pub(super) after: bool,
}

/// The state events to send with a timeline.
pub(super) async fn load(
    rooms: &Rooms,
    room: &Room,
    (reader, to): (&Reader, &To<'_>),
    filters: &Filters,
    sent: &SentMembers,
    timeline: &Timeline,
    known: &Known,
) -> Result<Vec<Arc<Event>>, SyncError> {
    let target = if known.after { timeline.state_after } else { timeline.state_before };
    let lazy = filters.state.lazy_members();
    let mut events = Vec::new();
    let mut members = HashSet::new();
    let mut changes: Vec<_> =
        rooms.tree().diff(known.state, target).await?.into_iter().filter_map(|change| change.new).collect();
    if !known.after && room.has_detours() {
        // What branches of the history came to stands in no event of the timeline.
        let shown = |number: &EventNo| timeline.events.iter().any(|event| event.number == *number);
        let within = rooms.tree().diff(target, timeline.state_after).await?.into_iter().filter_map(|change| change.new);
        changes.extend(within.filter(|number| !shown(number)));
    }
    for number in changes {
        let event = rooms.events().require(room.number, number).await?;
        let lazily = lazy != LazyMembers::Off && event.pdu.kind == ruma::events::TimelineEventType::RoomMember;
        if lazily && !needed(&event, reader, timeline, known) {
            continue;
        }
        if lazily {
            members.insert(event.number);
            sent.note(to, room.number, event.number.0);
        }
        if filters.state.wants(&event) {
            events.push(event);
        }
    }
    if lazy != LazyMembers::Off {
        for event in senders(rooms, room, timeline, target).await? {
            let new = lazy == LazyMembers::Redundant || sent.note(to, room.number, event.number.0);
            if new && members.insert(event.number) && filters.state.wants(&event) {
                events.push(event);
            }
        }
    }
    Ok(events)
}

/// Whether a changed member event is sent though members are loaded lazily: the reader's own, those whose messages are
/// shown, and with the state after the timeline those that the timeline itself changes.
fn needed(event: &Event, reader: &Reader, timeline: &Timeline, known: &Known) -> bool {
    let member = event.pdu.state_key.as_deref().unwrap_or_default();
    member == reader.user_id.as_str()
        || timeline
            .events
            .iter()
            .any(|shown| shown.pdu.sender == member || (known.after && shown.number == event.number))
}

/// The member events of the timeline's senders in a state.
async fn senders(
    rooms: &Rooms,
    room: &Room,
    timeline: &Timeline,
    state: StateRoot,
) -> Result<Vec<Arc<Event>>, SyncError> {
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    for event in &timeline.events {
        if seen.insert(event.header.sender)
            && let Some(member) =
                rooms.state_event(room.number, state, &StateEventType::RoomMember, event.pdu.sender.as_str()).await?
        {
            events.push(member);
        }
    }
    Ok(events)
}
