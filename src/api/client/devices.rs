//! One's devices.
//!
//! Specification v1.19, client-server API, "Device Management".

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    DeviceId, MilliSecondsSinceUnixEpoch, OwnedDeviceId, UInt,
    api::client::device::{
        Device, delete_device::v3 as delete_device_v3, delete_devices::v3 as delete_devices_v3,
        get_device::v3 as get_device_v3, get_devices::v3 as get_devices_v3, update_device::v3 as update_device_v3,
    },
};
use serde::Deserialize;

use super::interactive_auth::confirm;
use crate::{
    http::{ApiError, Auth, JsonBody, PathArgs, Reply, Ruma, services::Services},
    users::{DeviceInfo, Operation, PASSWORD_FLOWS},
};

/// Devices deleted by one request.
const DELETED_MAX: usize = 1_000;

/// `GET /_matrix/client/v3/devices`: the devices of the account.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices)
pub async fn get_devices(
    State(services): State<Arc<Services>>,
    request: Ruma<get_devices_v3::Request>,
) -> Result<Reply<get_devices_v3::Response>, ApiError> {
    let devices = services.users.devices.list(request.session.user).await?;
    Ok(Reply(get_devices_v3::Response::new(devices.into_iter().map(shown).collect())))
}

/// `GET /_matrix/client/v3/devices/{deviceId}`: one device of the account.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid)
pub async fn get_device(
    State(services): State<Arc<Services>>,
    request: Ruma<get_device_v3::Request>,
) -> Result<Reply<get_device_v3::Response>, ApiError> {
    let device = services.users.devices.get(request.session.user, &request.body.device_id).await?;
    let device = device.ok_or_else(|| ApiError::not_found("There is no such device"))?;
    Ok(Reply(get_device_v3::Response::new(shown(device))))
}

/// `PUT /_matrix/client/v3/devices/{deviceId}`: names a device.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid)
pub async fn update_device(
    State(services): State<Arc<Services>>,
    request: Ruma<update_device_v3::Request>,
) -> Result<Reply<update_device_v3::Response>, ApiError> {
    let (user, body) = (request.session.user, request.body);
    match body.display_name {
        Some(name) => services.users.devices.rename(user, &body.device_id, Some(name)).await?,
        // Without a name nothing is changed, but whether the device exists is still answered.
        None if services.users.devices.get(user, &body.device_id).await?.is_some() => {}
        None => return Err(ApiError::not_found("There is no such device")),
    }
    Ok(Reply(update_device_v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/devices/{deviceId}`: signs a device out and removes it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid)
pub async fn delete_device(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<Reply<delete_device_v3::Response>, ApiError> {
    let device_id: &DeviceId = path.get(0).into();
    let operation = Operation::new(format!("DELETE /devices/{device_id}"), Some(session.user), &body.0);
    confirm(&services, operation, PASSWORD_FLOWS, &body.0).await?;
    services.users.devices.remove(session.user, &[device_id.to_owned()]).await?;
    Ok(Reply(delete_device_v3::Response::new()))
}

/// The body of a deletion, without `auth`.
#[derive(Deserialize)]
struct DeleteDevices {
    devices: Vec<OwnedDeviceId>,
}

/// `POST /_matrix/client/v3/delete_devices`: signs devices out and removes them.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices)
pub async fn delete_devices(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<Reply<delete_devices_v3::Response>, ApiError> {
    let wanted: DeleteDevices = body.parse()?;
    if wanted.devices.len() > DELETED_MAX {
        return Err(ApiError::too_large("These are too many devices for one request"));
    }
    let operation = Operation::new("POST /delete_devices", Some(session.user), &body.0);
    confirm(&services, operation, PASSWORD_FLOWS, &body.0).await?;
    services.users.devices.remove(session.user, &wanted.devices).await?;
    Ok(Reply(delete_devices_v3::Response::new()))
}

fn shown(info: DeviceInfo) -> Device {
    let mut device = Device::new(info.device_id);
    device.display_name = info.display_name;
    // A device that has only signed in so far was seen then: matrix-nio refuses a list without the time.
    let seen_at_ms = info.seen.as_ref().map_or(info.created_at_ms, |seen| seen.at_ms);
    device.last_seen_ts = Some(MilliSecondsSinceUnixEpoch(UInt::new_saturating(seen_at_ms)));
    device.last_seen_ip = info.seen.map(|seen| seen.ip);
    device
}
