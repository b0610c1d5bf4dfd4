//! Answers of other servers, read up to a bound.

use bytes::{Bytes, BytesMut};

use super::{connect::failure, error::RemoteError};

/// What is set aside at once for an answer that says its length: it may lie.
const AHEAD_MAX: usize = 1 << 20;

/// An answer that is read piece by piece. What nobody reads is not sent: see the windows of the connections.
pub struct BodyStream {
    answer: reqwest::Response,
    bytes_max: usize,
    /// Bytes that came.
    read: usize,
}

impl BodyStream {
    /// # Errors
    /// It says itself that it is longer than `bytes_max`.
    pub(super) fn new(answer: reqwest::Response, bytes_max: usize) -> Result<Self, RemoteError> {
        let stream = Self { answer, bytes_max, read: 0 };
        if stream.length() > bytes_max { Err(stream.too_large()) } else { Ok(stream) }
    }

    /// How long it says to be, in bytes; 0 if it does not say. It may lie.
    fn length(&self) -> usize {
        self.answer.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The next piece, of no more than some hundred kilobytes; `None` at its end.
    ///
    /// # Errors
    /// It is longer than it may be, or breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let next = self.answer.chunk().await.map_err(failure)?;
        self.read = self.read.saturating_add(next.as_ref().map_or(0, Bytes::len));
        if self.read > self.bytes_max { Err(self.too_large()) } else { Ok(next) }
    }

    fn too_large(&self) -> RemoteError {
        RemoteError::TooLarge { limit: self.bytes_max }
    }
}

/// The whole answer.
///
/// # Errors
/// It is longer than it may be, or breaks off.
pub(super) async fn collect(mut stream: BodyStream) -> Result<Bytes, RemoteError> {
    let mut body = BytesMut::with_capacity(stream.length().min(AHEAD_MAX));
    while let Some(chunk) = stream.chunk().await? {
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
