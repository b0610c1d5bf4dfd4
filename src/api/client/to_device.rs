//! Messages from device to device.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::to_device::send_event_to_device::v3 as send_event_to_device_v3;

use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    users::to_device::{Sending, ToDeviceError},
};

/// `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`: sends a message to devices.
///
/// Receivers on other servers get theirs once these can be reached. Those of whom the sender may not know get no more
/// than people who do not exist.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid)
pub async fn send_event_to_device(
    State(services): State<Arc<Services>>,
    request: Ruma<send_event_to_device_v3::Request>,
) -> Result<Reply<send_event_to_device_v3::Response>, ApiError> {
    let (session, mut body) = (request.session, request.body);
    let event_type = body.event_type.to_string();
    services.rooms.keep_reachable((session.user, &session.user_id), &event_type, &mut body.messages).await?;
    let sending = Sending {
        user: session.user,
        user_id: &session.user_id,
        device_id: &session.device_id,
        event_type: &event_type,
        txn_id: body.txn_id.as_str(),
        messages: body.messages,
    };
    services.users.to_device.send(sending).await?;
    Ok(Reply(send_event_to_device_v3::Response::new()))
}

impl From<ToDeviceError> for ApiError {
    fn from(error: ToDeviceError) -> Self {
        let text = error.to_string();
        match error {
            ToDeviceError::Store(error) => Self::internal(error),
            ToDeviceError::TooLarge => Self::too_large(text),
            ToDeviceError::NameTooLong => Self::invalid_param(text),
        }
    }
}
