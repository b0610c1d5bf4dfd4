//! Answers of other servers, read up to a bound.

use bytes::{Bytes, BytesMut};

use super::{connect::failure, error::RemoteError};

/// What is set aside at once for an answer that says its length: it may lie.
const AHEAD_MAX: usize = 1 << 20;

/// The whole answer.
///
/// # Errors
/// It is longer than `limit` bytes, or breaks off.
pub(super) async fn collect(mut answer: reqwest::Response, limit: usize) -> Result<Bytes, RemoteError> {
    let said = answer.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if said > limit {
        return Err(RemoteError::TooLarge { limit });
    }
    let mut body = BytesMut::with_capacity(said.min(AHEAD_MAX));
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > limit {
            return Err(RemoteError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// As much of it as is worth reading of an error.
pub(super) async fn beginning(mut answer: reqwest::Response, limit: usize) -> Bytes {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > limit {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    body.freeze()
}
