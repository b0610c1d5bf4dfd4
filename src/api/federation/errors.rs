//! What another server hears of a refusal.
//!
//! Refusals about rooms and failures of the store are those of the client API (`api::client::errors`), with one
//! difference: to a server that is not in a room, the room does not exist, and a room that does not exist is one that it
//! is not in. Both are [`not_in_room`].

use crate::http::ApiError;

/// 403 for a room that the server is not in, and for one that does not exist: nothing tells them apart.
pub(super) fn not_in_room() -> ApiError {
    ApiError::forbidden("Your server is not in this room")
}

/// 403 for a server that the room's access list shuts out.
pub(super) fn denied_by_acl() -> ApiError {
    ApiError::forbidden("Your server is denied by the access list of this room")
}
