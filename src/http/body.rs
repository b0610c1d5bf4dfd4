//! Request bodies, read within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use crate::http::error::ApiError;

/// How large a JSON body may be unless the state says otherwise, in bytes. Events end at 64 KiB; the largest honest
/// bodies are batches of backed-up room keys.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long the whole of a JSON body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_mins(1);

/// How long the next piece of an upload may take.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);

/// Memory reserved on the word of a `Content-Length`, in bytes. More is reserved when it has come.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// A body that ends in `M_TOO_LARGE` once it exceeds its bound.
#[derive(Debug)]
pub struct BoundedBody {
    body: Body,
    left: usize,
    declared: usize,
}

impl BoundedBody {
    /// Bounds a body to `bytes_max`.
    ///
    /// # Errors
    /// `M_TOO_LARGE` at once, when `Content-Length` announces more.
    pub fn new(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Self, ApiError> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let declared = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
        if declared > bytes_max {
            return Err(too_large());
        }
        Ok(Self { body, left: bytes_max, declared })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `M_TOO_LARGE` past the bound, 408 when the client stops sending, 400 when it breaks off.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = tokio::time::timeout(PIECE_TIME_MAX, self.body.frame());
            let Some(frame) = frame.await.map_err(|_| ApiError::request_timeout())? else { return Ok(None) };
            let frame = frame.map_err(|error| ApiError::not_json("The body broke off").with_cause(error))?;
            // Trailers carry nothing for us.
            let Ok(piece) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(piece.len()).ok_or_else(too_large)?;
            return Ok(Some(piece));
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`BoundedBody::next_piece`], and 408 when the whole takes more than a minute.
    pub async fn collect(self) -> Result<Bytes, ApiError> {
        self.collect_counted(|_| Ok(())).await
    }

    /// The same, if `count` agrees to the bytes of each piece as it comes.
    ///
    /// # Errors
    /// As [`BoundedBody::collect`], and what `count` says.
    pub async fn collect_counted(
        mut self,
        count: impl FnMut(usize) -> Result<(), ApiError>,
    ) -> Result<Bytes, ApiError> {
        tokio::time::timeout(BODY_TIME_MAX, self.gather(count)).await.map_err(|_| ApiError::request_timeout())?
    }

    async fn gather(&mut self, mut count: impl FnMut(usize) -> Result<(), ApiError>) -> Result<Bytes, ApiError> {
        let Some(first) = self.next_piece().await? else { return Ok(Bytes::new()) };
        count(first.len())?;
        // Nearly every body is one piece: no copy.
        if first.len() == self.declared {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(self.declared.clamp(first.len(), RESERVE_BYTES_MAX.max(first.len())));
        whole.extend_from_slice(&first);
        while let Some(piece) = self.next_piece().await? {
            count(piece.len())?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

fn too_large() -> ApiError {
    ApiError::too_large("The body is too large")
}
