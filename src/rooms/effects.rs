//! What an event changes besides the timeline: the view, memberships, relations, redactions.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
};

use super::{
    RoomsError,
    registry::RoomsParts,
    room::{Room, RoomView},
};
use crate::{
    event::{
        Pdu, PowerLevels,
        content::{self, JoinRules, RelatesTo},
        redact,
    },
    notify::Concerned,
    store::{
        Batch, Event, EventNo, Events, Position, RoomNo, Rows, StoreError, UserNo,
        schema::rooms::{
            ANNOTATIONS, FORGOTTEN, MEMBERS, MemberRecord, Membership, RELATIONS, THREAD_ORDER, THREADS, USER_ROOMS,
        },
    },
};

/// A row that contains the event's order.
pub(super) type OrderedRow = Box<dyn FnOnce(i64, &mut Rows) + Send>;

/// What to do once the events are durable.
#[derive(Default)]
pub(super) struct Effects {
    changed: Vec<UserNo>,
    /// Whose membership this batch sets, and whether they have ever joined by then.
    members: HashMap<UserNo, bool>,
    newcomers: Vec<UserNo>,
    related: Vec<EventNo>,
}

impl Effects {
    /// The rows of an event, and its mark on the view.
    pub(super) async fn of(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        view: &mut RoomView,
        event: &Arc<Event>,
        batch: &mut Batch,
    ) -> Result<Vec<OrderedRow>, RoomsError> {
        let mut rows = Vec::new();
        if let Some((kind, key)) = event.pdu.state_pair() {
            refresh(view, room, &kind, key, &event.pdu);
            if kind == StateEventType::RoomPowerLevels && key.is_empty() {
                view.power_event = Some(event.clone());
            }
            if kind == StateEventType::RoomMember {
                rows.extend(self.member(parts, room, view, event, key, batch).await?);
            }
        } else if event.pdu.kind == TimelineEventType::RoomRedaction {
            redaction(parts, room, view, event, batch).await?;
        } else {
            rows.extend(self.relation(parts, room, event, batch).await?);
        }
        Ok(rows)
    }

    async fn member(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        view: &mut RoomView,
        event: &Arc<Event>,
        key: &str,
        batch: &mut Batch,
    ) -> Result<Option<OrderedRow>, StoreError> {
        let (Ok(target), Some(membership)) =
            (UserId::parse(key), content::membership(&event.pdu.content).and_then(|m| stored(&m)))
        else {
            return Ok(None);
        };
        let user = parts.store.mint_user(&target, batch).await?;
        let local = target.server_name() == parts.server_name;
        // The head knows of memberships that are not durable yet: the replaced event tells, not the table.
        let old = match event.header.replaces_state {
            Some(old) => {
                content::membership(&parts.events.require(event.room, old).await?.pdu.content).and_then(|m| stored(&m))
            }
            None => None,
        };
        count(view, user, local, old, membership);
        self.changed.push(user);
        // Who is invited and joins in one commit: what this batch has made of them is not in the tables yet.
        let joined_before = self.members.get(&user).copied();
        if joined_before.is_none() {
            room.settle_member(&parts.store, user).await?;
        }
        let record = parts.store.get(&MEMBERS, &(event.room, user)).await?;
        let been_here = joined_before == Some(true) || record.is_some_and(|r| r.was_joined);
        if local && membership == Membership::Join && !been_here && view.created.predecessor.is_some() {
            self.newcomers.push(user);
        }
        let was_joined = membership == Membership::Join || been_here;
        self.members.insert(user, was_joined);
        let since = record.filter(|r| r.membership == membership).map(|r| r.position);
        if matches!(membership, Membership::Join | Membership::Invite) {
            batch.delete(&FORGOTTEN, &(user, event.room));
        }
        room.member_in_flight(user);
        let (room, number) = (event.room, event.number);
        Ok(Some(Box::new(move |order, made| {
            let position = since.unwrap_or(Position(u64::try_from(order).unwrap_or(0)));
            let record = MemberRecord { membership, event: number, position, was_joined, local };
            made.put(&MEMBERS, &(room, user), &record);
            made.put(&USER_ROOMS, &(user, room), &record);
        })))
    }

    async fn relation(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        event: &Arc<Event>,
        batch: &mut Batch,
    ) -> Result<Vec<OrderedRow>, RoomsError> {
        let mut rows: Vec<OrderedRow> = Vec::new();
        let Some(relates) = RelatesTo::read(&event.pdu.content) else { return Ok(rows) };
        let Some((rel_type, parent)) = relates.relation() else { return Ok(rows) };
        let Some(parent) = parts.events.in_room(room.number, parent).await? else { return Ok(rows) };
        let (number, parent_number, rel_type) = (event.number, parent.number, rel_type.to_owned());
        if let ("m.annotation", Some(key)) = (rel_type.as_str(), &relates.key) {
            let row = (room.number, parent_number, event.header.sender, annotation_key(&event.pdu.kind, key));
            if parts.store.get(&ANNOTATIONS, &row).await?.is_some() {
                return Err(RoomsError::DuplicateAnnotation);
            }
            batch.put(&ANNOTATIONS, &row, &number);
        }
        self.related.push(parent_number);
        let room_number = room.number;
        if rel_type == "m.thread" {
            let place = room.thread_place(&parts.store, parent_number).await?;
            let held = place.clone();
            batch.on_publish(move |_| drop(held));
            rows.push(Box::new(move |order, made| {
                if let Some(old) = place.lock().replace(order) {
                    made.delete(&THREADS, &(room_number, old));
                }
                made.put(&THREADS, &(room_number, order), &parent_number);
                made.put(&THREAD_ORDER, &(room_number, parent_number), &order);
            }));
        }
        rows.push(Box::new(move |order, made| {
            made.put(&RELATIONS, &(room_number, parent_number, rel_type, order), &number);
        }));
        Ok(rows)
    }

