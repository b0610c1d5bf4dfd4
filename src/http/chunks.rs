//! Answers that are written piece by piece, by a task, while their reader reads.
//!
//! A reader may take its time, but not stand still: an HTTP/2 stream whose window is never opened would hold what the
//! task holds (a file, a list of events, a place among the requests of a server) as long as its connection lives, and
//! there are a hundred streams to a connection. So whoever takes no piece for a minute is left.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::Notify,
};

use crate::{clock::Clock, http::reply::json_stream};

/// A piece of a streamed answer is sent when it has grown to this size, in bytes; pieces of files have it.
const CHUNK_BYTES: usize = 32 * 1024;

/// Pieces that may wait for a slow reader; then the writer waits.
const CHUNKS_WAITING_MAX: usize = 2;

/// A reader that takes no piece is left after a minute. It is counted in steps, of which none saw a piece taken, so that
/// a clock that leaps, as after a machine was asleep, leaves nobody.
const STILL_STEP: Duration = Duration::from_secs(15);
const STILL_STEPS_MAX: usize = 4;

/// What lies between a writer and its reader.
struct Pipe {
    clock: Clock,
    state: Mutex<State>,
    /// A piece was taken, or the reader has gone.
    taken: Notify,
}

struct State {
    pieces: VecDeque<Bytes>,
    end: End,
    reader_gone: bool,
    reader: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is more to come.
    Open,
    /// What waits is the rest.
    Whole,
    /// There is no more, though there should be.
    Cut,
}

impl Pipe {
    /// Says how the answer ends, once what waits was taken.
    fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end = end;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Waits until at most so many pieces wait to be taken. Without a timer when that is so.
    async fn until_waiting(&self, pieces_max: usize) -> Result<(), ReaderGone> {
        let mut still = 0;
        let mut seen = usize::MAX;
        loop {
            let waiting = {
                let state = self.state.lock();
                if state.reader_gone {
                    return Err(ReaderGone);
                }
                state.pieces.len()
            };
            if waiting <= pieces_max {
                return Ok(());
            }
            // Only this writer adds pieces, and it is waiting.
            still = if waiting < seen { 0 } else { still + 1 };
            seen = waiting;
            if still >= STILL_STEPS_MAX {
                // Nobody may ever ask for them.
                self.state.lock().pieces = VecDeque::new();
                self.end(End::Cut);
                return Err(ReaderGone);
            }
            while self.clock.timeout(STILL_STEP, self.taken.notified()).await.is_some() {
                // Also of a piece that was taken before this wait began.
                let state = self.state.lock();
                if state.reader_gone || state.pieces.len() < seen {
                    break;
                }
            }
        }
    }
}

/// The end that a body reads from.
struct PipeReader(Arc<Pipe>);

impl PipeReader {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = self.0.state.lock();
        if let Some(piece) = state.pieces.pop_front() {
            drop(state);
            self.0.taken.notify_one();
            return Poll::Ready(Some(Ok(piece)));
        }
        match state.end {
            End::Open => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
            End::Whole => Poll::Ready(None),
            End::Cut => {
                // Said once; then the body has ended.
                state.end = End::Whole;
                Poll::Ready(Some(Err(io::Error::other("the answer was not finished"))))
            }
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        // A body is dropped at its end too.
        state.reader_gone = state.end != End::Whole || !state.pieces.is_empty();
        state.pieces = VecDeque::new();
        drop(state);
        self.0.taken.notify_one();
    }
}

/// Writes the body of a streamed answer; see [`json_chunks`].
pub struct ChunkWriter {
    buffer: BytesMut,
    pipe: Arc<Pipe>,
    finished: bool,
    /// Given back with the writer, which lives until its last piece was taken.
    _held: Option<Box<dyn Send>>,
}

/// The client has gone, or has stood still for a minute; what is still to be written interests nobody.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed the connection, or reads no further")]
pub struct ReaderGone;

