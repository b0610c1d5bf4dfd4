//! Announcements reach their readers in rooms of their own.
//!
//! A tutor writes once, in the room of the class's families, and the school repeats it to each family where only that
//! family reads it; what the leadership writes in a school's announcements is repeated to every homeroom and family.
//! Guardians so never see each other, with any client. A family's room is made when there is something to tell it. Each
//! reader's room remembers how far it was served, in the commit of the message: a crash leaves nothing out and repeats
//! nothing.

use std::{collections::HashMap, sync::Arc};

use ruma::{RoomId, UserId, events::TimelineEventType};
use serde_json::{Map, Value, json};

use super::{
    super::SchoolError,
    SchoolRooms,
    desk::Desk,
    edit::Edit,
    families::homerooms,
    wanted::{ADULT_POWER, class_key, key},
};
use crate::{
    event::content,
    store::{
        Event, Order, Position, RoomNo,
        schema::{
            rooms::TIMELINE,
            school::{ROOM_SENT_ON, RoomKind, RoomLink},
        },
    },
};

/// The key of a repeated message that says whose it is: `sender` and `event_id`.
pub const ANNOUNCEMENT: &str = "org.homeroom.announcement";

/// Events read of a room at once.
const PAGE: usize = 50;
/// How long sending on waits when it has failed.
const RETRY: std::time::Duration = std::time::Duration::from_secs(30);

/// What of a message is repeated. Mentions and relations mean nothing in another room.
const REPEATED: [&str; 9] =
    ["msgtype", "body", "format", "formatted_body", "url", "info", "filename", "geo_uri", "org.matrix.msc1767.text"];

impl SchoolRooms {
    /// Sends announcements on to their readers. Runs until it is dropped.
    pub async fn send_on(&self) {
        let mut changed = self.desk.rules.changed();
        while !self.desk.rules.people().is_loaded() {
            if changed.changed().await.is_err() {
                return;
            }
        }
        let mut cursors = HashMap::new();
        loop {
            match self.send_on_until_told(&mut cursors).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "announcements could not be sent on");
                    self.desk.clock.sleep(RETRY).await;
                }
            }
        }
    }

    async fn send_on_until_told(&self, cursors: &mut HashMap<RoomNo, Position>) -> Result<(), SchoolError> {
        let desk = &*self.desk;
        let (_, service) = desk.service().await?;
        let waiting = desk.notifier.wait_for(service.0);
        let told = waiting.changed();
        let mut changed = desk.rules.changed();
        changed.mark_unchanged();
        self.send_on_now(cursors).await?;
        tokio::select! {
            () = told => {}
            // Rooms may have been made, by a pass that ends later: it wakes the school again.
            _ = changed.changed() => {}
        }
        Ok(())
    }

    /// Sends on everything written so far, in the order of its writing.
    async fn send_on_now(&self, cursors: &mut HashMap<RoomNo, Position>) -> Result<(), SchoolError> {
        let desk = &self.desk;
        let upto = desk.store.position();
        let mut new = Vec::new();
        for (number, link) in desk.rules.rooms().all() {
            if !is_source(&link) || link.archived {
                continue;
            }
            let cursor = match cursors.get(&number) {
                Some(cursor) => *cursor,
                None => desk.store.get(&ROOM_SENT_ON, &number).await?.unwrap_or(Position(0)),
            };
            cursors.insert(number, cursor);
            let Some(room) = desk.rooms.get(number).await? else { continue };
            if room.last_position() > cursor {
                new.extend(desk.written(number, cursor, upto).await?.into_iter().map(|event| (event, link.clone())));
            }
        }
        new.sort_by_key(|(event, _)| event.order);
        for (event, link) in new {
            let at = Position(u64::try_from(event.order).unwrap_or_default());
            if desk.is_announcement(&event).await? {
                desk.make_families(&link).await?;
                desk.repeat(&event, &link, at).await?;
            }
            let mut batch = crate::store::Batch::new();
            batch.put(&ROOM_SENT_ON, &event.room, &at);
            desk.store.commit(batch).await?;
            cursors.insert(event.room, at);
        }
        self.sent_on.send_modify(|sent| *sent = (*sent).max(upto));
        Ok(())
    }

    /// Waits until everything announced by now has reached its readers.
    pub async fn announced(&self) {
        let upto = self.desk.store.position();
        // The sender is held by this value.
        let _ = self.sent_on.subscribe().wait_for(|sent| *sent >= upto).await;
    }

    /// Announces a text in a room for announcements, in the name of somebody who may write there.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] when it is no such room, [`SchoolError::Forbidden`].
    pub async fn announce(&self, room_id: &RoomId, text: &str, actor: &UserId) -> Result<(), SchoolError> {
        let (desk, number, link) = self.find(room_id).await?;
        if !is_source(&link) {
            return Err(SchoolError::NotFound("room for announcements"));
        }
        let room = desk.rooms.get(number).await?.ok_or(SchoolError::NotFound("room"))?;
        let user = desk.store.user(actor).await?.ok_or(SchoolError::NotFound("person"))?;
        let content = serde_json::to_vec(&json!({ "msgtype": "m.text", "body": text })).unwrap_or_default();
        let sender = crate::rooms::Actor { user_id: actor, user, device_id: "", guest: false };
        // Two announcements of one moment are two: the position moves with every commit.
        let transaction = format!("announce-{}-{}", desk.clock.now_ms(), desk.store.position().0);
        desk.rooms.send_message(&sender, &room.id, "m.room.message", &transaction, &content).await?;
        Ok(())
    }
}

