//! Replacing rooms.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::room::upgrade_room as upgrade_room_v3;

use super::actor::actor;
use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    rooms::UpgradeRoom,
};

/// `POST /_matrix/client/v3/rooms/{roomId}/upgrade`: replaces a room by one of another version.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade)
pub async fn upgrade_room(
    State(services): State<Arc<Services>>,
    request: Ruma<upgrade_room_v3::v3::Request>,
) -> Result<Reply<upgrade_room_v3::v3::Response>, ApiError> {
    let upgrade_room_v3::v3::Request { additional_creators, room_id, new_version, .. } = request.body;
    let upgrade = UpgradeRoom { version: new_version, additional_creators };
    let replacement = services.rooms.upgrade_room(&actor(&request.session), &room_id, upgrade).await?;
    Ok(Reply(upgrade_room_v3::v3::Response::new(replacement)))
}
