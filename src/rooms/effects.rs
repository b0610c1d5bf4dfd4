//! What an event changes besides the timeline: the view, memberships, relations, redactions.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    EventId, ServerName, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
};

use super::{
    RoomsError,
    redaction::redact_target,
    registry::{RoomsParts, content_of},
    room::{Room, RoomView},
};
use crate::{
    event::{
        Pdu, PowerLevels,
        content::{self, JoinRules, Policy as PolicyServer, ServerAcl},
    },
    notify::Concerned,
    store::{
        Batch, Event, EventNo, Events, Position, RoomNo, Rows, StoreError, UserNo,
        schema::rooms::{
            FORGOTTEN, MEMBERS, MemberRecord, Membership, OUTSIDE, ROOM_SERVERS, SERVER_ROOMS, ServerRoomRecord,
            USER_ROOMS,
        },
        state_tree::StateChange,
    },
    users::mark_met,
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
    pub(super) related: Vec<EventNo>,
}

impl Effects {
    /// The rows of an event that is part of the timeline now, and of what it redacts.
    pub(super) async fn of(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        view: &mut RoomView,
        (event, redacts): (&Arc<Event>, Option<&EventId>),
        batch: &mut Batch,
    ) -> Result<Vec<OrderedRow>, RoomsError> {
        if event.pdu.state_key.is_some() {
            return Ok(Vec::new());
        }
        if let Some(target) = redacts {
            redact_target(parts, room, view, (event, target), batch).await?;
        }
        if event.pdu.kind == TimelineEventType::RoomRedaction {
            return Ok(Vec::new());
        }
        Ok(self.relation(parts, room, event, batch).await?)
    }

    /// The rows of a change of the room's current state, and its mark on the view.
    pub(super) async fn state(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        view: &mut RoomView,
        change: &StateChange,
        batch: &mut Batch,
    ) -> Result<Option<OrderedRow>, RoomsError> {
        let event = match change.new {
            Some(number) => Some(parts.events.require(room.number, number).await?),
            None => None,
        };
        let (kind, key) = match &event {
            Some(event) => match event.pdu.state_pair() {
                Some((kind, key)) => (kind, key.to_owned()),
                None => return Ok(None),
            },
            None => parts.store.state_key_pair(change.key).await?,
        };
        refresh(view, room, &kind, &key, event.as_deref().map(|event| &*event.pdu));
        if kind == StateEventType::RoomPowerLevels && key.is_empty() {
            view.power_event.clone_from(&event);
        }
        if kind == StateEventType::RoomMember {
            return Ok(self.member(parts, room, view, (change, event.as_deref()), &key, batch).await?);
        }
        Ok(None)
    }

