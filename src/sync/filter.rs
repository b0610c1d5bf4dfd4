//! A client's filter, ready to be asked.

use ruma::{
    OwnedRoomId, RoomId,
    api::client::filter::{Filter, FilterDefinition, RoomEventFilter},
};

use crate::rooms::event_filter::EventFilter;

/// A timeline's length when the filter says nothing.
const TIMELINE_DEFAULT: usize = 10;
/// The longest timeline a client gets.
const TIMELINE_MAX: usize = 1000;

/// Everything a filter says about `/sync`.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Events of timelines.
    pub timeline: EventFilter,
    /// State events.
    pub state: EventFilter,
    /// Receipts and typing.
    pub ephemeral: EventFilter,
    /// Account data of rooms.
    pub room_account_data: EventFilter,
    /// Account data of the user.
    pub account_data: EventFilter,
    /// Presence.
    pub presence: EventFilter,
    /// Also rooms left before, in an initial sync or one of the full state.
    pub include_leave: bool,
    /// Top-level fields of events to keep; all when `None`.
    pub event_fields: Option<Vec<String>>,
    rooms: Option<Vec<OwnedRoomId>>,
    not_rooms: Vec<OwnedRoomId>,
}

impl Filters {
    /// Reads a filter definition.
    pub fn new(definition: &FilterDefinition) -> Self {
        let room = &definition.room;
        Self {
            timeline: EventFilter::new(&room.timeline),
            state: EventFilter::new(&room.state),
            ephemeral: EventFilter::new(&room.ephemeral),
            room_account_data: EventFilter::new(&room.account_data),
            account_data: EventFilter::new(&as_room_filter(&definition.account_data)),
            presence: EventFilter::new(&as_room_filter(&definition.presence)),
            include_leave: room.include_leave,
            event_fields: definition.event_fields.clone(),
            rooms: room.rooms.clone(),
            not_rooms: room.not_rooms.clone(),
        }
    }

    /// Whether this room is wanted at all.
    pub fn wants_room(&self, id: &RoomId) -> bool {
        let named = |rooms: &[OwnedRoomId]| rooms.iter().any(|room| room == id);
        !named(&self.not_rooms) && self.rooms.as_deref().is_none_or(named)
    }

    /// How many events a timeline has at most.
    pub fn timeline_limit(&self) -> usize {
        self.timeline.limit(TIMELINE_DEFAULT, TIMELINE_MAX)
    }
}

fn as_room_filter(filter: &Filter) -> RoomEventFilter {
    RoomEventFilter {
        types: filter.types.clone(),
        not_types: filter.not_types.clone(),
        senders: filter.senders.clone(),
        not_senders: filter.not_senders.clone(),
        limit: filter.limit,
        ..RoomEventFilter::default()
    }
}

/// Cuts the event written since `start` down to the top-level fields a client asked for. The specification lets a
/// server send more than was asked: paths below the top level keep their whole field.
pub(super) fn keep_fields(out: &mut Vec<u8>, start: usize, fields: &[String]) {
    let written = out.get(start..).unwrap_or_default();
    let Ok(mut event) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(written) else { return };
    event.retain(|key, _| fields.iter().any(|field| field.split('.').next() == Some(key)));
    out.truncate(start);
    super::json::value(out, &event);
}
