//! Content on its way to the disk: what people upload, and what other servers send. Only a piece of it is in memory.

use std::{io, sync::Arc};

use super::{
    MediaError,
    files::{Files, Incoming},
};

/// Bytes that gather before they are hashed and written.
const PIECE_BYTES: usize = 256 * 1024;

/// Content that is being received. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Arriving {
    files: Arc<Files>,
    bytes_max: u64,
    size: u64,
    buffer: Vec<u8>,
    /// Made with the first write, and away while a write is under way.
    incoming: Option<Incoming>,
}

/// Content of which all bytes are durable, under a name that is not theirs yet. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) sha256: [u8; 32],
    pub(super) size: u64,
    pub(super) incoming: Incoming,
}

impl Arriving {
    pub(super) fn new(files: Arc<Files>, bytes_max: u64) -> Self {
        Self { files, bytes_max, size: 0, buffer: Vec::new(), incoming: None }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`] past the bound, [`MediaError::DiskFull`]; the disk's refusal.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), MediaError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.bytes_max {
            return Err(MediaError::TooLarge);
        }
        while let Some((piece, rest)) = bytes.split_at_checked(PIECE_BYTES.saturating_sub(self.buffer.len())) {
            self.buffer.extend_from_slice(piece);
            let (incoming, buffer, ()) = self.on_disk(|_| Ok(())).await?;
            (self.incoming, self.buffer) = (Some(incoming), buffer);
            bytes = rest;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the rest and makes all of it durable.
    pub(super) async fn seal(mut self) -> Result<Arrived, MediaError> {
        let (incoming, _, (sha256, size)) = self.on_disk(Incoming::seal).await?;
        Ok(Arrived { sha256, size, incoming })
    }

    /// Writes what has gathered, and then does something more with the file, off the async threads.
    async fn on_disk<T: Send + 'static>(
        &mut self,
        then: impl FnOnce(&mut Incoming) -> io::Result<T> + Send + 'static,
    ) -> Result<(Incoming, Vec<u8>, T), MediaError> {
        let files = self.files.clone();
        let incoming = self.incoming.take();
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = blocking(move || {
            // Asked for each piece: much may come at the same time.
            if !files.has_room()? {
                return Ok(None);
            }
            let mut incoming = incoming.map_or_else(|| files.receive(), Ok)?;
            incoming.write(&buffer)?;
            buffer.clear();
            let result = then(&mut incoming)?;
            Ok(Some((incoming, buffer, result)))
        })
        .await?;
        written.ok_or(MediaError::DiskFull)
    }
}

/// Runs work on the disk off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, MediaError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or_else(|error| Err(io::Error::other(error)))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::ids::Ids;

    fn open(folder: &Path) -> Files {
        Files::open(folder.to_owned(), Ids::seeded(1)).unwrap()
    }

    /// How long the files are that are on their way.
    fn on_their_way(folder: &Path) -> Vec<u64> {
        fs::read_dir(folder.join("incoming")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect()
    }

    #[tokio::test]
    async fn of_what_arrives_no_more_than_a_piece_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut arriving = Arriving::new(Arc::new(open(folder.path())), 1 << 30);
        let (mut sent, step) = (0, vec![7; 100_001]);
        for pieces in 1..200 {
            let bytes = step.repeat(1 + pieces % 7);
            arriving.write(&bytes).await.unwrap();
            sent += bytes.len();
            let (written, held) = (on_their_way(folder.path()).iter().sum::<u64>(), arriving.buffer.len());
            assert_eq!(written + held as u64, sent as u64);
            assert!(held < PIECE_BYTES && arriving.buffer.capacity() <= 2 * PIECE_BYTES);
        }
        let arrived = arriving.seal().await.unwrap();
        assert_eq!(arrived.size, sent as u64);
        assert_eq!(on_their_way(folder.path()), [sent as u64]);
        drop(arrived);
        assert!(on_their_way(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn past_the_bound_nothing_is_taken_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut arriving = Arriving::new(Arc::new(open(folder.path())), 2 * PIECE_BYTES as u64);
        arriving.write(&vec![1; 2 * PIECE_BYTES]).await.unwrap();
        assert!(matches!(arriving.write(&[1]).await, Err(MediaError::TooLarge)));
        drop(arriving);
        assert!(on_their_way(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn a_disk_that_is_nearly_full_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut arriving = Arriving::new(Arc::new(open(folder.path()).full()), 1 << 30);
        arriving.write(b"little").await.unwrap();
        assert!(matches!(arriving.write(&vec![1; PIECE_BYTES]).await, Err(MediaError::DiskFull)));
        drop(arriving);
        assert!(on_their_way(folder.path()).is_empty());
    }
}
