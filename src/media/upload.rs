//! One upload on its way to the disk.

use std::{collections::HashMap, io, sync::Arc};

use parking_lot::Mutex;

use super::{
    Label, MediaError,
    files::{Files, Incoming},
};
use crate::store::UserNo;

/// Bytes that gather before they are hashed and written.
const PIECE_BYTES: usize = 256 * 1024;
/// Uploads of one account at the same time.
const UPLOADS_PER_USER: usize = 8;

/// Counts the uploads of each account that are under way.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<UserNo, usize>>);

impl Places {
    pub(super) fn take(self: &Arc<Self>, user: UserNo) -> Result<PlaceTaken, MediaError> {
        let mut counts = self.0.lock();
        let count = counts.entry(user).or_default();
        if *count >= UPLOADS_PER_USER {
            return Err(MediaError::TooMany);
        }
        *count += 1;
        Ok(PlaceTaken { places: self.clone(), user })
    }
}

/// One upload that is counted; dropping it ends that.
#[derive(Debug)]
pub(super) struct PlaceTaken {
    places: Arc<Places>,
    user: UserNo,
}

impl Drop for PlaceTaken {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

/// An upload that is being received. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    files: Arc<Files>,
    place: PlaceTaken,
    label: Label,
    bytes_max: u64,
    size: u64,
    buffer: Vec<u8>,
    /// Made with the first write, and away while a write is under way.
    incoming: Option<Incoming>,
}

/// An upload of which all bytes are durable, under a name that is not theirs yet.
pub(super) struct Received {
    pub(super) user: UserNo,
    pub(super) label: Label,
    pub(super) sha256: [u8; 32],
    pub(super) size: u64,
    pub(super) incoming: Incoming,
    pub(super) _place: PlaceTaken,
}

impl Upload {
    pub(super) fn new(files: Arc<Files>, place: PlaceTaken, label: Label, bytes_max: u64) -> Self {
        Self { files, place, label, bytes_max, size: 0, buffer: Vec::new(), incoming: None }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`] past the largest upload; the disk's refusal.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.bytes_max {
            return Err(MediaError::TooLarge);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            let (incoming, buffer, ()) = self.on_disk(|_| Ok(())).await?;
            (self.incoming, self.buffer) = (Some(incoming), buffer);
        }
        Ok(())
    }

    /// Writes the rest and makes all of it durable.
    pub(super) async fn receive(mut self) -> Result<Received, MediaError> {
        let (incoming, _, (sha256, size)) = self.on_disk(Incoming::seal).await?;
        Ok(Received { user: self.place.user, label: self.label, sha256, size, incoming, _place: self.place })
    }

    /// Writes what has gathered, and then does something more with the file, off the async threads.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        then: impl FnOnce(&mut Incoming) -> io::Result<T> + Send + 'static,
    ) -> Result<(Incoming, Vec<u8>, T), MediaError> {
        let files = self.files.clone();
        let incoming = self.incoming.take();
        let mut buffer = std::mem::take(&mut self.buffer);
        blocking(move || {
            let mut incoming = incoming.map_or_else(|| files.receive(), Ok)?;
            incoming.write(&buffer)?;
            buffer.clear();
            let result = then(&mut incoming)?;
            Ok((incoming, buffer, result))
        })
        .await
    }
}

/// Runs work on the disk off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, MediaError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or_else(|error| Err(io::Error::other(error)))?)
}
