//! Check 6: does the room's current state allow it? If not, somebody tries to go round a ban or the like by naming old
//! events as its predecessors: it is kept, and neither shown nor built upon.

use crate::{
    event::{Pdu, auth::AuthError},
    rooms::{Writer, receive::state_before},
    store::{StoreError, state_tree::StateRoot},
};

/// Checks an event against what the room is now. `before` is the state it was already checked against.
pub(super) async fn check(writer: &Writer, pdu: &Pdu, before: StateRoot) -> Result<Result<(), AuthError>, StoreError> {
    let current = writer.view().state;
    if current == before {
        return Ok(Ok(()));
    }
    let mut state = writer.rooms.auth_state_at(&writer.room, current, pdu).await?;
    if let Ok(state) = &mut state
        && writer.view().partial
    {
        for claimed in writer.rooms.claimed_members(&writer.room, pdu).await? {
            let Some((kind, key)) = claimed.pdu.state_pair() else { continue };
            state.entry((kind, key.to_owned())).or_insert_with(|| claimed.pdu.clone());
        }
    }
    Ok(state.and_then(|state| state_before::check(pdu, &writer.room, &state)))
}