    async fn member(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        view: &mut RoomView,
        (change, event): (&StateChange, Option<&Event>),
        key: &str,
        batch: &mut Batch,
    ) -> Result<Option<OrderedRow>, StoreError> {
        let Ok(target) = UserId::parse(key) else { return Ok(None) };
        // A resolution can take a member's entry away altogether: then they are not in the room.
        let membership = match event {
            Some(event) => content::membership(&event.pdu.content).and_then(|m| stored(&m)),
            None => Some(Membership::Leave),
        };
        let (Some(membership), Some(number)) = (membership, change.new.or(change.old)) else { return Ok(None) };
        let user = parts.store.mint_user(&target, batch).await?;
        let local = target.server_name() == parts.server_name;
        // The head knows of memberships that are not durable yet: the replaced event tells, not the table.
        let old = match change.old {
            Some(old) => {
                content::membership(&parts.events.require(room.number, old).await?.pdu.content).and_then(|m| stored(&m))
            }
            None => None,
        };
        count(view, user, local, old, membership);
        let mut rows = Vec::new();
        if !local {
            rows.extend(server_joined(parts, room, view, target.server_name(), old, membership, batch).await?);
        }
        self.changed.push(user);
        // Other servers there are to be told of a newcomer's devices.
        if local && !view.servers.is_empty() && membership == Membership::Join && old != Some(Membership::Join) {
            mark_met(batch, user, &parts.notifier);
        }
        // Who is invited and joins in one commit: what this batch has made of them is not in the tables yet.
        let joined_before = self.members.get(&user).copied();
        if joined_before.is_none() {
            room.settle_member(&parts.store, user).await?;
        }
        let record = parts.store.get(&MEMBERS, &(room.number, user)).await?;
        let been_here = joined_before == Some(true) || record.is_some_and(|r| r.was_joined);
        if local && membership == Membership::Join && !been_here && view.created.predecessor.is_some() {
            self.newcomers.push(user);
        }
        let was_joined = membership == Membership::Join || been_here;
        self.members.insert(user, was_joined);
        let since = record.filter(|r| r.membership == membership).map(|r| r.position);
        if matches!(membership, Membership::Join | Membership::Invite) {
            batch.delete(&FORGOTTEN, &(user, room.number));
        }
        if local {
            // What they were to the room from outside is over.
            batch.delete(&OUTSIDE, &(user, room.number));
        }
        room.member_in_flight(user);
        let room = room.number;
        Ok(Some(Box::new(move |order, made| {
            let position = since.unwrap_or(Position(u64::try_from(order).unwrap_or(0)));
            let record = MemberRecord { membership, event: number, position, was_joined, local };
            made.put(&MEMBERS, &(room, user), &record);
            made.put(&USER_ROOMS, &(user, room), &record);
            for row in rows {
                row(order, made);
            }
        })))
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

/// Keeps count of the members of other servers. A server's first member, and the last that goes, is written down.
pub(super) async fn server_joined(
    parts: &RoomsParts,
    room: &Room,
    view: &mut RoomView,
    server: &ServerName,
    old: Option<Membership>,
    new: Membership,
    batch: &mut Batch,
) -> Result<Option<OrderedRow>, StoreError> {
    let (was, is) = (old == Some(Membership::Join), new == Membership::Join);
    if was == is {
        return Ok(None);
    }
    let server = parts.store.mint_server(server, batch).await?;
    let place = view.servers.binary_search_by_key(&server, |(number, _)| *number);
    let joined = match (place, is) {
        // Copied only once for all the members who come with one change of the room.
        (Ok(at), _) => Arc::make_mut(&mut view.servers).get_mut(at).map_or(0, |(_, joined)| {
            *joined = if is { *joined + 1 } else { joined.saturating_sub(1) };
            *joined
        }),
        (Err(at), true) => {
            let (before, after) = view.servers.split_at(at);
            view.servers = before.iter().chain(&[(server, 1)]).chain(after).copied().collect();
            1
        }
        (Err(_), false) => 0,
    };
    if joined == 0 && place.is_ok() {
        view.servers = view.servers.iter().copied().filter(|(number, _)| *number != server).collect();
    }
    if joined == 0 {
        batch.delete(&ROOM_SERVERS, &(room.number, server));
    } else {
        batch.put(&ROOM_SERVERS, &(room.number, server), &joined);
    }
    let room = room.number;
    let first = is && joined == 1;
    Ok((first || joined == 0).then(|| -> OrderedRow {
        Box::new(move |order, made| {
            let since = Position(u64::try_from(order).unwrap_or(0));
            let record = ServerRoomRecord { since, left: (!is).then_some(since) };
            made.put(&SERVER_ROOMS, &(server, room), &record);
        })
    }))
}

/// Reads the part of the view that a piece of state stands for; without an event it is what the room's rules assume.
pub(super) fn refresh(view: &mut RoomView, room: &Room, kind: &StateEventType, key: &str, pdu: Option<&Pdu>) {
    if !key.is_empty() {
        return;
    }
    let empty = content_of(None);
    let content = pdu.map_or(&*empty, |pdu| &*pdu.content);
    match kind {
        StateEventType::RoomPowerLevels => {
            view.power = Arc::new(PowerLevels::read(&room.rules, &view.create.pdu, pdu));
        }
        StateEventType::RoomJoinRules => view.join_rules = Arc::new(JoinRules::read(content)),
        StateEventType::RoomServerAcl => view.acl = pdu.map(|pdu| Arc::new(ServerAcl::read(&pdu.content))),
        StateEventType::RoomHistoryVisibility => view.history_visibility = content::history_visibility(content),
        kind if kind.to_string() == "m.room.policy" => {
            view.policy_server = PolicyServer::read(content).map(Arc::new);
        }
        _ => {}
    }
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
