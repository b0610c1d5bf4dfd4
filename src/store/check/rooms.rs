//! Rooms, memberships, receipts, aliases.

use ruma::{RoomAliasId, events::StateEventType};

use super::{events::is_event_id, rows::Check, states::States};
use crate::{
    event::{Pdu, content},
    store::{
        EventNo, RoomNo, StoreError, UserNo,
        schema::{
            ROOM_NAMES, STATE_KEY_NAMES, STATE_KEY_NUMBERS, USER_NAMES, USER_NUMBERS,
            rooms::{
                ALIASES, EVENTS, FORGOTTEN, HEADS, MEMBERS, Membership, OUTSIDE, PUBLISHED, RECEIPT_LOG, RECEIPTS,
                ROOM_ALIASES, ROOMS, TIMELINE, USER_ROOMS,
            },
        },
    },
};

impl Check<'_> {
    /// Rooms have an id, a beginning, and extremities that exist.
    pub(super) fn rooms(&mut self) -> Result<(), StoreError> {
        self.walk(&ROOMS, |check, room, _| {
            check.room_is_named(ROOMS.name, room)?;
            if check.last(&TIMELINE, &room)?.is_none() {
                check.report.find(ROOMS.name, || format!("room {} has no events", room.0));
            }
            Ok(())
        })?;
        self.walk(&HEADS, |check, room, head| {
            check.is_room(HEADS.name, room)?;
            head.extremities.into_iter().try_for_each(|event| check.is_event(HEADS.name, room, event))
        })?;
        self.walk(&PUBLISHED, |check, room, ()| check.is_room(PUBLISHED.name, room))
    }

    /// Memberships are the same by room and by user, and what the room's state says.
    pub(super) fn members(&mut self, states: &mut States) -> Result<(), StoreError> {
        self.agree(&MEMBERS, &USER_ROOMS, |(room, user), record| Some(((*user, *room), *record)))?;
        self.agree(&USER_ROOMS, &MEMBERS, |(user, room), record| Some(((*room, *user), *record)))?;
        self.walk(&MEMBERS, |check, (room, user), record| {
            let Some(name) = check.get(&USER_NAMES, &user.0)? else { return check.user_is_named(MEMBERS.name, user) };
            let problem = check.member(states, room, &name, record.event, record.membership)?;
            if let Some(problem) = problem {
                check.report.find(MEMBERS.name, || format!("room {}, {name}: {problem}", room.0));
            }
            Ok(())
        })?;
        self.walk(&ROOMS, |check, room, _| {
            let state = check.current_state(states, room)?;
            for (key, event) in check.state_entries(state)? {
                let pair = check.get(&STATE_KEY_NAMES, &key)?;
                let Some(name) = pair.as_deref().and_then(|pair| pair.strip_prefix("m.room.member\0")) else {
                    continue;
                };
                let Some(user) = check.get(&USER_NUMBERS, &name.to_owned())? else { continue };
                let record = check.get(&MEMBERS, &(room, UserNo(user)))?;
                if record.is_none_or(|record| record.event != EventNo(event)) {
                    check
                        .report
                        .find(MEMBERS.name, || format!("room {}, {name}: the room's state has another event", room.0));
                }
            }
            Ok(())
        })?;
        self.walk(&FORGOTTEN, |check, (user, room), ()| {
            check.user_is_named(FORGOTTEN.name, user)?;
            check.room_is_named(FORGOTTEN.name, room)
        })?;
        self.walk(&OUTSIDE, |check, (user, room), record| {
            if serde_json::from_str::<Vec<serde_json::Value>>(&record.state).is_err() {
                check.report.find(OUTSIDE.name, || format!("user {}, room {}: not a list of events", user.0, room.0));
            }
            check.user_is_named(OUTSIDE.name, user)?;
            check.room_is_named(OUTSIDE.name, room)
        })
    }

    /// What is wrong with the event behind a membership. One that came with a room's state has no place in the timeline,
    /// and stands in the room's state like every other.
    fn member(
        &self,
        states: &mut States,
        room: RoomNo,
        name: &str,
        event: EventNo,
        membership: Membership,
    ) -> Result<Option<&'static str>, StoreError> {
        // Of an invitation from elsewhere only the invitation is known, not the room.
        if !self.has(&ROOMS, &room)? {
            return Ok((membership == Membership::Join).then_some("joined to an unknown room"));
        }
        let Some(stored) = self.get(&EVENTS, &(room, event))? else { return Ok(Some("the member event is missing")) };
        let parsed = ruma::OwnedEventId::try_from(stored.header.event_id.as_str()).ok();
        let Some(pdu) = parsed.and_then(|id| Pdu::from_stored(id, stored.json).ok()) else {
            return Ok(Some("the member event cannot be read"));
        };
        if !pdu.is_state(&StateEventType::RoomMember.to_string().into(), name) {
            return Ok(Some("the event is not about this membership"));
        }
        let said = content::membership(&pdu.content).map(|said| said.to_string());
        if said.as_deref() != Some(word(membership)) {
            return Ok(Some("the event says something else"));
        }
        let state = self.current_state(states, room)?;
        let key = self.get(&STATE_KEY_NUMBERS, &format!("m.room.member\0{name}"))?;
        let current = key.map(|key| self.state_event(state, key)).transpose()?.flatten();
        Ok((current != Some(event)).then_some("the room's state has another event"))
    }

    /// Receipts are found by when they came; aliases by their room.
    pub(super) fn receipts_and_aliases(&mut self) -> Result<(), StoreError> {
        self.agree(&RECEIPTS, &RECEIPT_LOG, |(room, user, kind), receipt| {
            Some(((*room, receipt.position), (*user, kind.clone())))
        })?;
        self.walk(&RECEIPT_LOG, |check, (room, position), (user, kind)| {
            if check.get(&RECEIPTS, &(room, user, kind))?.is_none_or(|receipt| receipt.position != position) {
                check.report.find(RECEIPT_LOG.name, || {
                    format!("room {}: {} leads to another receipt or to none", room.0, position.0)
                });
            }
            Ok(())
        })?;
        self.walk(&RECEIPTS, |check, (room, user, _), receipt| {
            check.user_is_named(RECEIPTS.name, user)?;
            if !is_event_id(&receipt.event_id) {
                check.report.find(RECEIPTS.name, || format!("room {}, user {}: not an event id", room.0, user.0));
            }
            check.is_room(RECEIPTS.name, room)
        })?;
        self.agree(&ALIASES, &ROOM_ALIASES, |alias, record| Some(((record.room, alias.clone()), ())))?;
        self.walk(&ROOM_ALIASES, |check, (room, alias), ()| {
            if check.get(&ALIASES, &alias)?.is_none_or(|record| record.room != room) {
                check.report.find(ROOM_ALIASES.name, || format!("{alias} leads to another room or to none"));
            }
            if RoomAliasId::parse(&alias).is_err() {
                check.report.find(ROOM_ALIASES.name, || format!("{alias:?} is not an alias"));
            }
            check.is_room(ROOM_ALIASES.name, room)
        })
    }

    pub(super) fn is_room(&mut self, table: &'static str, room: RoomNo) -> Result<(), StoreError> {
        if !self.has(&ROOMS, &room)? || !self.has(&ROOM_NAMES, &room.0)? {
            self.report.find(table, || format!("room {} is not known", room.0));
        }
        Ok(())
    }
}

fn word(membership: Membership) -> &'static str {
    match membership {
        Membership::Join => "join",
        Membership::Invite => "invite",
        Membership::Knock => "knock",
        Membership::Leave => "leave",
        Membership::Ban => "ban",
    }
}
