//! How an event becomes part of its room: its rows, and where the room stands afterwards.
//!
//! One way for events made here and events received. An event that continues the room's only end costs what it says
//! itself; one that begins or joins a fork makes the room's state the resolution of its ends, and what that changes
//! takes effect like any other change of state.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, ServerName, UserId, events::StateEventType, room_version_rules::EventsReferenceFormatVersion,
};

use super::{
    NewEvent, RoomsError, Writer,
    registry::RoomsParts,
    related::check_annotation,
    resolve::auth_record,
    room::{EXTREMITIES_MAX, Extremity, Room, RoomView},
    writer::Placed,
};
use crate::{
    event::Pdu,
    store::{
        Batch, Event, EventNo, RoomNo, Rows, StoreError, UserNo, Verdict,
        events::Header,
        schema::{
            federation::{OUTGOING, OUTGOING_LAST},
            rooms::{AUTH_EDGES, GAPS, GapRecord, HEADS, HeadRecord, STANDS, StandRecord, TIMELINE},
        },
        state_tree::{StateChange, StateRoot},
    },
};

/// Orders kept free before an event whose predecessors are missing: for history that is fetched later.
pub(super) const GAP_ORDERS: u64 = 1 << 32;
/// States of ends that are resolved at once; an event may name as many predecessors.
const STATES_MAX: usize = 20;

/// How an event comes into its room.
pub(super) struct Arrival {
    /// The room's state before it.
    pub(super) state_before: StateRoot,
    /// What the checks have found.
    pub(super) verdict: Verdict,
    /// Predecessors that this server does not have: history is missing there.
    pub(super) missing: Vec<OwnedEventId>,
    /// The device and transaction id it was sent with.
    pub(super) transaction: Option<(String, String)>,
    /// Another server tells the others of it, though a local user has sent it.
    pub(super) delivered: bool,
    /// The room stands at this event alone, whatever it stood at before: this server joins it anew.
    pub(super) anew: bool,
}

impl Arrival {
    /// An event that counts.
    pub(super) fn accepted(state_before: StateRoot) -> Self {
        let verdict = Verdict::Accepted;
        Self { state_before, verdict, missing: Vec::new(), transaction: None, delivered: false, anew: false }
    }
}

impl Writer {
    /// Builds an event where the room stands.
    pub(super) async fn build(&self, new: NewEvent, auth_events: Vec<OwnedEventId>) -> Result<Pdu, RoomsError> {
        let (prev_events, depth) = self.place();
        let hashes = self.reference_hashes(prev_events.iter().chain(&auth_events)).await?;
        let draft = self.rooms.draft(new, Some(self.room.id.clone()), prev_events, auth_events, depth);
        Ok(draft.build_with(&self.room.rules, &self.rooms.parts.key, |id| hashes.get(id).copied())?)
    }

