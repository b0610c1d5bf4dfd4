//! What push rules ask of an event, found out once for all readers.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde_json::Value;

use crate::{
    event::content::RelatesTo,
    store::{Event, Events, RoomNo, StoreError, UserNo},
};

/// Relations followed from an event to its thread, as the specification recommends.
const HOPS_MAX: usize = 3;

/// An event as push rules see it.
pub(in crate::rooms) struct Facts {
    /// The thread's root; `None` in the main timeline.
    pub(super) root: Option<OwnedEventId>,
    /// Who sent it.
    pub(super) sender: UserNo,
    /// The same as an id.
    pub(super) sender_id: OwnedUserId,
    /// The event's type.
    pub(super) kind: Box<str>,
    /// The state key of a state event.
    pub(super) state_key: Option<Box<str>>,
    /// The event's id.
    pub(super) event_id: OwnedEventId,
    /// `origin_server_ts`.
    pub(super) sent: Value,
    /// The content.
    pub(super) content: Value,
    /// Emptied by a redaction: it notifies nobody.
    pub(super) redacted: bool,
    /// `content.body` in lower case.
    body: OnceLock<Option<Box<str>>>,
}

impl Facts {
    /// Finds out what there is to know.
    pub(super) async fn of(events: &Events, event: &Arc<Event>) -> Result<Self, StoreError> {
        let root = Self::root_of(events, event.room, event).await?;
        let pdu = &event.pdu;
        Ok(Self {
            root,
            sender: event.header.sender,
            sender_id: pdu.sender.clone(),
            kind: pdu.kind.to_string().into(),
            state_key: pdu.state_key.clone(),
            event_id: pdu.event_id.clone(),
            sent: u64::from(pdu.origin_server_ts.get()).into(),
            content: serde_json::from_str(pdu.content.get()).unwrap_or_default(),
            redacted: event.header.redacted_by.is_some(),
            body: OnceLock::new(),
        })
    }

    #[cfg(test)]
    pub(super) fn for_test(sender: UserNo, id: &str, kind: &str, state_key: Option<&str>, content: Value) -> Self {
        Self {
            root: None,
            sender,
            sender_id: OwnedUserId::try_from(id).unwrap_or_else(|_| ruma::owned_user_id!("@unreadable:a")),
            kind: kind.into(),
            state_key: state_key.map(Into::into),
            event_id: ruma::owned_event_id!("$e"),
            sent: 5.into(),
            content,
            redacted: false,
            body: OnceLock::new(),
        }
    }

    /// The root of the thread an event belongs to: by its own relation, or by that of what it relates to.
    /// Specification v1.19, "Threaded read receipts".
    pub(in crate::rooms) async fn root_of(
        events: &Events,
        room: RoomNo,
        event: &Arc<Event>,
    ) -> Result<Option<OwnedEventId>, StoreError> {
        let mut current = event.clone();
        for _ in 0..=HOPS_MAX {
            let Some((kind, parent)) = relation(&current) else { return Ok(None) };
            if &*kind == "m.thread" {
                return Ok(Some(parent));
            }
            match events.in_room(room, &parent).await? {
                Some(parent) => current = parent,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The content's `body` in lower case, if it is text.
    pub(super) fn body(&self) -> Option<&str> {
        self.body.get_or_init(|| Some(lower(self.content.get("body")?.as_str()?).into_owned().into())).as_deref()
    }

    /// Whether the sender says whom they mean: then the rules that guess it from the text do not hold.
    pub(super) fn says_mentions(&self) -> bool {
        self.content.get("m.mentions").is_some()
    }

    /// About the bytes that this takes in memory.
    pub(super) fn weight(&self) -> u64 {
        512 + weight(&self.content)
    }
}

/// Whether a receipt at this event can be one of the thread: the event is its root, is in the thread, or
/// relates to one of these.
pub(in crate::rooms) async fn in_thread(
    events: &Events,
    room: RoomNo,
    event: &Arc<Event>,
    thread: &EventId,
) -> Result<bool, StoreError> {
    let mut current = event.clone();
    for _ in 0..=HOPS_MAX {
        if current.pdu.event_id == thread {
            return Ok(true);
        }
        let Some((_, parent)) = relation(&current) else { return Ok(false) };
        if parent == thread {
            return Ok(true);
        }
        match events.in_room(room, &parent).await? {
            Some(parent) => current = parent,
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn relation(event: &Event) -> Option<(Box<str>, OwnedEventId)> {
    if event.pdu.state_key.is_some() {
        return None;
    }
    let relates = RelatesTo::read(&event.pdu.content)?;
    Some((relates.rel_type?, relates.event_id?))
}

/// Lower case, without a copy where it is that already.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => 32 + text.len() as u64,
        Value::Array(items) => 32 + items.iter().map(weight).sum::<u64>(),
        Value::Object(fields) => {
            64 + fields.iter().map(|(key, value)| 64 + key.len() as u64 + weight(value)).sum::<u64>()
        }
        _ => 32,
    }
}
