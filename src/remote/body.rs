//! Answers of other servers, read up to a bound.

use bytes::{Bytes, BytesMut};

use super::{
    connect::failure,
    error::{RemoteError, Unreachable},
    request::Terms,
};
use crate::clock::Clock;

/// What is set aside at once for an answer that says its length: it may lie.
const AHEAD_MAX: usize = 1 << 20;

/// An answer that is read piece by piece.
pub struct BodyStream {
    answer: reqwest::Response,
    clock: Clock,
    terms: Terms,
    /// Bytes that came.
    read: usize,
}

impl BodyStream {
    pub(super) fn new(answer: reqwest::Response, clock: Clock, terms: Terms) -> Self {
        Self { answer, clock, terms, read: 0 }
    }

    /// How long it says to be, in bytes; it may lie.
    pub fn length(&self) -> Option<u64> {
        self.answer.content_length()
    }

    /// The next piece; `None` at its end.
    ///
    /// # Errors
    /// It is longer than the terms allow, breaks off, or nothing came in time.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let Some(next) = self.clock.timeout(self.terms.within, self.answer.chunk()).await else {
            return Err(RemoteError::unreachable(Unreachable::Timeout, "the answer stalled"));
        };
        let next = next.map_err(failure)?;
        self.read = self.read.saturating_add(next.as_ref().map_or(0, Bytes::len));
        if self.read > self.terms.bytes_max {
            return Err(RemoteError::TooLarge { limit: self.terms.bytes_max });
        }
        Ok(next)
    }
}

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