    /// The hashes of the events that a new one names; room versions 1 and 2 want them beside the ids, the others not.
    async fn reference_hashes<'a>(
        &self,
        ids: impl Iterator<Item = &'a OwnedEventId>,
    ) -> Result<HashMap<OwnedEventId, [u8; 32]>, RoomsError> {
        let (mut hashes, rules) = (HashMap::new(), &self.room.rules);
        if rules.events_reference_format == EventsReferenceFormatVersion::V1 {
            for id in ids {
                let event = match self.added.iter().find(|event| event.pdu.event_id == *id) {
                    Some(event) => Some(event.clone()),
                    None => self.rooms.parts.events.in_room(self.room.number, id).await?,
                };
                if let Some(event) = event {
                    hashes.insert(id.clone(), event.pdu.reference_hash(rules)?);
                }
            }
        }
        Ok(hashes)
    }

    /// Adds an event. The caller has checked it, and holds nothing that waits for this room.
    pub(super) async fn arrive(&mut self, pdu: Pdu, arrival: Arrival) -> Result<Arc<Event>, RoomsError> {
        let parts = self.rooms.parts.clone();
        let local = pdu.sender.server_name() == parts.server_name;
        // What is made here is new; what comes from elsewhere may have come before, as part of a state.
        let known = if local && !arrival.delivered { None } else { parts.events.number_of(&pdu.event_id).await? };
        // In room versions 1 and 2 a server names its events as it likes.
        if known.is_some_and(|(of, _)| of != self.room.number) {
            return Err(RoomsError::Invalid("the event's id is that of an event in another room".to_owned()));
        }
        if local && !arrival.delivered {
            check_annotation(&parts, &self.room, &pdu).await?;
        }
        let number = known.map_or_else(|| parts.store.next_event(), |(_, number)| number);
        let sender = parts.store.mint_user(&pdu.sender, &mut self.batch).await?;
        let before = arrival.state_before;
        let (mut after, mut change) = (before, None);
        if let Some((kind, key)) = pdu.state_pair().filter(|_| !matches!(arrival.verdict, Verdict::Rejected(_))) {
            let pair = parts.store.mint_state_key(&kind, key, &mut self.batch).await?;
            let old = parts.tree.get(before, pair).await?;
            after = parts.tree.apply(before, &[(pair, Some(number))], &mut self.batch).await?;
            change = Some(StateChange { key: pair, old, new: Some(number) });
        }
        if pdu.state_key.is_some() {
            auth_row(&parts, self.room.number, &pdu, number, &mut self.batch).await?;
        }
        let accepted = arrival.verdict == Verdict::Accepted;
        let replaces = change.and_then(|change| change.old);
        let header =
            Header { verdict: arrival.verdict, ..header(&pdu, sender, before, after, replaces, arrival.transaction) };
        // It aims there though somebody may have redacted it already.
        let redacts = pdu.redaction_target(&self.room.rules.redaction);
        let (pdu, header) = if local { (pdu, header) } else { self.redacted_ahead(pdu, header).await? };
        let event = Arc::new(Event::new(number, self.room.number, header, pdu)?);
        if !accepted {
            parts.events.add_at(Event::UNPLACED, &event, &mut self.batch);
            return Ok(event);
        }
        parts.events.hold(&event, &mut self.batch);
        if !local {
            parts.remote.keys().keep_with(event.pdu.sender.server_name(), &mut self.batch);
        }
        let stood = self.view.state;
        let changes = self.stand_at(&event, arrival.anew, change).await?;
        // Who enters a room anew is told of everything.
        let stand = if arrival.anew { None } else { self.stand_row(&event, stood) };
        let (had_servers, mut rows) = (!self.view.servers.is_empty(), Vec::new());
        for change in &changes {
            rows.extend(self.effects.state(&parts, &self.room, &mut self.view, change, &mut self.batch).await?);
        }
        let told = (&event, redacts.as_deref());
        rows.extend(self.effects.of(&parts, &self.room, &mut self.view, told, &mut self.batch).await?);
        if !local || redacts.is_some() {
            self.await_target(&event, redacts.as_deref()).await?;
        }
        if !local {
            self.take_up_awaiting(&event).await?;
        }
        let strangers = had_servers || !self.view.servers.is_empty() || concerns_another(&event, &parts.server_name);
        let passed_on = !local && self.rooms.writes.crossings.passes_on(&event.pdu.event_id);
        let outgoing = strangers && ((local && !arrival.delivered) || passed_on);
        self.outgoing |= outgoing;
        let placing = timeline_row(&event, &self.placed);
        let (gap, room) = (self.gap_row(&event, arrival.missing), self.room.number);
        let skip = if gap.is_some() { GAP_ORDERS } else { 0 };
        parts.events.add_after(skip, &event, &mut self.batch, move |order, made| {
            placing(order, made);
            if let Some(stand) = stand {
                made.put(&STANDS, &(room, order), &stand);
            }
            if let Some(gap) = gap {
                gap(order, made);
            }
            if outgoing {
                outgoing_rows(room, order, made);
            }
            for row in rows {
                row(order, made);
            }
        });
        self.added.push(event.clone());
        Ok(event)
    }

    /// Moves the room's ends and its state to where they are with this event; what that changes in the state.
    async fn stand_at(
        &mut self,
        event: &Arc<Event>,
        anew: bool,
        change: Option<StateChange>,
    ) -> Result<Vec<StateChange>, StoreError> {
        // It was missing before an event that is here: the room has gone on from it long ago.
        if !anew && self.room.gap_for(&event.pdu.event_id).is_some() {
            return Ok(Vec::new());
        }
        if anew {
            self.view.extremities.clear();
        }
        let states = move_ends(&mut self.view.extremities, &event.pdu, Extremity::of(event), self.view.state);
        let parts = &self.rooms.parts;
        let old = self.view.state;
        let new = match &*states {
            [only] => *only,
            _ => self.rooms.resolver.resolve(self.room.number, &self.room.rules, &states, &mut self.batch).await?,
        };
        self.view.state = new;
        if new == old {
            return Ok(Vec::new());
        }
        if old == event.header.state_before && new == event.header.state_after {
            return Ok(change.into_iter().collect());
        }
        parts.tree.diff(old, new).await
    }

    /// What the room's state was before and after the event came, if readers cannot tell that from the event.
    fn stand_row(&self, event: &Event, before: StateRoot) -> Option<StandRecord> {
        let stand = StandRecord { before, after: self.view.state };
        let plain = stand.before == event.header.state_before && stand.after == event.header.state_after;
        if !plain {
            self.room.note_detour();
        }
        (!plain).then_some(stand)
    }

    /// The row of the gap before an event whose predecessors are missing.
    fn gap_row(
        &self,
        event: &Arc<Event>,
        missing: Vec<OwnedEventId>,
    ) -> Option<impl FnOnce(i64, &mut Rows) + Send + use<>> {
        if missing.is_empty() {
            return None;
        }
        let (room, gaps) = (event.room, self.gaps.clone());
        Some(move |order: i64, rows: &mut Rows| {
            let missing = missing.iter().map(ToString::to_string).collect();
            let floor = order.saturating_sub(i64::try_from(GAP_ORDERS).unwrap_or(i64::MAX));
            let gap = GapRecord { missing, next: order.saturating_sub(1), floor };
            rows.put(&GAPS, &(room, order), &gap);
            gaps.lock().push((order, Some(gap)));
        })
    }
}

