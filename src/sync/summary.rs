//! Heroes and counts: what a client needs to name a room whose members it has not loaded.

use ruma::{UserId, events::StateEventType};

use super::SyncError;
use crate::{
    rooms::{Room, Rooms},
    store::{
        Order, UserNo,
        schema::rooms::{MEMBERS, Membership},
    },
};

/// Heroes a summary names (specification v1.19, `RoomSummary`).
const HEROES_MAX: usize = 5;
/// Members looked at to find them.
const MEMBERS_SEEN_MAX: usize = 50;

/// A room's summary for one reader.
pub(super) struct Summary {
    /// Whom the room is named after; empty when it has a name or an alias of its own.
    pub(super) heroes: Vec<String>,
    /// Who has joined.
    pub(super) joined: u64,
    /// Who is invited.
    pub(super) invited: u64,
}

/// The summary of a room.
pub(super) async fn load(rooms: &Rooms, room: &Room, user: UserNo, user_id: &UserId) -> Result<Summary, SyncError> {
    let view = room.view();
    let (joined, invited) = (view.joined_count, view.invited_count);
    for (kind, field) in [(StateEventType::RoomName, "name"), (StateEventType::RoomCanonicalAlias, "alias")] {
        let event = rooms.state_event(room.number, view.state, &kind, "").await?;
        let named = event.is_some_and(|event| {
            crate::event::content::field(&event.pdu.content, field).is_some_and(|value| value.get().len() > 2)
        });
        if named {
            return Ok(Summary { heroes: Vec::new(), joined, invited });
        }
    }
    let rows = rooms.store().prefix(&MEMBERS, &room.number, Order::Ascending, MEMBERS_SEEN_MAX).await?;
    let present = |wanted: &[Membership]| {
        let others = rows.iter().filter(|((_, member), record)| *member != user && wanted.contains(&record.membership));
        others.map(|((_, member), _)| *member).take(HEROES_MAX).collect::<Vec<_>>()
    };
    let mut numbers = present(&[Membership::Join, Membership::Invite]);
    if numbers.is_empty() {
        numbers = present(&[Membership::Leave, Membership::Ban]);
    }
    let mut heroes = Vec::with_capacity(numbers.len());
    for number in numbers {
        let id = rooms.store().user_id(number).await?;
        if id != user_id {
            heroes.push(id.to_string());
        }
    }
    Ok(Summary { heroes, joined, invited })
}
