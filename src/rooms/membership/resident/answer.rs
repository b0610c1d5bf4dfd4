//! The state that a server is given when it joins.

use std::{collections::HashSet, sync::Arc};

use ruma::{OwnedServerName, UserId, events::StateEventType};

use crate::{
    rooms::{Room, Rooms, RoomsError},
    store::{Event, EventNo, StoreError, schema::rooms::AUTH_EDGES, state_tree::StateRoot},
};

/// Members of a room that is given whole to whoever joins.
const WHOLE_MAX: u64 = 100;
/// Members named where a room has no name of its own (spec v1.19, Client-Server API `m.heroes`).
const HEROES: usize = 5;
/// Members that are looked through for them.
const HEROES_LOOKED_AT: usize = 200;

/// What a joining server is answered. Its events are read when they are written out, because they may be many.
pub struct JoinAnswer {
    /// The room.
    pub room: Arc<Room>,
    /// The state before the join.
    pub state: Vec<EventNo>,
    /// The events that allow it.
    pub auth_chain: Vec<EventNo>,
    /// The join with this server's signature, where a user of it vouches.
    pub event: Option<Arc<Event>>,
    /// The servers in the room before, where members are left out of the state.
    pub servers: Option<Vec<OwnedServerName>>,
}

impl Rooms {
    /// The answer to a join. With `servers` most members are left out of the state (MSC3706).
    pub(super) async fn join_answer(
        &self,
        room: &Arc<Room>,
        join: &Arc<Event>,
        vouched: bool,
        servers: Option<Vec<OwnedServerName>>,
    ) -> Result<JoinAnswer, RoomsError> {
        let before = join.header.state_before;
        // A small room is given whole: to ask for the rest later would cost more.
        let servers = servers.filter(|_| room.view().joined_count > WHOLE_MAX);
        let state = match &servers {
            None => self.parts.tree.entries(before).await?.into_iter().map(|(_, number)| number).collect(),
            Some(_) => self.state_for_partial(room, before, &join.pdu.sender).await?,
        };
        let mut first = state.clone();
        for id in &join.pdu.auth_events {
            if let Some((of, number)) = self.parts.events.number_of(id).await?
                && of == room.number
            {
                first.push(number);
            }
        }
        let mut chain = self.auth_chain_of(room, &first).await?;
        chain.extend(first);
        let given: HashSet<EventNo> = state.iter().copied().collect();
        let leave_out = servers.is_some();
        // What stands in the state need not be told twice to a server that asks for less.
        let mut auth_chain: Vec<EventNo> = Vec::new();
        for number in chain {
            if !(leave_out && given.contains(&number)) && number != join.number {
                auth_chain.push(number);
            }
        }
        auth_chain.sort_unstable();
        auth_chain.dedup();
        Ok(JoinAnswer { room: room.clone(), state, auth_chain, event: vouched.then(|| join.clone()), servers })
    }

    /// A state without members, but for those by whom a room without a name is called, and the one who joins.
    async fn state_for_partial(
        &self,
        room: &Arc<Room>,
        state: StateRoot,
        joining: &UserId,
    ) -> Result<Vec<EventNo>, StoreError> {
        let (mut kept, mut members, mut named) = (Vec::new(), Vec::new(), false);
        for (key, number) in self.parts.tree.entries(state).await? {
            let (kind, key) = self.parts.store.state_key_pair(key).await?;
            match kind {
                StateEventType::RoomMember => {
                    if key == joining.as_str() {
                        kept.push(number);
                    } else if members.len() < HEROES_LOOKED_AT {
                        members.push(number);
                    }
                }
                kind => {
                    named |=
                        key.is_empty() && matches!(kind, StateEventType::RoomName | StateEventType::RoomCanonicalAlias);
                    kept.push(number);
                }
            }
        }
        if !named {
            kept.extend(self.heroes(room, &members).await?);
        }
        Ok(kept)
    }

    async fn heroes(&self, room: &Room, members: &[EventNo]) -> Result<Vec<EventNo>, StoreError> {
        use ruma::events::room::member::MembershipState;
        let mut events = self.parts.events.require_many(room.number, members).await?;
        events.retain(|event| {
            let membership = crate::event::content::membership(&event.pdu.content);
            matches!(membership, Some(MembershipState::Join | MembershipState::Invite))
        });
        events.sort_by_key(|event| event.number);
        Ok(events.iter().take(HEROES).map(|event| event.number).collect())
    }

    /// The auth events of events, theirs, and so on.
    async fn auth_chain_of(&self, room: &Room, events: &[EventNo]) -> Result<Vec<EventNo>, StoreError> {
        let mut seen: HashSet<EventNo> = events.iter().copied().collect();
        let (mut chain, mut next) = (Vec::new(), events.to_vec());
        while !next.is_empty() {
            let keys: Vec<_> = next.iter().map(|number| (room.number, *number)).collect();
            let records = self.parts.store.multi_get(&AUTH_EDGES, &keys).await?;
            next.clear();
            for number in records.into_iter().flatten().flat_map(|record| record.auth_events) {
                if seen.insert(number) {
                    chain.push(number);
                    next.push(number);
                }
            }
        }
        Ok(chain)
    }
}
