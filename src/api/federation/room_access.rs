//! May a server ask about a room at all? The first step of every handler with a room in its path.

use ruma::{RoomId, ServerName};

use super::errors::{denied_by_acl, not_in_room};
use crate::{
    http::{ApiError, services::Services},
    rooms::{Room, ServerReader},
};

/// Refuses servers that the room's access list shuts out. For doors through which servers come in from outside
/// (`make_join`, `send_join`, knocks, invites): there the room's existence is no secret.
pub(in crate::api) fn acl_check(room: &Room, origin: &ServerName) -> Result<(), ApiError> {
    if room.view().admits(origin) { Ok(()) } else { Err(denied_by_acl()) }
}

/// A server with a joined member in the room, which is not shut out, as the reader of the room's events. The room itself
/// is `reader.room`.
///
/// # Errors
/// 403, the same for a room that does not exist and one that the server is not in.
pub(in crate::api) async fn reader_of(
    services: &Services,
    origin: &ServerName,
    room: &RoomId,
) -> Result<ServerReader, ApiError> {
    let reader = services.rooms.server_reader(room, origin).await?.ok_or_else(not_in_room)?;
    acl_check(&reader.room, origin)?;
    Ok(reader)
}
