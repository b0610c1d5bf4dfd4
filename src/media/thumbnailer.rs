//! Thumbnails: who may make one at the same time, and where they are kept.

use std::{fs::File, io, sync::Arc};

use tokio::sync::Semaphore;

use super::{
    MediaError, Wanted,
    arriving::blocking,
    cache::Cache,
    files::Files,
    thumbnail::{self, Format, Made},
};

/// Thumbnails that are made at the same time.
const WORKERS: usize = 2;
/// Thumbnails that are made or wait for it; more are refused.
const WAITING_MAX: usize = 128;

/// Makes and keeps thumbnails.
#[derive(Debug)]
pub(super) struct Thumbnailer {
    waiting: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

impl Thumbnailer {
    pub(super) fn new() -> Self {
        Self { waiting: Arc::new(Semaphore::new(WAITING_MAX)), workers: Arc::new(Semaphore::new(WORKERS)) }
    }

    /// The thumbnail of content, made now or before. If that is of another server, its `cache` counts what is made.
    pub(super) async fn thumbnail(
        &self,
        files: &Arc<Files>,
        cache: Option<&Arc<Cache>>,
        sha256: [u8; 32],
        wanted: Wanted,
    ) -> Result<(File, Format), MediaError> {
        let kept = files.clone();
        if let Some(found) = blocking(move || open(&kept, &sha256, wanted)).await? {
            return Ok(found);
        }
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| MediaError::Busy)?;
        let worker = self.workers.clone().acquire_owned().await.map_err(|_| MediaError::Busy)?;
        let (files, cache) = (files.clone(), cache.cloned());
        // What is held is not held by the reader: one who goes away does not end the work.
        let making = tokio::spawn(async move {
            let made = tokio::task::spawn_blocking(move || {
                let _held = (waiting, worker);
                // A whole class looks at the same picture at once: whoever waited finds it made.
                if let Some((file, format)) = open(&files, &sha256, wanted)? {
                    return Ok((file, format, None));
                }
                let (file, format) = make(&files, &sha256, wanted)?;
                let size = file.metadata()?.len();
                Ok((file, format, Some(size)))
            });
            // A decoder that panics met a damaged image.
            let (file, format, new) = made.await.unwrap_or(Err(MediaError::NotAnImage))?;
            if let Some((cache, size)) = cache.zip(new)
                && let Err(error) = cache.count_thumbnail(sha256, size).await
            {
                tracing::warn!(%error, "a thumbnail of another server's content was not counted");
            }
            Ok((file, format))
        });
        making.await.unwrap_or(Err(MediaError::NotAnImage))
    }
}

fn open(files: &Files, sha256: &[u8; 32], wanted: Wanted) -> io::Result<Option<(File, Format)>> {
    for format in Format::ALL {
        match File::open(files.thumbnail_path(sha256, &wanted.name(), format.extension())) {
            Ok(file) => return Ok(Some((file, format))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn make(files: &Files, sha256: &[u8; 32], wanted: Wanted) -> Result<(File, Format), MediaError> {
    let path = |format: Format| files.thumbnail_path(sha256, &wanted.name(), format.extension());
    let format = match thumbnail::make(&files.path(sha256), wanted)? {
        Made::Same(format) => {
            files.link_thumbnail(sha256, &path(format))?;
            format
        }
        Made::New(format, bytes) => {
            // No account is charged for it.
            if !files.has_room()? {
                return Err(MediaError::DiskFull);
            }
            files.keep_thumbnail(&path(format), &bytes)?;
            format
        }
    };
    Ok((File::open(path(format))?, format))
}
