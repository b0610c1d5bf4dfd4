//! Files on their way in and out: what somebody uploads for an import, and exports that are being fetched.
//!
//! They stand in a folder of their own in the data folder, and are deleted when nobody holds them any more.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{
    SchoolError,
    audit::{Audit, Author},
    export,
    files::{Hints, Limits, ReadOutcome, read},
    imports::Imports,
    roster::{Bundle, Roster},
};
use crate::{
    config::Config,
    ids::Ids,
    store::{Batch, Store, schema::school::SOURCES},
};

/// The name of a school's only source, when nobody gives it another.
pub const SOURCE: &str = "roster";

/// The folder's name in the data folder.
const FOLDER: &str = "exchange";

/// Sources there may be in an answer.
const SOURCES_MAX: usize = 1_000;

/// Files in and out. Cheap to clone.
#[derive(Clone)]
pub struct Exchange {
    folder: PathBuf,
    ids: Ids,
    store: Store,
    imports: Imports,
    audit: Audit,
}

/// A file that is deleted with this value.
#[derive(Debug)]
pub struct TempFile(PathBuf);

impl TempFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // What is left over is removed at the next start. Commands leave folders here too.
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
    }
}

/// A file that is being received.
pub struct Upload {
    file: tokio::fs::File,
    place: TempFile,
}

impl Upload {
    /// Appends to it.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece).await
    }

    /// All of it has come.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub async fn finish(mut self) -> io::Result<TempFile> {
        self.file.flush().await?;
        Ok(self.place)
    }
}

impl Exchange {
    pub(super) fn new(config: &Config, ids: Ids, store: Store, imports: Imports, audit: Audit) -> Self {
        Self { folder: folder(&config.database.path), ids, store, imports, audit }
    }

    /// Removes what an earlier process left. Called before anybody uses the folder.
    pub(super) async fn clear(&self) {
        // Nothing is there at most starts; whatever cannot be removed is only in the way of the disk.
        let _ = tokio::fs::remove_dir_all(&self.folder).await;
    }

    /// Where it is stored what comes of it.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The largest upload, in bytes.
    pub fn upload_bytes_max(&self) -> u64 {
        Limits::default().archive_bytes
    }

    /// Begins to receive a file.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub async fn begin(&self) -> io::Result<Upload> {
        let place = self.place(".zip")?;
        let mut options = tokio::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(place.path()).await?;
        Ok(Upload { file, place })
    }

    /// Reads a file or folder and plans its import; the import's number. What is wrong with the files is kept with it.
    ///
    /// # Errors
    /// As [`Imports::plan`].
    pub async fn plan(&self, source: &str, path: &Path, by: &Author) -> Result<u64, SchoolError> {
        let mut outcome = self.read(path, None).await?;
        if outcome.bundle.as_ref().is_some_and(Bundle::is_delta) {
            // What a delta refers to is looked up in what is stored. Deltas are small: they are read a second time.
            let stored = self.roster(source).await?;
            outcome = self.read(path, Some(stored)).await?;
        }
        self.imports.plan(source, outcome, by).await
    }

    /// Names of the sources that rosters were imported from.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sources(&self) -> Result<Vec<String>, SchoolError> {
        let rows = self.store.prefix(&SOURCES, &(), crate::store::Order::Ascending, SOURCES_MAX).await?;
        Ok(rows.into_iter().map(|(name, _)| name).collect())
    }

    /// Writes what is stored of a source as a ZIP; without a name, of the only one there is.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] for a source nothing was imported from, [`SchoolError::Invalid`] when there are several
    /// and none is named; the disk failed.
    pub async fn export(&self, source: Option<&str>, by: &Author) -> Result<TempFile, SchoolError> {
        let sources = self.sources().await?;
        let source = match (source, sources.as_slice()) {
            (Some(source), _) => {
                sources.iter().find(|known| *known == source).ok_or(SchoolError::NotFound("source"))?
            }
            (None, [only]) => only,
            (None, []) => return Err(SchoolError::NotFound("source")),
            (None, _) => return Err(SchoolError::Invalid(format!("name a source: {}", sources.join(", ")))),
        };
        let roster = self.roster(source).await?;
        let place = self.place(".zip")?;
        let writing = tokio::task::spawn_blocking(move || {
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(place.path())?;
            export::zip(&roster, io::BufWriter::new(file)).map_err(|error| SchoolError::Failed(error.to_string()))?;
            Ok::<_, SchoolError>(place)
        });
        let place = writing.await.map_err(SchoolError::task)??;
        let mut batch = Batch::new();
        self.audit.stage(&mut batch, by, "roster.export", source, &json!({}));
        self.store.commit(batch).await?;
        Ok(place)
    }

    async fn read(&self, path: &Path, stored: Option<Roster>) -> Result<ReadOutcome, SchoolError> {
        let path = path.to_owned();
        let reading =
            tokio::task::spawn_blocking(move || read(&path, &Hints { stored: stored.as_ref(), ..Hints::default() }));
        reading.await.map_err(SchoolError::task)
    }

    async fn roster(&self, source: &str) -> Result<Roster, SchoolError> {
        let (store, source) = (self.store.clone(), source.to_owned());
        let loading = tokio::task::spawn_blocking(move || Roster::load(&store, &source));
        Ok(loading.await.map_err(SchoolError::task)??)
    }

    fn place(&self, ending: &str) -> io::Result<TempFile> {
        new_place(&self.folder, &self.ids, ending)
    }
}

/// The folder of files on their way in a data folder.
pub fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

/// A name in the folder that nobody has; the folder is made. Nothing is at the name yet.
///
/// # Errors
/// The folder cannot be made.
pub fn new_place(folder: &Path, ids: &Ids, ending: &str) -> io::Result<TempFile> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(TempFile(folder.join(format!("{}{ending}", ids.opaque(16)))))
}
