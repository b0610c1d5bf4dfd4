//! Reading a room's state and members.

use std::sync::Arc;

use ruma::events::{StateEventType, room::member::MembershipState};

use super::{Reader, Rooms, RoomsError, registry::LIST_MAX};
use crate::{
    event::content,
    store::{
        Event, EventNo, Order, RoomNo, StoreError,
        schema::rooms::{MEMBERS, Membership, TIMELINE},
        state_tree::StateRoot,
    },
};

/// Which members are wanted.
#[derive(Debug, Clone, Default)]
pub struct MemberQuery {
    /// At this place of the timeline; `None` is now.
    pub at: Option<i64>,
    /// Only these.
    pub membership: Option<MembershipState>,
    /// Not these.
    pub not_membership: Option<MembershipState>,
}

impl MemberQuery {
    /// Whether a member event is one of those.
    pub fn wants(&self, event: &Event) -> bool {
        let membership = content::membership(&event.pdu.content);
        self.membership.as_ref().is_none_or(|wanted| membership.as_ref() == Some(wanted))
            && self.not_membership.as_ref().is_none_or(|unwanted| membership.as_ref() != Some(unwanted))
    }

    fn wants_record(&self, membership: Membership) -> bool {
        let is = |other: &MembershipState| match membership {
            Membership::Join => *other == MembershipState::Join,
            Membership::Invite => *other == MembershipState::Invite,
            Membership::Knock => *other == MembershipState::Knock,
            Membership::Leave => *other == MembershipState::Leave,
            Membership::Ban => *other == MembershipState::Ban,
        };
        self.membership.as_ref().is_none_or(is) && !self.not_membership.as_ref().is_some_and(is)
    }
}

impl Rooms {
    /// The state the reader may see: the current one, or the one at their leaving.
    pub async fn readable_state(&self, reader: &Reader) -> Result<Vec<Arc<Event>>, RoomsError> {
        self.whole(&reader.room).await?;
        Ok(self.state_of(reader.room.number, reader.state().await?, |_| true).await?)
    }

    /// One piece of it.
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when there is none.
    pub async fn readable_state_event(
        &self,
        reader: &Reader,
        kind: &StateEventType,
        key: &str,
    ) -> Result<Arc<Event>, RoomsError> {
        let state = reader.state().await?;
        if let Some(event) = self.state_event(reader.room.number, state, kind, key).await? {
            return Ok(event);
        }
        if *kind != StateEventType::RoomMember || !reader.room.view().partial {
            return Err(RoomsError::NoEvent);
        }
        self.whole(&reader.room).await?;
        let state = reader.state().await?;
        self.state_event(reader.room.number, state, kind, key).await?.ok_or(RoomsError::NoEvent)
    }

    /// The numbers of the member events the reader may see and `query` asks for. Those of another time have to be
    /// asked again, with [`MemberQuery::wants`], once they are read.
    pub async fn members(&self, reader: &Reader, query: &MemberQuery) -> Result<Vec<EventNo>, RoomsError> {
        self.whole(&reader.room).await?;
        let room = reader.room.number;
        let state = match query.at {
            Some(at) => self.state_at(reader, at).await?,
            None => reader.state().await?,
        };
        if state == reader.room.view().state {
            let rows = self.store().prefix(&MEMBERS, &room, Order::Ascending, LIST_MAX).await?;
            return Ok(rows.iter().filter(|(_, m)| query.wants_record(m.membership)).map(|(_, m)| m.event).collect());
        }
        Ok(self.pairs(state, |kind| *kind == StateEventType::RoomMember).await?)
    }

    /// Everyone who has joined, by their member events.
    pub async fn joined_members(&self, room: RoomNo) -> Result<Vec<EventNo>, StoreError> {
        let rows = self.store().prefix(&MEMBERS, &room, Order::Ascending, LIST_MAX).await?;
        Ok(rows.iter().filter(|(_, m)| m.membership == Membership::Join).map(|(_, m)| m.event).collect())
    }

    /// The state at a place of the timeline, as far as the reader may see it. A place before the room's first event is
    /// taken for the moment the reader came in: clients ask with the token of the room's whole timeline.
    async fn state_at(&self, reader: &Reader, at: i64) -> Result<StateRoot, RoomsError> {
        let room = reader.room.number;
        let upto = at.min(reader.horizon().await?).saturating_add(1);
        let rows = self.store().range(&TIMELINE, &(room, i64::MIN), &(room, upto), Order::Descending, 1).await?;
        let event = match (rows.first(), reader.record) {
            (Some((_, number)), _) => self.events().require(room, *number).await?,
            (None, Some(record)) => {
                let came_in = i64::try_from(record.position.0).unwrap_or(i64::MAX);
                let rows =
                    self.store().range(&TIMELINE, &(room, came_in), &(room, i64::MAX), Order::Ascending, 1).await?;
                let (_, number) = rows.first().ok_or(RoomsError::NoEvent)?;
                self.events().require(room, *number).await?
            }
            (None, None) => return Ok(StateRoot::EMPTY),
        };
        // Who may not see the event must not see the state at it.
        if reader.sees(&event).await? { Ok(event.header.state_after) } else { Ok(reader.state().await?) }
    }

    /// A state without its members.
    pub async fn state_without_members(&self, room: RoomNo, state: StateRoot) -> Result<Vec<Arc<Event>>, StoreError> {
        self.state_of(room, state, |kind| *kind != StateEventType::RoomMember).await
    }

    /// The events of a state whose types are wanted.
    pub(super) async fn state_of(
        &self,
        room: RoomNo,
        state: StateRoot,
        wanted: impl Fn(&StateEventType) -> bool,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let numbers = self.pairs(state, wanted).await?;
        self.events().require_many(room, &numbers).await
    }

    async fn pairs(
        &self,
        state: StateRoot,
        wanted: impl Fn(&StateEventType) -> bool,
    ) -> Result<Vec<EventNo>, StoreError> {
        let mut numbers = Vec::new();
        for (key, event) in self.tree().entries(state).await? {
            let (kind, _) = self.store().state_key_pair(key).await?;
            if wanted(&kind) {
                numbers.push(event);
            }
        }
        Ok(numbers)
    }
}
