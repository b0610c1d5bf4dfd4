//! The published rooms, for other servers.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::federation::directory::{
        get_public_rooms::v1 as get_public_rooms_v1, get_public_rooms_filtered::v1 as get_public_rooms_filtered_v1,
    },
    directory::RoomNetwork,
};

use crate::{
    api::client::directory::{listing, rows},
    http::{ApiError, JsonBytes, Signed, services::Services},
    rooms::DirectoryPage,
};

/// `GET /_matrix/federation/v1/publicRooms`: the published rooms that strangers may know of.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms)
pub async fn get_public_rooms(
    State(services): State<Arc<Services>>,
    request: Signed<get_public_rooms_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_public_rooms_v1::Request { limit, since, .. } = request.body;
    listing(&services.rooms.public_rooms_for_server(limit.map(rows), since, None, Vec::new()).await?)
}

/// `POST /_matrix/federation/v1/publicRooms`: those of them that match a filter.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms)
pub async fn get_public_rooms_filtered(
    State(services): State<Arc<Services>>,
    request: Signed<get_public_rooms_filtered_v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let get_public_rooms_filtered_v1::Request { limit, since, filter, room_network, .. } = request.body;
    if let RoomNetwork::ThirdParty(_) = room_network {
        // No room here belongs to a network of third parties.
        return listing(&DirectoryPage::default());
    }
    let (term, types) = (filter.generic_search_term, filter.room_types);
    let page = services.rooms.public_rooms_for_server(limit.map(rows), since, term, types).await?;
    listing(&page)
}
