//! A room from its rows: where it stands, what its state says, its newest events and its gaps.

use std::sync::Arc;

use ruma::{RoomVersionId, events::StateEventType, room_version_rules::RoomVersionRules};

use super::{
    Rooms,
    registry::{LIST_MAX, RoomsParts, content_of},
    room::{Extremity, GAPS_MAX, Room, RoomView, TAIL_MAX},
};
use crate::{
    event::{
        PowerLevels,
        content::{self, Create, JoinRules, Policy as PolicyServer, ServerAcl},
        room_version,
    },
    store::{
        Order, RoomNo, StoreError,
        schema::rooms::{GAPS, HEADS, MEMBERS, Membership, PARTIAL, ROOM_SERVERS, ROOMS, STANDS, TIMELINE},
        state_tree::StateRoot,
    },
};

/// Where a room stands.
struct Head {
    state: StateRoot,
    extremities: Vec<Extremity>,
    forked: bool,
}

impl Rooms {
    /// A room from the store.
    pub(super) async fn load(&self, number: RoomNo) -> Result<Option<Room>, StoreError> {
        let RoomsParts { store, events, .. } = &*self.parts;
        let Some(record) = store.get(&ROOMS, &number).await? else { return Ok(None) };
        let corrupt = |what| StoreError::Corrupt { table: ROOMS.name, what };
        let version = RoomVersionId::try_from(record.version).map_err(|_| corrupt("the room version"))?;
        let rules = room_version::supported(&version).ok_or(corrupt("a room version this server does not know"))?;
        let id = store.room_id(number).await?;
        let tail = store.prefix(&TIMELINE, &number, Order::Descending, TAIL_MAX).await?;
        let newest: Vec<_> = tail.iter().map(|((_, order), event)| (*order, *event)).collect();
        let (_, last) = newest.first().ok_or(corrupt("a room without events"))?;
        let head = if let Some(head) = store.get(&HEADS, &number).await? {
            let found = events.require_many(number, &head.extremities).await?;
            let extremities = found.iter().map(|event| Extremity::of(event)).collect();
            Head { state: head.state, extremities, forked: true }
        } else {
            let last = events.require(number, *last).await?;
            Head { state: last.header.state_after, extremities: vec![Extremity::of(&last)], forked: false }
        };
        let partial = store.get(&PARTIAL, &number).await?;
        let whole_since = partial.as_ref().and_then(|record| record.whole_since);
        let lacks_members = partial.is_some() && whole_since.is_none();
        let view = RoomView { partial: lacks_members, ..self.load_view(number, &rules, head).await? };
        let room = Room::new(id, number, version, rules, Arc::new(view));
        room.set_whole_since(whole_since.unwrap_or_default());
        room.load_tail(&newest, newest.len() < TAIL_MAX);
        if !store.prefix(&STANDS, &number, Order::Ascending, 1).await?.is_empty() {
            room.note_detour();
        }
        for ((_, order), gap) in store.prefix(&GAPS, &number, Order::Descending, GAPS_MAX).await? {
            room.set_gap(order, Some(gap));
        }
        Ok(Some(room))
    }

    async fn load_view(&self, number: RoomNo, rules: &RoomVersionRules, head: Head) -> Result<RoomView, StoreError> {
        let Head { state, extremities, forked } = head;
        let create = self
            .state_event(number, state, &StateEventType::RoomCreate, "")
            .await?
            .ok_or(StoreError::Corrupt { table: ROOMS.name, what: "a room without a create event" })?;
        let power = self.state_event(number, state, &StateEventType::RoomPowerLevels, "").await?;
        let join_rules = self.state_event(number, state, &StateEventType::RoomJoinRules, "").await?;
        let visibility = self.state_event(number, state, &StateEventType::RoomHistoryVisibility, "").await?;
        let acl = self.state_event(number, state, &StateEventType::RoomServerAcl, "").await?;
        let policy_server = self.state_event(number, state, &"m.room.policy".into(), "").await?;
        let members = self.parts.store.prefix(&MEMBERS, &number, Order::Ascending, LIST_MAX).await?;
        let servers = self.parts.store.prefix(&ROOM_SERVERS, &number, Order::Ascending, LIST_MAX).await?;
        let count = |wanted| members.iter().filter(|(_, m)| m.membership == wanted).count() as u64;
        let empty = content_of(None);
        Ok(RoomView {
            state,
            extremities,
            forked,
            partial: false,
            servers: servers.into_iter().map(|((_, server), joined)| (server, joined)).collect(),
            created: Arc::new(Create::read(&create.pdu.content, &create.pdu.sender, rules)),
            power: Arc::new(PowerLevels::read(rules, &create.pdu, power.as_deref().map(|e| &*e.pdu))),
            join_rules: Arc::new(JoinRules::read(join_rules.as_deref().map_or(&*empty, |e| &*e.pdu.content))),
            history_visibility: content::history_visibility(visibility.as_deref().map_or(&*empty, |e| &*e.pdu.content)),
            joined: members
                .iter()
                .filter(|(_, m)| m.local && m.membership == Membership::Join)
                .map(|((_, user), _)| user.0)
                .collect(),
            joined_count: count(Membership::Join),
            invited_count: count(Membership::Invite),
            power_event: power,
            acl: acl.map(|event| Arc::new(ServerAcl::read(&event.pdu.content))),
            policy_server: policy_server.and_then(|event| PolicyServer::read(&event.pdu.content)).map(Arc::new),
            create,
        })
    }
}
