//! What a message says about other events and about people: `m.relates_to` and `m.mentions`.

use ruma::{OwnedEventId, OwnedUserId};
use serde_json::value::RawValue;

use super::{Field, fields, items, open, text, value};

/// `m.relates_to`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatesTo {
    /// `m.annotation`, `m.replace`, `m.thread`, `m.reference`, or anything else.
    pub rel_type: Option<Box<str>>,
    /// The event related to by `rel_type`.
    pub event_id: Option<OwnedEventId>,
    /// On annotations: the emoji or text.
    pub key: Option<Box<str>>,
    /// On threads: the reply below is only for clients without threads.
    pub is_falling_back: bool,
    /// The event replied to.
    pub in_reply_to: Option<OwnedEventId>,
}

impl RelatesTo {
    /// Reads the relation of any content; `None` where there is no `m.relates_to` object.
    pub fn read(content: &RawValue) -> Option<Self> {
        fields!(One: relates_to = "m.relates_to");
        fields!(Fields: rel_type, event_id, key, is_falling_back, in_reply_to = "m.in_reply_to");
        fields!(Reply: event_id);
        // Most contents have no relation: look for the key before reading.
        if !content.get().contains("\"m.relates_to\"") {
            return None;
        }
        let relates_to = open::<One<'_>>(content).relates_to.filter(|field| field.get().starts_with('{'))?;
        let fields: Fields<'_> = open(relates_to);
        Some(Self {
            rel_type: text(fields.rel_type),
            event_id: value(fields.event_id),
            key: text(fields.key),
            is_falling_back: value(fields.is_falling_back).unwrap_or(false),
            in_reply_to: fields.in_reply_to.and_then(|reply| value(open::<Reply<'_>>(reply).event_id)),
        })
    }

    /// The relation as `(rel_type, event)`, if both are there.
    pub fn relation(&self) -> Option<(&str, &OwnedEventId)> {
        Some((self.rel_type.as_deref()?, self.event_id.as_ref()?))
    }
}

/// `m.mentions` of any content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Who is addressed.
    pub user_ids: Vec<OwnedUserId>,
    /// Whether the whole room is.
    pub room: bool,
}

impl Mentions {
    /// Reads the mentions; `None` where there is no `m.mentions` object.
    pub fn read(content: &RawValue) -> Option<Self> {
        fields!(One: mentions = "m.mentions");
        fields!(Fields: user_ids, room);
        let mentions = open::<One<'_>>(content).mentions.filter(|field| field.get().starts_with('{'))?;
        let fields: Fields<'_> = open(mentions);
        Some(Self { user_ids: items(fields.user_ids), room: value(fields.room).unwrap_or(false) })
    }
}
