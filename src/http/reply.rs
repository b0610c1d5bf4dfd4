//! Answers: ruma's types, JSON assembled by hand, and JSON written piece by piece.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStream, stream};
use http::{HeaderValue, StatusCode, header};
use ruma::api::{OutgoingResponse, OutgoingResponseExt as _};
use tokio::sync::mpsc;

use crate::http::error::ApiError;

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A piece of a streamed answer is sent when it has grown to this size.
const CHUNK_BYTES: usize = 32 * 1024;

/// Pieces that may wait for a slow reader; then the writer waits.
const CHUNKS_WAITING_MAX: usize = 2;

/// The answer of an endpoint as ruma describes it.
#[derive(Debug)]
pub struct Reply<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<BytesMut>() {
            Ok(response) => response.map(|body| Body::from(body.freeze())),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// 200 with JSON that was assembled by hand.
#[derive(Debug, Clone)]
pub struct JsonBytes(pub Bytes);

impl From<Vec<u8>> for JsonBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for JsonBytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl JsonBytes {
    /// Serialises any value.
    ///
    /// # Errors
    /// An internal error, when the value cannot be JSON (a map with keys that are no strings).
    pub fn of(value: &impl serde::Serialize) -> Result<Self, ApiError> {
        serde_json::to_vec(value).map(Self::from).map_err(ApiError::internal)
    }
}

impl IntoResponse for JsonBytes {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, self.0)
    }
}

/// 200 with `{}`.
pub fn empty_json() -> JsonBytes {
    JsonBytes(Bytes::from_static(b"{}"))
}

/// An answer with a JSON body.
pub fn json_response(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_JSON);
    response
}

/// 200 with JSON from a stream of pieces. An error cuts the answer short, so that nobody takes it for whole.
pub fn json_stream<S>(pieces: S) -> Response
where
    S: TryStream<Ok = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_JSON);
    response
}

/// 200 with JSON that a task writes while the client reads.
///
/// The writer waits for slow readers, so an answer never stands in memory as a whole. Dropping the writer without
/// [`ChunkWriter::finish`] cuts the answer short.
pub fn json_chunks() -> (ChunkWriter, Response) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let finished = Arc::new(AtomicBool::new(false));
    let writer = ChunkWriter { buffer: BytesMut::new(), sender, finished: Arc::clone(&finished) };
    (writer, json_stream(received(receiver, finished)))
}

/// The pieces of a [`ChunkWriter`], closed by an error unless it finished.
fn received(
    mut receiver: mpsc::Receiver<Bytes>,
    finished: Arc<AtomicBool>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut cut = false;
    stream::poll_fn(move |context| {
        if cut {
            return std::task::Poll::Ready(None);
        }
        receiver.poll_recv(context).map(|piece| match piece {
            Some(piece) => Some(Ok(piece)),
            None if finished.load(Ordering::Acquire) => None,
            None => {
                cut = true;
                Some(Err(io::Error::other("the answer was not finished")))
            }
        })
    })
}

/// Writes the body of a streamed answer; see [`json_chunks`].
#[derive(Debug)]
pub struct ChunkWriter {
    buffer: BytesMut,
    sender: mpsc::Sender<Bytes>,
    finished: Arc<AtomicBool>,
}

/// The client has gone; what is still to be written interests nobody.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed the connection")]
pub struct ReaderGone;

impl ChunkWriter {
    /// Appends bytes, and sends what has gathered once it is worth it.
    ///
    /// # Errors
    /// [`ReaderGone`] when the client has gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ReaderGone> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Sends what has gathered.
    ///
    /// # Errors
    /// [`ReaderGone`] when the client has gone.
    pub async fn flush(&mut self) -> Result<(), ReaderGone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.sender.send(piece).await.map_err(|_| ReaderGone)
    }

    /// Sends the rest and ends the answer.
    ///
    /// # Errors
    /// [`ReaderGone`] when the client has gone.
    pub async fn finish(mut self) -> Result<(), ReaderGone> {
        self.flush().await?;
        self.finished.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn ruma_reply_is_json() {
        let response = Reply(ruma::api::client::account::whoami::v3::Response {
            user_id: ruma::owned_user_id!("@a:b"),
            device_id: None,
            is_guest: false,
        })
        .into_response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["user_id"], "@a:b");
    }

    #[tokio::test]
    async fn chunks_arrive_in_order() {
        let (mut writer, response) = json_chunks();
        let task = tokio::spawn(async move {
            writer.write(b"[").await.unwrap();
            for _ in 0..40_000 {
                writer.write(b"1234,").await.unwrap();
            }
            writer.write(b"0]").await.unwrap();
            writer.finish().await.unwrap();
        });
        let body = response.into_body().collect().await.unwrap().to_bytes();
        task.await.unwrap();
        let numbers: Vec<u32> = serde_json::from_slice(&body).unwrap();
        assert_eq!(numbers.len(), 40_001);
    }

    #[tokio::test]
    async fn an_unfinished_answer_is_an_error() {
        let (mut writer, response) = json_chunks();
        writer.write(b"{\"half\":").await.unwrap();
        writer.flush().await.unwrap();
        drop(writer);
        assert!(response.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn the_writer_learns_that_the_reader_has_gone() {
        let (mut writer, response) = json_chunks();
        drop(response);
        writer.write(b"x").await.unwrap();
        assert!(writer.flush().await.is_err());
    }
}
