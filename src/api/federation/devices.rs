//! Devices of this server's users.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    ServerName, UInt, UserId,
    api::federation::device::get_devices::{v1 as get_devices_v1, v1::UserDevice},
};

use crate::{
    http::{ApiError, Reply, Signed, services::Services},
    store::UserNo,
};

/// `GET /_matrix/federation/v1/user/devices/{userId}`: devices and public keys of a user of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid)
///
/// # Errors
/// `M_NOT_FOUND` when there is no such user, or the rules hide them from that server: the same words.
pub async fn get_devices(
    State(services): State<Arc<Services>>,
    request: Signed<get_devices_v1::Request>,
) -> Result<Reply<get_devices_v1::Response>, ApiError> {
    let user_id = request.body.user_id;
    let user = known(&services, &request.origin, &user_id).await?;
    let user = user.ok_or_else(|| ApiError::not_found("There is no such user here"))?;
    // First the number, then what it stands for: the list is never older than it says.
    let stream_id = services.outbox.device_stream(user).await.map_err(ApiError::internal)?;
    let public = services.users.keys.public_keys(user, &user_id).await?;
    let mut response = get_devices_v1::Response::new(user_id, UInt::new_saturating(stream_id));
    for (id, device) in public.devices {
        if let Some(keys) = device.keys {
            let mut shown = UserDevice::new(id, keys);
            shown.device_display_name = device.display_name.filter(|_| services.config.federation.device_names);
            response.devices.push(shown);
        }
    }
    response.master_key = public.master_key;
    response.self_signing_key = public.self_signing_key;
    Ok(Reply(response))
}

/// The number of a user of this server whom that server may know of: somebody there shares a room with them, or the rules
/// show them to strangers.
pub(super) async fn known(
    services: &Services,
    origin: &ServerName,
    user_id: &UserId,
) -> Result<Option<UserNo>, ApiError> {
    if user_id.server_name() != services.config.server.name {
        return Ok(None);
    }
    let found = services.users.accounts.get(user_id).await?;
    let (shown, _) = services.rooms.known_to_server(origin, user_id);
    let user = found.map(|(user, _)| user);
    // Looked up for everybody alike: a hidden person takes as long as nobody.
    let number = user.unwrap_or(UserNo(0));
    let shares = services.rooms.shares_room_with_server(number, origin).await.map_err(ApiError::internal)?;
    Ok(user.filter(|_| shown || shares))
}
