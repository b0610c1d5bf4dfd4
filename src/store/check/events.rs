//! Events, timelines, and what points at events.

use ruma::{EventId, RoomVersionId};

use super::{rows::Check, states::States};
use crate::{
    event::{Pdu, room_version},
    store::{
        Event, EventNo, RoomNo, StoreError,
        events::{StoredEvent, Verdict},
        schema::{
            COUNTERS, ROOM_NAMES, STATE_KEY_NUMBERS, USER_NUMBERS,
            rooms::{ANNOTATIONS, EVENT_IDS, EVENTS, RELATIONS, ROOMS, THREAD_ORDER, THREADS, TIMELINE},
        },
    },
};

impl Check<'_> {
    /// Events are what their ids say, can be found by id and in their timeline, and know their states.
    pub(super) fn events(&mut self, states: &mut States) -> Result<(), StoreError> {
        let reserved = self.get(&COUNTERS, &())?;
        let (event_end, position_end) = reserved.map_or((0, 0), |reserved| (reserved.event, reserved.position));
        self.walk(&EVENTS, |check, (room, number), event| {
            if number.0 >= event_end {
                check
                    .report
                    .find(EVENTS.name, || format!("the number of {} could be given out again", event.header.event_id));
            }
            if u64::try_from(event.order).is_ok_and(|order| event.order != Event::UNPLACED && order >= position_end) {
                check.report.find(EVENTS.name, || {
                    format!("the position of {} could be given out again", event.header.event_id)
                });
            }
            check.event(states, room, number, &event)
        })?;
        self.walk(&EVENT_IDS, |check, id, key| {
            if check.get(&EVENTS, &key)?.is_none_or(|event| event.header.event_id != id) {
                check.report.find(EVENT_IDS.name, || format!("{id} leads to another event or to none"));
            }
            Ok(())
        })?;
        self.walk(&TIMELINE, |check, (room, order), number| {
            if check.get(&EVENTS, &(room, number))?.is_none_or(|event| event.order != order) {
                check
                    .report
                    .find(TIMELINE.name, || format!("room {} at {order} leads to another event or to none", room.0));
            }
            Ok(())
        })
    }

    fn event(
        &mut self,
        states: &mut States,
        room: RoomNo,
        number: EventNo,
        event: &StoredEvent,
    ) -> Result<(), StoreError> {
        let header = &event.header;
        let mut problems: Vec<&str> = Vec::new();
        if self.get(&EVENT_IDS, &header.event_id)? != Some((room, number)) {
            problems.push("is not found by its id");
        }
        let placed = event.order != Event::UNPLACED;
        if placed && self.get(&TIMELINE, &(room, event.order))? != Some(number) {
            problems.push("is not in its timeline");
        }
        if !placed && header.verdict == Verdict::Accepted {
            problems.push("was accepted but has no place");
        }
        for (other, problem) in
            [(header.redacted_by, "names a missing redaction"), (header.replaces_state, "replaces a missing event")]
        {
            if let Some(other) = other
                && !self.has(&EVENTS, &(room, other))?
            {
                problems.push(problem);
            }
        }
        match self.pdu(room, event)? {
            Ok(pdu) => {
                if self.get(&ROOM_NAMES, &room.0)?.as_deref() != Some(pdu.room_id.as_str()) {
                    problems.push("belongs to another room");
                }
                if self.get(&USER_NUMBERS, &pdu.sender.to_string())? != Some(header.sender.0) {
                    problems.push("has another sender");
                }
                problems.extend(self.step(number, event, &pdu)?);
            }
            Err(problem) => problems.push(problem),
        }
        for problem in problems {
            self.report.find(EVENTS.name, || format!("{} {problem}", header.event_id));
        }
        self.state(states, room, header.state_before)?;
        self.state(states, room, header.state_after)
    }

    /// Reads an event as if it came from outside, which computes its id.
    fn pdu(&self, room: RoomNo, event: &StoredEvent) -> Result<Result<Pdu, &'static str>, StoreError> {
        let record = self.get(&ROOMS, &room)?;
        let version = record.and_then(|record| RoomVersionId::try_from(record.version).ok());
        let Some(rules) = version.as_ref().and_then(room_version::supported) else {
            return Ok(Err("belongs to a room of no known version"));
        };
        Ok(match Pdu::parse(event.json.as_bytes(), &rules) {
            Ok(pdu) if pdu.event_id.as_str() == event.header.event_id => Ok(pdu),
            Ok(_) => Err("does not have the hash that its id says"),
            Err(_) => Err("is not a valid event"),
        })
    }

    /// The state after an event is the state before it with the event, if it is state and was not rejected. Of events
    /// without a place in history no state is known.
    fn step(&self, number: EventNo, event: &StoredEvent, pdu: &Pdu) -> Result<Option<&'static str>, StoreError> {
        let header = &event.header;
        let counts = matches!(header.verdict, Verdict::Accepted | Verdict::SoftFailed(_));
        let Some((kind, key)) = pdu.state_pair().filter(|_| counts) else {
            return Ok(
                (header.state_before != header.state_after).then_some("changes the state though it is no state event")
            );
        };
        let Some(key) = self.get(&STATE_KEY_NUMBERS, &format!("{kind}\0{key}"))? else {
            return Ok(Some("has a state key without a number"));
        };
        Ok((self.state_event(header.state_after, key)? != Some(number)).then_some("is not in the state after it"))
    }

    /// Relations and threads lead to events.
    pub(super) fn relations(&mut self) -> Result<(), StoreError> {
        self.walk(&RELATIONS, |check, (room, parent, _, order), child| {
            check.is_event(RELATIONS.name, room, parent)?;
            if check.get(&EVENTS, &(room, child))?.is_none_or(|event| event.order != order) {
                check.report.find(RELATIONS.name, || {
                    format!("room {}: a child of event {} is elsewhere or missing", room.0, parent.0)
                });
            }
            Ok(())
        })?;
        self.walk(&ANNOTATIONS, |check, (room, parent, sender, _), child| {
            check.is_event(ANNOTATIONS.name, room, parent)?;
            if check.get(&EVENTS, &(room, child))?.is_none_or(|event| event.header.sender != sender) {
                check.report.find(ANNOTATIONS.name, || {
                    format!("room {}: an annotation of event {} is missing", room.0, parent.0)
                });
            }
            Ok(())
        })?;
        self.agree(&THREADS, &THREAD_ORDER, |(room, order), root| Some(((*room, *root), *order)))?;
        self.agree(&THREAD_ORDER, &THREADS, |(room, root), order| Some(((*room, *order), *root)))?;
        self.walk(&THREAD_ORDER, |check, (room, root), _| check.is_event(THREAD_ORDER.name, room, root))
    }

    /// Notes a row that names an event which is not there.
    pub(super) fn is_event(&mut self, table: &'static str, room: RoomNo, event: EventNo) -> Result<(), StoreError> {
        if !self.has(&EVENTS, &(room, event))? {
            self.report.find(table, || format!("room {}: event {} is missing", room.0, event.0));
        }
        Ok(())
    }
}

/// An event id as the tables hold it.
pub(super) fn is_event_id(id: &str) -> bool {
    EventId::parse(id).is_ok()
}
