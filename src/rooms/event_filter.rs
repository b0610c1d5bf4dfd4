//! Which events of a room a client wants: the filters of `/sync`, `/messages`, `/context` and search.

use ruma::{
    OwnedUserId, RoomId,
    api::client::filter::{LazyLoadOptions, RoomEventFilter, UrlFilter},
};

use crate::{event::content, store::Event};

/// Entries of one list of a filter that are looked at; more are ignored.
const ENTRIES_MAX: usize = 256;

/// A filter, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    definition: RoomEventFilter,
    trivial: bool,
}

/// How member events follow the events of a timeline (specification v1.19, "Lazy-loading room members").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LazyMembers {
    /// All members are sent with the state.
    Off,
    /// Only those of the events sent, and each once.
    Once,
    /// Only those of the events sent, each time.
    Redundant,
}

impl EventFilter {
    /// Reads a filter.
    pub fn new(definition: &RoomEventFilter) -> Self {
        let mut definition = definition.clone();
        definition.not_types.truncate(ENTRIES_MAX);
        definition.not_senders.truncate(ENTRIES_MAX);
        definition.not_types.iter_mut().for_each(merge_stars);
        if let Some(types) = &mut definition.types {
            types.truncate(ENTRIES_MAX);
            types.iter_mut().for_each(merge_stars);
        }
        let trivial = definition.not_types.is_empty()
            && definition.not_senders.is_empty()
            && definition.types.is_none()
            && definition.senders.is_none()
            && definition.url_filter.is_none();
        Self { definition, trivial }
    }

    /// Whether events of this room are wanted at all.
    pub fn wants_room(&self, room: &RoomId) -> bool {
        let named = |rooms: &[ruma::OwnedRoomId]| rooms.iter().any(|wanted| wanted == room);
        !named(&self.definition.not_rooms) && self.definition.rooms.as_deref().is_none_or(named)
    }

    /// Whether this event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        if self.trivial {
            return true;
        }
        self.wants_type(&event.pdu.kind.to_string())
            && self.wants_sender(&event.pdu.sender)
            && match &self.definition.url_filter {
                None => true,
                Some(wanted) => {
                    content::field(&event.pdu.content, "url").is_some() == (*wanted == UrlFilter::EventsWithUrl)
                }
            }
    }

    /// Whether events of this type are wanted; for data that has no sender.
    pub fn wants_type(&self, kind: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, kind));
        !named(&self.definition.not_types) && self.definition.types.as_deref().is_none_or(named)
    }

    fn wants_sender(&self, sender: &ruma::UserId) -> bool {
        let named = |users: &[OwnedUserId]| users.iter().any(|user| user == sender);
        !named(&self.definition.not_senders) && self.definition.senders.as_deref().is_none_or(named)
    }

    /// How many events at most, `default` when the filter does not say, never more than `max`.
    pub fn limit(&self, default: usize, max: usize) -> usize {
        self.definition.limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(max)).min(max)
    }

    /// How member events follow.
    pub fn lazy_members(&self) -> LazyMembers {
        match self.definition.lazy_load_options {
            LazyLoadOptions::Disabled => LazyMembers::Off,
            LazyLoadOptions::Enabled { include_redundant_members: true } => LazyMembers::Redundant,
            LazyLoadOptions::Enabled { include_redundant_members: false } => LazyMembers::Once,
        }
    }

    /// Whether unread counts are wanted by thread.
    pub fn thread_counts(&self) -> bool {
        self.definition.unread_thread_notifications
    }
}

/// `**` means what `*` means; without runs of stars each part of a pattern consumes a byte of the text at least.
fn merge_stars(pattern: &mut String) {
    let mut star = false;
    pattern.retain(|character| {
        let keep = !(star && character == '*');
        star = character == '*';
        keep
    });
}

/// Matches `*` as any run of characters, in time linear in `text` for each `*` of the pattern.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.*", "m.room.name", true),
            ("m.*.name", "m.room.name", true),
            ("*", "", true),
            ("m.room.*", "m.roo", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
