//! Check 5: does the room's state before it allow it? And what is that state?

use std::{collections::HashMap, sync::Arc};

use ruma::events::StateEventType;

use crate::{
    event::{
        Pdu,
        auth::{self, AuthError},
    },
    rooms::{Room, Rooms},
    store::{Event, StoreError, Verdict, state_tree::StateRoot},
};

/// What a state says to the rules about one event.
pub(super) type AuthState = HashMap<(StateEventType, String), Arc<Pdu>>;

impl Rooms {
    /// The entries of a state that the rules ask for when they look at an event.
    pub(super) async fn auth_state_at(
        &self,
        room: &Room,
        state: StateRoot,
        pdu: &Pdu,
    ) -> Result<Result<AuthState, AuthError>, StoreError> {
        let kinds = auth::auth_types(&pdu.kind, &pdu.sender, pdu.state_key.as_deref(), &pdu.content, &room.rules);
        let mut kinds = match kinds {
            Ok(kinds) => kinds,
            Err(error) => return Ok(Err(error)),
        };
        kinds.push((StateEventType::RoomCreate, String::new()));
        let mut found = AuthState::with_capacity(kinds.len());
        for (kind, key) in kinds {
            if let Some(event) = self.state_event(room.number, state, &kind, &key).await? {
                found.insert((kind, key), event.pdu.clone());
            }
        }
        Ok(Ok(found))
    }

    /// Whether a state allows an event.
    pub(in crate::rooms) async fn is_allowed_at(
        &self,
        room: &Room,
        state: StateRoot,
        pdu: &Pdu,
    ) -> Result<bool, StoreError> {
        let state = self.auth_state_at(room, state, pdu).await?;
        Ok(state.and_then(|state| check(pdu, room, &state)).is_ok())
    }
}

/// Whether it is known what the room's state was at an event.
pub(super) fn has_state(event: &Event) -> bool {
    event.header.verdict != Verdict::Outlier && event.header.state_after != StateRoot::EMPTY
}

/// Checks an event against a state.
pub(super) fn check(pdu: &Pdu, room: &Room, state: &AuthState) -> Result<(), AuthError> {
    auth::check_state_dependent(pdu, &room.rules, |kind, key| state.get(&(kind.clone(), key.to_owned())).cloned())
}
