//! Which servers a room lets take part.
//!
//! Specification v1.19, client-server API, `m.room.server_acl`: asked for every event, EDU and question of another server.

use std::sync::Arc;

use parking_lot::Mutex;
use ruma::{ServerName, events::StateEventType};

use super::{Room, Rooms};
use crate::{
    event::content::ServerAcl,
    store::{EventNo, StoreError},
};

/// The list in force, as it was read the last time.
#[derive(Default)]
pub(super) struct AclMemo(Mutex<Option<(EventNo, Arc<ServerAcl>)>>);

impl Rooms {
    /// Whether the room's access list, as it stands now, lets a server take part. A room without a list lets everybody.
    pub async fn acl_allows(&self, room: &Room, server: &ServerName) -> Result<bool, StoreError> {
        let list = self.state_event(room.number, room.view().state, &StateEventType::RoomServerAcl, "").await?;
        let Some(event) = list else { return Ok(true) };
        let remembered = room.acl.0.lock().clone().filter(|(number, _)| *number == event.number);
        let acl = if let Some((_, acl)) = remembered {
            acl
        } else {
            let acl = Arc::new(ServerAcl::read(&event.pdu.content));
            *room.acl.0.lock() = Some((event.number, acl.clone()));
            acl
        };
        Ok(acl.allows(server))
    }
}