impl ChunkWriter {
    /// A writer, and the pieces that its reader reads.
    fn new(
        clock: Clock,
        held: Option<Box<dyn Send>>,
    ) -> (Self, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let state = State { pieces: VecDeque::new(), end: End::Open, reader_gone: false, reader: None };
        let pipe = Arc::new(Pipe { clock, state: Mutex::new(state), taken: Notify::new() });
        let mut reader = PipeReader(pipe.clone());
        let pieces = stream::poll_fn(move |context| reader.poll_next(context));
        (Self { buffer: BytesMut::new(), pipe, finished: false, _held: held }, pieces)
    }

    /// Appends bytes, and sends what has gathered once it is worth it.
    ///
    /// # Errors
    /// [`ReaderGone`] when the client has gone, or has stood still.
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
    /// As [`ChunkWriter::write`].
    pub async fn flush(&mut self) -> Result<(), ReaderGone> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.send(piece).await
    }

    /// Sends the rest, waits until it was taken, and ends the answer. Whoever holds something for the answer may give it
    /// back then.
    ///
    /// # Errors
    /// As [`ChunkWriter::write`].
    pub async fn finish(mut self) -> Result<(), ReaderGone> {
        self.flush().await?;
        self.finished = true;
        self.pipe.end(End::Whole);
        self.pipe.until_waiting(0).await
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), ReaderGone> {
        self.pipe.until_waiting(CHUNKS_WAITING_MAX - 1).await?;
        let reader = {
            let mut state = self.pipe.state.lock();
            state.pieces.push_back(piece);
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }

    /// Reads a file to its end, each piece once the one before has found a place.
    async fn copy(&mut self, mut file: impl AsyncRead + Send + Unpin) -> Result<(), CopyError> {
        self.flush().await?;
        loop {
            self.pipe.until_waiting(CHUNKS_WAITING_MAX - 1).await?;
            let mut piece = BytesMut::with_capacity(CHUNK_BYTES);
            if file.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            self.send(piece.freeze()).await?;
        }
    }
}

impl Drop for ChunkWriter {
    fn drop(&mut self) {
        if !self.finished {
            self.pipe.end(End::Cut);
        }
    }
}

impl std::fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkWriter").field("gathered", &self.buffer.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    ReaderGone(#[from] ReaderGone),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// 200 with JSON that a task writes while the client reads.
///
/// The writer waits for slow readers, so an answer never stands in memory as a whole; a reader that takes nothing for a
/// minute is left, and what waited for it is forgotten. Dropping the writer without [`ChunkWriter::finish`] cuts the
/// answer short.
pub fn json_chunks() -> (ChunkWriter, Response) {
    let (writer, pieces) = ChunkWriter::new(Clock::system(), None);
    (writer, json_stream(pieces))
}

/// The same with something that is given back with the writer: the place of the request, as long as it is answered.
pub fn json_chunks_holding(held: impl Send + 'static) -> (ChunkWriter, Response) {
    let (writer, pieces) = ChunkWriter::new(Clock::system(), Some(Box::new(held)));
    (writer, json_stream(pieces))
}

/// A body of a file between two texts, which a task reads while the client does.
///
/// The file is closed, and `held` given back, when the last piece was taken, when the client has gone, and when it takes
/// nothing for a minute.
pub fn file_body(
    head: impl Into<String>,
    file: impl AsyncRead + Send + Unpin + 'static,
    tail: impl Into<String>,
    held: impl Send + 'static,
) -> Body {
    file_pieces(Clock::system(), head.into(), file, tail.into(), held)
}

fn file_pieces(
    clock: Clock,
    head: String,
    file: impl AsyncRead + Send + Unpin + 'static,
    tail: String,
    held: impl Send + 'static,
) -> Body {
    let (mut writer, pieces) = ChunkWriter::new(clock, Some(Box::new(held)));
    tokio::spawn(async move {
        let copied = async {
            writer.write(head.as_bytes()).await?;
            writer.copy(file).await?;
            writer.write(tail.as_bytes()).await?;
            Ok::<_, CopyError>(writer.finish().await?)
        };
        match copied.await {
            Ok(()) => {}
            Err(CopyError::ReaderGone(error)) => tracing::debug!(%error, "a file was not read to its end"),
            Err(CopyError::File(error)) => tracing::error!(%error, "a file cannot be read"),
        }
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
