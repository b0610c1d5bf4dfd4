//! What every endpoint that reads a room begins and ends with.

use std::sync::Arc;

use ruma::{RoomId, api::client::filter::RoomEventFilter};

use crate::{
    http::{ApiError, services::Services},
    rooms::{Form, Reader, history},
    store::Event,
    users::Session,
};

/// A filter given as JSON in the query, in bytes.
const FILTER_BYTES_MAX: usize = 64 << 10;

/// The caller as reader of a room they may read something of.
///
/// # Errors
/// `M_FORBIDDEN` otherwise, also when there is no such room.
pub(super) async fn reader(services: &Services, session: &Session, room: &RoomId) -> Result<Reader, ApiError> {
    let reader = services.rooms.reader_in(room, session.user, &session.user_id).await?;
    let ignored = services.users.ignored(session.user).await?;
    Ok(reader.on_device(&session.device_id).ignoring(ignored))
}

/// A pagination token of the query; an empty one counts as none.
pub(super) fn token(token: Option<&str>) -> Result<Option<i64>, ApiError> {
    Ok(token.filter(|token| !token.is_empty()).map(history::read_token).transpose()?)
}

/// A filter of the query.
pub(super) fn filter(text: Option<&str>) -> Result<RoomEventFilter, ApiError> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(RoomEventFilter::default()),
        Some(text) if text.len() > FILTER_BYTES_MAX => Err(ApiError::invalid_param("The filter is too long")),
        Some(text) => {
            serde_json::from_str(text).map_err(|_| ApiError::invalid_param("The filter is not a RoomEventFilter"))
        }
    }
}

/// Appends `"key":[…]` with events as the reader sees them.
pub(super) async fn write_list(
    services: &Services,
    out: &mut Vec<u8>,
    reader: &Reader,
    key: &str,
    events: &[Arc<Event>],
) -> Result<(), ApiError> {
    open(out, key);
    services.rooms.write_events(out, reader, events, Form::FULL).await?;
    out.push(b']');
    Ok(())
}

/// Appends `"key":[…]` with state events.
pub(super) async fn write_state(
    services: &Services,
    out: &mut Vec<u8>,
    reader: &Reader,
    key: &str,
    events: &[Arc<Event>],
) -> Result<(), ApiError> {
    open(out, key);
    for (place, event) in events.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        services.rooms.write_state(out, reader, event, true).await?;
    }
    out.push(b']');
    Ok(())
}

fn open(out: &mut Vec<u8>, key: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":[");
}

/// Appends `"key":"token"`.
pub(super) fn write_token(out: &mut Vec<u8>, key: &str, order: i64) {
    // Tokens and keys need no escaping.
    out.extend_from_slice(format!("\"{key}\":\"{}\"", history::token(order)).as_bytes());
}
