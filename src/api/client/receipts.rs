//! Receipts and the fully-read marker.

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedEventId, OwnedRoomId,
    api::client::{
        read_marker::set_read_marker as set_read_marker_v3,
        receipt::create_receipt::{self as create_receipt_v3, v3::ReceiptType},
    },
    events::receipt::ReceiptThread,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{ApiError, Auth, JsonBody, PathArgs, Reply, Ruma, services::Services},
    rooms::{Marker, NewReceipt, ReceiptsError},
};

impl From<ReceiptsError> for ApiError {
    fn from(error: ReceiptsError) -> Self {
        match error {
            ReceiptsError::Rooms(error) => error.into(),
            ReceiptsError::Thread(message) => Self::invalid_param(message),
        }
    }
}

/// The body of a receipt. Read by hand, because a thread that is no string is `M_INVALID_PARAM`, not `M_BAD_JSON`.
#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "present")]
    thread_id: Option<Value>,
}

/// Tells `null` from nothing at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`: says how far the user has read.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid)
pub async fn create_receipt(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    body: JsonBody,
) -> Result<Reply<create_receipt_v3::v3::Response>, ApiError> {
    let room_id: OwnedRoomId = arguments.parse(0)?;
    let event_id: OwnedEventId = arguments.parse(2)?;
    let marker = match ReceiptType::from(arguments.get(1)) {
        ReceiptType::Read => Marker::Read,
        ReceiptType::ReadPrivate => Marker::ReadPrivate,
        ReceiptType::FullyRead => Marker::FullyRead,
        _ => return Err(ApiError::invalid_param("The receipt type is m.read, m.read.private or m.fully_read")),
    };
    let thread = match body.parse::<Body>()?.thread_id {
        None => ReceiptThread::Unthreaded,
        Some(Value::String(text)) if text == "main" => ReceiptThread::Main,
        Some(Value::String(text)) => match OwnedEventId::try_from(text) {
            Ok(root) => ReceiptThread::Thread(root),
            Err(_) => return Err(ApiError::invalid_param("thread_id is neither \"main\" nor an event id")),
        },
        Some(_) => return Err(ApiError::invalid_param("thread_id is not a string")),
    };
    services.receipts.set(session.user, &room_id, &[NewReceipt { marker, event_id, thread }]).await?;
    Ok(Reply(create_receipt_v3::v3::Response::new()))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/read_markers`: moves the fully-read marker and both receipts at once.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers)
pub async fn set_read_marker(
    State(services): State<Arc<Services>>,
    request: Ruma<set_read_marker_v3::v3::Request>,
) -> Result<Reply<set_read_marker_v3::v3::Response>, ApiError> {
    let body = request.body;
    let markers = [
        (Marker::FullyRead, body.fully_read),
        (Marker::Read, body.read_receipt),
        (Marker::ReadPrivate, body.private_read_receipt),
    ];
    let new: Vec<_> = markers
        .into_iter()
        .filter_map(|(marker, event_id)| {
            Some(NewReceipt { marker, event_id: event_id?, thread: ReceiptThread::Unthreaded })
        })
        .collect();
    services.receipts.set(request.session.user, &body.room_id, &new).await?;
    Ok(Reply(set_read_marker_v3::v3::Response::new()))
}
