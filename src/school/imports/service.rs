//! The service of imports, and what it keeps of each.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize},
};

use parking_lot::Mutex as Quick;
use tokio::sync::{Mutex, Notify, watch};

use super::Refresh;
use crate::{
    clock::Clock,
    ids::Ids,
    rooms::Rooms,
    school::{Rules, SchoolError, audit::Audit, reconcile::Summary, sequence::Sequence},
    store::{
        Batch, Order, Store, StoreError,
        schema::school::{
            Change, IMPORT_CHANGES, IMPORT_PROBLEMS, IMPORT_SUMMARIES, IMPORTS, Import, ImportState, SOURCES, Source,
        },
    },
    users::Users,
};

/// Changes applied in one commit. More would make writers of accounts wait longer for their turn.
const STEP: usize = 1_000;
/// Rows of one answer at most.
const PAGE_MAX: usize = 1_000;

/// What imports are built from.
pub struct ImportsParts {
    /// Tables and the committer.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Random ids.
    pub ids: Ids,
    /// Accounts.
    pub users: Users,
    /// Rooms, which are told of new names.
    pub rooms: Rooms,
    /// Who is who now.
    pub rules: Arc<Rules>,
    /// Who did what.
    pub audit: Audit,
    /// Reads the people anew once an import is in force.
    pub refresh: Refresh,
}

/// Imports. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) parts: ImportsParts,
    pub(super) numbers: Sequence,
    /// One plan is made at a time: each holds a whole roster.
    pub(super) planning: Mutex<()>,
    /// One decision about imports at a time.
    pub(super) deciding: Mutex<()>,
    /// Held by who applies.
    pub(super) working: Mutex<()>,
    /// The import that is being applied or undone.
    pub(super) at_work: Quick<Option<u64>>,
    /// There is something to apply.
    pub(super) arrived: Notify,
    /// Counts what happened to imports.
    pub(super) changed: watch::Sender<u64>,
    /// Steps that may be made; `None` for any number.
    pub(super) steps: watch::Sender<Option<u64>>,
    pub(super) step_size: AtomicUsize,
    /// There may be something to tidy.
    pub(super) untidy: AtomicBool,
}

impl Imports {
    /// Builds the service. An import that was interrupted is found, and goes on with [`Self::keep_working`].
    ///
    /// # Errors
    /// The store failed.
    pub async fn load(parts: ImportsParts) -> Result<Self, SchoolError> {
        let numbers = Sequence::load(&parts.store, &IMPORTS).await?;
        let store = parts.store.clone();
        let interrupted = tokio::task::spawn_blocking(move || {
            let mut found = None;
            store.walk_blocking(&IMPORTS, |number, import: Import| {
                if matches!(import.state, ImportState::Applying | ImportState::RollingBack) {
                    found = Some(number);
                }
                Ok(())
            })?;
            Ok::<_, StoreError>(found)
        });
        let interrupted = interrupted.await.map_err(SchoolError::task)??;
        let inner = Inner {
            parts,
            numbers,
            planning: Mutex::default(),
            deciding: Mutex::default(),
            working: Mutex::default(),
            at_work: Quick::new(interrupted),
            arrived: Notify::new(),
            changed: watch::Sender::new(0),
            steps: watch::Sender::new(None),
            step_size: AtomicUsize::new(STEP),
            untidy: AtomicBool::new(true),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An import.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, number: u64) -> Result<Option<Import>, SchoolError> {
        Ok(self.store().get(&IMPORTS, &number).await?)
    }

    /// At most `limit` imports with their numbers, newest first, from before number `before`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Import)>, SchoolError> {
        let (to, limit) = (before.unwrap_or(u64::MAX), limit.min(PAGE_MAX));
        Ok(self.store().range(&IMPORTS, &0_u64, &to, Order::Descending, limit).await?)
    }

    /// At most `limit` changes of an import, from number `from` (0 is the first), in the order in which they are
    /// applied. Those of old imports are no longer kept.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changes(&self, number: u64, from: u64, limit: usize) -> Result<Vec<Change>, SchoolError> {
        let (from, to) = ((number, from), (number, u64::MAX));
        let rows = self.store().range(&IMPORT_CHANGES, &from, &to, Order::Ascending, limit.min(PAGE_MAX)).await?;
        Ok(rows.into_iter().map(|(_, change)| change).collect())
    }

    /// At most `limit` problems of an import's files, from number `from` (0 is the first): JSON objects as in
    /// [`Problem`](crate::school::problem::Problem).
    ///
    /// # Errors
    /// The store failed.
    pub async fn problems(&self, number: u64, from: u64, limit: usize) -> Result<Vec<serde_json::Value>, SchoolError> {
        let (from, to) = ((number, from), (number, u64::MAX));
        let rows = self.store().range(&IMPORT_PROBLEMS, &from, &to, Order::Ascending, limit.min(PAGE_MAX)).await?;
        Ok(rows.into_iter().filter_map(|(_, json)| serde_json::from_str(&json).ok()).collect())
    }

    /// What an import does in short.
    ///
    /// # Errors
    /// The store failed.
    pub async fn summary(&self, number: u64) -> Result<Summary, SchoolError> {
        let json = self.store().get(&IMPORT_SUMMARIES, &number).await?;
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
    }

    /// What is known of a source; that of an unknown one is empty.
    ///
    /// # Errors
    /// The store failed.
    pub async fn source(&self, source: &str) -> Result<Source, SchoolError> {
        Ok(self.store().get(&SOURCES, &source.to_owned()).await?.unwrap_or_default())
    }

    /// The import that is being applied or undone.
    pub fn at_work(&self) -> Option<u64> {
        *self.inner.at_work.lock()
    }

    /// Tells of every step and every change of state of an import; the number only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Waits until an import is neither being applied nor being undone.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`].
    pub async fn settled(&self, number: u64) -> Result<Import, SchoolError> {
        let mut changed = self.changed();
        loop {
            changed.mark_unchanged();
            let import = self.stored(number).await?;
            if !matches!(import.state, ImportState::Applying | ImportState::RollingBack) {
                return Ok(import);
            }
            if changed.changed().await.is_err() {
                return Err(SchoolError::Failed("the imports have ended".into()));
            }
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub(super) async fn stored(&self, number: u64) -> Result<Import, SchoolError> {
        self.get(number).await?.ok_or(SchoolError::NotFound("import"))
    }

    /// Adds an import to `batch`, dated now; whoever waits is told once it is there.
    pub(super) fn stage(&self, batch: &mut Batch, number: u64, import: &Import) {
        let changed_ms = self.inner.parts.clock.now_ms();
        batch.put(&IMPORTS, &number, &Import { changed_ms, ..import.clone() });
        // Not all of `inner`: the committer would hold the store, of which it is a part, beyond its answer.
        let changed = self.inner.changed.clone();
        batch.on_visible(move || changed.send_modify(|count| *count += 1));
    }
}