/// Whether what is written in a room is sent on.
fn is_source(link: &RoomLink) -> bool {
    match link.kind {
        RoomKind::ClassFamily => !link.object.contains('#'),
        RoomKind::Announce => !link.object.starts_with("class:"),
        _ => false,
    }
}

impl Desk {
    async fn written(&self, room: RoomNo, after: Position, upto: Position) -> Result<Vec<Arc<Event>>, SchoolError> {
        let order = |position: Position| i64::try_from(position.0).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        let mut from = order(after).saturating_add(1);
        loop {
            let until = (room, order(upto).saturating_add(1));
            let rows = self.store.range(&TIMELINE, &(room, from), &until, Order::Ascending, PAGE).await?;
            for ((_, at), number) in &rows {
                found.push(self.rooms.events().require(room, *number).await?);
                from = at.saturating_add(1);
            }
            if rows.len() < PAGE {
                return Ok(found);
            }
        }
    }

    /// Whether an event is a message of a person with power in its room, and no correction of another.
    async fn is_announcement(&self, event: &Event) -> Result<bool, SchoolError> {
        let (service, _) = self.service().await?;
        let related = content::RelatesTo::read(&event.pdu.content)
            .is_some_and(|relates| relates.relation().is_some_and(|(kind, _)| kind == "m.replace"));
        let message = event.pdu.kind == TimelineEventType::RoomMessage && event.header.redacted_by.is_none();
        if !message || related || event.pdu.sender == *service {
            return Ok(false);
        }
        let Some(room) = self.rooms.get(event.room).await? else { return Ok(false) };
        Ok(room.view().power.user_level(&event.pdu.sender).reaches(ADULT_POWER))
    }

    /// Repeats a message in the rooms of those it is for.
    async fn repeat(&self, event: &Event, link: &RoomLink, at: Position) -> Result<(), SchoolError> {
        let message = self.repeated(event).await?;
        for reader in self.readers(link) {
            if self.store.get(&ROOM_SENT_ON, &reader).await?.is_some_and(|served| served >= at) {
                continue;
            }
            let Some(room) = self.rooms.get(reader).await? else { continue };
            let mut edit = Edit::of(self, &room).await?;
            edit.send(TimelineEventType::RoomMessage, &message).await?;
            edit.batch().put(&ROOM_SENT_ON, &reader, &at);
            edit.commit().await?;
        }
        Ok(())
    }

    /// The rooms in which an announcement is read, those of families last.
    fn readers(&self, source: &RoomLink) -> Vec<RoomNo> {
        let people = self.rules.people();
        let homerooms = homerooms(&people, source).into_iter().filter_map(|class| people.class(class));
        let homerooms: Vec<String> = homerooms.map(|class| key(&class.source, &class.id)).collect();
        let whole_school = source.kind == RoomKind::Announce;
        let classes: std::collections::HashSet<String> = homerooms.iter().map(|class| class_key(class)).collect();
        let homerooms: std::collections::HashSet<&str> = homerooms.iter().map(String::as_str).collect();
        let meet = self.settings().guardians_meet;
        let mut readers: Vec<(bool, RoomNo)> = Vec::new();
        for (number, link) in self.rules.rooms().all() {
            let families = link.kind == RoomKind::ClassFamily;
            let reads = match (link.kind, link.object.rsplit_once('#')) {
                (RoomKind::ClassFamily, Some((class, _))) => !meet && homerooms.contains(class),
                (RoomKind::ClassFamily, None) => meet && whole_school && homerooms.contains(&*link.object),
                (RoomKind::Announce, _) => whole_school && classes.contains(&link.object),
                _ => false,
            };
            if reads && !link.archived {
                readers.push((families, number));
            }
        }
        readers.sort_unstable();
        readers.into_iter().map(|(_, number)| number).collect()
    }

    async fn repeated(&self, event: &Event) -> Result<Value, SchoolError> {
        let mut message: Map<String, Value> = serde_json::from_str(event.pdu.content.get()).unwrap_or_default();
        message.retain(|key, _| REPEATED.contains(&key.as_str()));
        let author = self.profile(event.header.sender).await?.displayname;
        let author = author.unwrap_or_else(|| event.pdu.sender.localpart().to_owned());
        if matches!(message.get("msgtype").and_then(Value::as_str), Some("m.text" | "m.notice" | "m.emote")) {
            for (key, gap) in [("body", "\n"), ("formatted_body", "<br>")] {
                if let Some(text) = message.get(key).and_then(Value::as_str) {
                    let name = if key == "body" { author.clone() } else { escape(&author) };
                    let said = format!("{name}:{gap}{text}");
                    message.insert(key.into(), said.into());
                }
            }
        }
        let about = json!({ "sender": event.pdu.sender, "name": author, "event_id": event.pdu.event_id });
        message.insert(ANNOUNCEMENT.into(), about);
        Ok(Value::Object(message))
    }
}

/// A text as it stands in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