    /// Users whose room lists have changed.
    pub(super) fn changed_users(&self) -> Vec<UserNo> {
        self.changed.clone()
    }

    /// Users of this server who join for the first time a room that replaces another.
    pub(super) fn newcomers(&self) -> &[UserNo] {
        &self.newcomers
    }

    /// Everyone in the room, and everyone whose membership has changed.
    pub(super) fn concerned(&self, view: &RoomView, author: Option<UserNo>) -> Vec<Concerned> {
        super::writer::concerned(&view.joined, author, &self.changed)
    }

    /// Called by the committer.
    pub(super) fn publish(&self, events: &Events, room: RoomNo) {
        for parent in &self.related {
            events.related(room, *parent);
        }
    }
}

/// Reads the part of the view that a piece of state stands for.
fn refresh(view: &mut RoomView, room: &Room, kind: &StateEventType, key: &str, pdu: &Pdu) {
    if !key.is_empty() {
        return;
    }
    match kind {
        StateEventType::RoomPowerLevels => {
            view.power = Arc::new(PowerLevels::read(&room.rules, &view.create.pdu, Some(pdu)));
        }
        StateEventType::RoomJoinRules => view.join_rules = Arc::new(JoinRules::read(&pdu.content)),
        StateEventType::RoomHistoryVisibility => view.history_visibility = content::history_visibility(&pdu.content),
        _ => {}
    }
}

/// Empties the target of a redaction, and everything that was derived from it.
async fn redaction(
    parts: &RoomsParts,
    room: &Room,
    view: &mut RoomView,
    event: &Arc<Event>,
    batch: &mut Batch,
) -> Result<(), RoomsError> {
    let Some(id) = event.pdu.redaction_target(&room.rules.redaction) else { return Ok(()) };
    let Some(target) = parts.events.in_room(room.number, &id).await? else { return Ok(()) };
    let level = view.power.user_level(&event.pdu.sender);
    let allowed =
        level.reaches(view.power.redact()) || event.pdu.sender.server_name() == target.pdu.sender.server_name();
    if !allowed || target.header.redacted_by.is_some() || target.pdu.kind == TimelineEventType::RoomCreate {
        return Ok(());
    }
    if let Some(relates) = RelatesTo::read(&target.pdu.content)
        && let Some((rel_type, parent)) = relates.relation()
        && let Some(parent) = parts.events.in_room(room.number, parent).await?
    {
        batch.delete(&RELATIONS, &(room.number, parent.number, rel_type.to_owned(), target.order));
        if let Some(key) = &relates.key {
            let key = annotation_key(&target.pdu.kind, key);
            batch.delete(&ANNOTATIONS, &(room.number, parent.number, target.header.sender, key));
        }
    }
    let json =
        redact::redact(&target.pdu.json, &room.rules.redaction).map_err(|e| RoomsError::Invalid(e.to_string()))?;
    let redacted =
        Pdu::from_stored(target.pdu.event_id.clone(), json).map_err(|e| RoomsError::Invalid(e.to_string()))?;
    if let Some((kind, key)) = target.pdu.state_pair() {
        let pair = parts.store.mint_state_key(&kind, key, batch).await?;
        if parts.tree.get(view.state, pair).await? == Some(target.number) {
            refresh(view, room, &kind, key, &redacted);
        }
    }
    parts.events.redact(&target, redacted, event.number, batch)?;
    Ok(())
}

fn count(view: &mut RoomView, user: UserNo, local: bool, old: Option<Membership>, new: Membership) {
    let step = |counter: &mut u64, wanted| match (old == Some(wanted), new == wanted) {
        (false, true) => *counter += 1,
        (true, false) => *counter = counter.saturating_sub(1),
        _ => {}
    };
    step(&mut view.joined_count, Membership::Join);
    step(&mut view.invited_count, Membership::Invite);
    if !local {
        return;
    }
    match (view.joined.binary_search(&user.0), new == Membership::Join) {
        (Err(place), true) => {
            let (before, after) = view.joined.split_at(place);
            view.joined = before.iter().chain(&[user.0]).chain(after).copied().collect();
        }
        (Ok(_), false) => view.joined = view.joined.iter().copied().filter(|joined| *joined != user.0).collect(),
        _ => {}
    }
}

fn annotation_key(kind: &TimelineEventType, key: &str) -> String {
    format!("{kind}\0{key}")
}

fn stored(membership: &MembershipState) -> Option<Membership> {
    Some(match membership {
        MembershipState::Join => Membership::Join,
        MembershipState::Invite => Membership::Invite,
        MembershipState::Knock => Membership::Knock,
        MembershipState::Leave => Membership::Leave,
        MembershipState::Ban => Membership::Ban,
        _ => return None,
    })
}
