//! Chats that two people make for themselves: the school leaves them to the two, and closes them when its rules come to
//! allow them in neither direction.
//!
//! The school's account is no member of such a room and has no power in it, so it says nothing there. Whoever writes is
//! refused with the reason, and both find [`ROOM_STATE`] among their account data of the room. What is closed stays so
//! until an administrator opens it: rules that become looser open nothing by themselves.

use std::sync::Arc;

use ruma::events::TimelineEventType;
use serde_json::{json, value::to_raw_value};

use super::{
    super::{
        Rules, SchoolError,
        audit::Author,
        people::People,
        policy::{Outcome, Ruling},
    },
    book::Chat,
    content::ROOM_STATE,
    desk::Desk,
    wanted::is_here,
};
use crate::{
    rooms::policy::Verb,
    store::{Batch, RoomNo},
};

/// What the two are told.
pub(in crate::school) const CLOSED: &str = "The rules of your school do not allow this chat any more. You can still \
                                            read it; an administrator can open it again.";

impl Rules {
    /// Whether an event of a type is refused in a chat of two that is closed. What was said may still be taken back.
    pub(in crate::school) fn is_closed_chat(&self, room: RoomNo, kind: &TimelineEventType) -> bool {
        !matches!(kind, TimelineEventType::RoomMember | TimelineEventType::RoomRedaction)
            && self.rooms().chat(room).is_some_and(|chat| chat.held)
    }
}

impl Desk {
    /// Closes the chats of all pairs who may no longer write to each other. The answer is how many it closed.
    pub(super) async fn close_chats(&self, people: &Arc<People>) -> Result<u64, SchoolError> {
        let (rules, people) = (self.rules.clone(), people.clone());
        let find = move || {
            let open = rules.rooms().chats().into_iter().filter(|(_, chat)| !chat.held);
            let found = open.filter_map(|(room, chat)| Some((room, chat, forbidden(&rules, &people, chat)?)));
            found.collect::<Vec<_>>()
        };
        let found = tokio::task::spawn_blocking(find).await.map_err(SchoolError::task)?;
        let mut closed = 0;
        for (number, chat, ruling) in found {
            let Some(room) = self.rooms.get(number).await? else { continue };
            // With a third in it the room is a group, and not theirs alone.
            let view = room.view();
            let theirs = |user: &u64| *user == chat.pair.0.0 || *user == chat.pair.1.0;
            if view.joined_count == 0 || view.joined_count > 2 || !view.joined.iter().all(theirs) {
                continue;
            }
            self.hold(number, true, &Author::server(), Some(ruling.rule)).await?;
            closed += 1;
        }
        Ok(closed)
    }

    /// Closes a chat of two, or opens it. `rule` is the one that has closed it.
    pub(super) async fn hold(
        &self,
        number: RoomNo,
        held: bool,
        by: &Author,
        rule: Option<&str>,
    ) -> Result<(), SchoolError> {
        let chat = self.rules.rooms().chat(number).ok_or(SchoolError::NotFound("room"))?;
        if chat.held == held {
            return Ok(());
        }
        let room_id = self.store.room_id(number).await?;
        // Before it is so: after a crash the next pass says it again.
        let told = if held { json!({ "frozen": true, "message": CLOSED }) } else { json!({ "frozen": false }) };
        let told = to_raw_value(&told).map_err(|error| SchoolError::Failed(error.to_string()))?;
        for user in [chat.pair.0, chat.pair.1] {
            self.users.account_data.set(user, Some(number), ROOM_STATE, &told).await?;
        }
        let mut batch = Batch::new();
        self.rules.rooms().stage_chat(&mut batch, number, Chat { held, ..chat });
        let action = if held { "room.freeze" } else { "room.unfreeze" };
        self.audit.stage(&mut batch, by, action, room_id.as_str(), &json!({ "kind": "direct", "rule": rule }));
        self.store.commit(batch).await?;
        Ok(())
    }
}

/// What forbids a pair to write to each other, in both directions; `None` while one of them may, or is not there. That
/// one ignores the other is between the two.
fn forbidden(rules: &Rules, people: &People, chat: Chat) -> Option<Ruling> {
    let (one, other) = (people.of_user(chat.pair.0)?, people.of_user(chat.pair.1)?);
    if !is_here(people, one) || !is_here(people, other) {
        return None;
    }
    let there = rules.ruling_but_for_blocks(people, one, other, Verb::Dm);
    let back = rules.ruling_but_for_blocks(people, other, one, Verb::Dm);
    let closed = |ruling: &Ruling| ruling.outcome != Outcome::Allow;
    (closed(&there) && closed(&back)).then_some(there)
}
