//! Members that a state lacks. An event names its sender's membership among its auth events, so what is needed to judge
//! it is at hand, as its own server sees it. Whether that was true is found out when the members are known.

use std::sync::Arc;

use ruma::events::StateEventType;

use crate::{
    event::Pdu,
    rooms::{Room, Rooms, Writer},
    store::{Event, StoreError, state_tree::StateRoot},
};

impl Rooms {
    /// The member events among an event's auth events. Rejected ones are left out.
    pub(in crate::rooms) async fn claimed_members(
        &self,
        room: &Room,
        pdu: &Pdu,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut members = Vec::new();
        for id in &pdu.auth_events {
            let known = self.parts.events.in_room(room.number, id).await?;
            members.extend(known.filter(|event| !event.pdu.rejected && is_member(&event.pdu)));
        }
        Ok(members)
    }
}

impl Writer {
    /// A state with those members that an event claims and the state does not know.
    pub(in crate::rooms) async fn with_claimed_members(
        &mut self,
        state: StateRoot,
        pdu: &Pdu,
    ) -> Result<StateRoot, StoreError> {
        let parts = self.rooms.parts.clone();
        let mut lacking = Vec::new();
        for event in self.rooms.claimed_members(&self.room, pdu).await? {
            let Some((kind, key)) = event.pdu.state_pair() else { continue };
            let pair = parts.store.mint_state_key(&kind, key, &mut self.batch).await?;
            if parts.tree.get(state, pair).await?.is_none() {
                lacking.push((pair, Some(event.number)));
            }
        }
        if lacking.is_empty() {
            return Ok(state);
        }
        parts.tree.apply(state, &lacking, &mut self.batch).await
    }
}

fn is_member(pdu: &Pdu) -> bool {
    pdu.state_pair().is_some_and(|(kind, _)| kind == StateEventType::RoomMember)
}