/// Moves the ends of a room that is in `state` to where they are with a new event, which is the end `new`. The answer is
/// the states that the room's new state comes of, that after the event first.
pub(super) fn move_ends(ends: &mut Vec<Extremity>, pdu: &Pdu, new: Extremity, state: StateRoot) -> Vec<StateRoot> {
    let prev: HashSet<&EventId> = pdu.prev_events.iter().map(AsRef::as_ref).collect();
    ends.retain(|end| !prev.contains(&*end.id));
    let after = new.state;
    // Of too many ends those stay that are here: nobody pushes the room's own past out with ends of their own.
    if ends.len() < EXTREMITIES_MAX {
        ends.push(new);
    }
    let mut states = vec![after];
    for end in ends.iter().rev() {
        if !states.contains(&end.state) {
            states.push(end.state);
        }
    }
    if states.len() > STATES_MAX {
        // More than are resolved at once: the others are in what the room has come to.
        states = vec![after, state];
    }
    states
}

/// Whether an event tells a user of another server what they are to the room now: their server hears of it though nobody
/// of it may be in the room.
fn concerns_another(event: &Event, own: &ServerName) -> bool {
    let target = event.pdu.state_pair().filter(|(kind, _)| *kind == StateEventType::RoomMember);
    target.and_then(|(_, key)| <&UserId>::try_from(key).ok()).is_some_and(|user| user.server_name() != own)
}

/// Says in the batch where the room stands, if that is not simply its newest event.
pub(super) fn mark_head(
    room: &Room,
    view: &mut RoomView,
    before: &RoomView,
    newest: Option<EventNo>,
    batch: &mut Batch,
) {
    let Some(newest) = newest else { return };
    let linear = matches!(&*view.extremities, [only] if only.number == newest && only.state == view.state);
    if !linear {
        let extremities = view.extremities.iter().map(|end| end.number).collect();
        batch.put(&HEADS, &room.number, &HeadRecord { extremities, state: view.state });
    } else if before.forked {
        batch.delete(&HEADS, &room.number);
    }
    view.forked = !linear;
}

/// The row that makes an event part of the auth graph. Auth events that are not known are left out.
pub(super) async fn auth_row(
    parts: &RoomsParts,
    room: RoomNo,
    pdu: &Pdu,
    number: EventNo,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let mut auth_events = Vec::with_capacity(pdu.auth_events.len());
    for id in &pdu.auth_events {
        if let Some((of, number)) = parts.events.number_of(id).await?
            && of == room
        {
            auth_events.push(number);
        }
    }
    batch.put(&AUTH_EDGES, &(room, number), &auth_record(pdu, auth_events));
    Ok(())
}

pub(super) fn header(
    pdu: &Pdu,
    sender: UserNo,
    state_before: StateRoot,
    state_after: StateRoot,
    replaces_state: Option<EventNo>,
    transaction: Option<(String, String)>,
) -> Header {
    Header {
        event_id: pdu.event_id.to_string(),
        sender,
        state_before,
        state_after,
        verdict: Verdict::Accepted,
        redacted_by: None,
        replaces_state,
        transaction,
    }
}

pub(super) fn timeline_row(event: &Event, placed: &Placed) -> impl FnOnce(i64, &mut Rows) + Send + use<> {
    let (room, event, placed) = (event.room, event.number, placed.clone());
    move |order, rows| {
        rows.put(&TIMELINE, &(room, order), &event);
        placed.lock().push((order, event));
    }
}

/// The rows that tell the federation of an event of this server.
fn outgoing_rows(room: RoomNo, order: i64, rows: &mut Rows) {
    let position = crate::store::Position(u64::try_from(order).unwrap_or(0));
    rows.put(&OUTGOING, &position, &room);
    rows.put(&OUTGOING_LAST, &room, &position);
}
