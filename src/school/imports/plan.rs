//! From a bundle to stored changes.

use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Imports,
    returns::{Former, Return},
};
use crate::{
    school::{
        SchoolError,
        audit::Author,
        problem::{Problem, Severity},
        reconcile::{Outline, walk},
        roster::{Bundle, Roster},
    },
    store::{
        Batch, Store, StoreError, Value as _,
        schema::school::{Counts, IMPORT_CHANGES, IMPORT_PROBLEMS, IMPORT_SUMMARIES, Import, ImportState},
    },
};

/// Changes written in one commit.
const BATCH: usize = 2_000;
/// Problems that are kept of an import.
const PROBLEMS_MAX: usize = 2_000;
/// The longest name of a source.
const SOURCE_BYTES_MAX: usize = 64;

/// What was read from a source's files.
#[derive(Debug, Clone, Default)]
pub struct NewImport {
    /// What they tell; `None` if they have an error.
    pub bundle: Option<Bundle>,
    /// What is wrong with them: the first ones, if there are many.
    pub problems: Vec<Problem>,
    /// How many errors there are.
    pub errors: u64,
    /// How many warnings there are.
    pub warnings: u64,
}

impl From<Bundle> for NewImport {
    fn from(bundle: Bundle) -> Self {
        Self { bundle: Some(bundle), ..Self::default() }
    }
}

impl From<crate::school::files::ReadOutcome> for NewImport {
    fn from(read: crate::school::files::ReadOutcome) -> Self {
        Self { bundle: read.bundle, problems: read.problems, errors: read.errors, warnings: read.warnings }
    }
}

impl Imports {
    /// Compares what a source tells with what is stored, and keeps the changes under the number that is the answer.
    /// Nothing is applied. The import's state says how it stands: [`ImportState::Refused`] for files with errors,
    /// [`ImportState::Held`] for changes that somebody has to confirm, else [`ImportState::Planned`].
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a name of a source outside `[a-z0-9._-]{1,64}`, [`SchoolError::Conflict`] while
    /// an import of the source is being applied or undone.
    pub async fn plan(&self, source: &str, new: impl Into<NewImport>, by: &Author) -> Result<u64, SchoolError> {
        check_source(source)?;
        let new: NewImport = new.into();
        let _one = self.inner.planning.lock().await;
        let state = self.source(source).await?;
        if let Some(number) = self.at_work()
            && self.stored(number).await?.source == source
        {
            return Err(SchoolError::Conflict(format!("import {number} of this source is at work")));
        }
        let number = self.inner.numbers.next();
        let now_ms = self.inner.parts.clock.now_ms();
        let errors =
            new.errors.max(new.problems.iter().filter(|problem| problem.severity == Severity::Error).count() as u64);
        let mut import = Import {
            source: source.to_owned(),
            format: new.bundle.as_ref().map_or("", |bundle| bundle.format).to_owned(),
            delta: new.bundle.as_ref().is_some_and(Bundle::is_delta),
            sha256: new.bundle.as_ref().map_or([0; 32], |bundle| bundle.sha256),
            // Until all its changes are stored: a plan that was cut is tidied away.
            state: ImportState::Discarded,
            counts: Counts { errors, warnings: new.warnings, ..Counts::default() },
            done: 0,
            holds: Vec::new(),
            base: state.version,
            by: by.as_str().to_owned(),
            created_ms: now_ms,
            changed_ms: now_ms,
        };
        let mut batch = Batch::new();
        for (place, problem) in (0_u64..).zip(new.problems.iter().take(PROBLEMS_MAX)) {
            batch.put(&IMPORT_PROBLEMS, &(number, place), &serde_json::to_string(problem).unwrap_or_default());
        }
        self.stage(&mut batch, number, &import);
        self.store().commit(batch).await?;

        let known = state.sha256.is_some_and(|sha256| sha256 == import.sha256 && sha256 != [0; 32])
            && state.reader == env!("CARGO_PKG_VERSION");
        let outline = match new.bundle.filter(|_| errors == 0) {
            None => {
                import.state = ImportState::Refused;
                Outline::default()
            }
            // The very files that made the rows what they are: there is nothing to compare.
            Some(_) if known => {
                import.state = ImportState::Planned;
                Outline::default()
            }
            Some(bundle) => {
                let outline = self.compare(number, source, bundle).await?;
                import.state = if outline.holds.is_empty() { ImportState::Planned } else { ImportState::Held };
                outline
            }
        };
        import.counts = Counts { errors, warnings: new.warnings, ..outline.counts };
        import.holds = outline.holds;
        let mut batch = Batch::new();
        let summary = serde_json::to_string(&outline.summary).unwrap_or_default();
        batch.put(&IMPORT_SUMMARIES, &number, &summary);
        self.stage(&mut batch, number, &import);
        let detail = json!({ "source": source, "state": import.state, "counts": import.counts });
        self.inner.parts.audit.stage(&mut batch, by, "import.plan", &number.to_string(), &detail);
        self.store().commit(batch).await?;
        self.tidy_plans(source, number).await?;
        Ok(number)
    }

    /// Stores the changes while they are found: neither they nor their rows are ever in memory all at once.
    async fn compare(&self, number: u64, source: &str, bundle: Bundle) -> Result<Outline, SchoolError> {
        let (store, source) = (self.store().clone(), source.to_owned());
        let (sender, mut batches) = mpsc::channel(2);
        let comparing =
            tokio::task::spawn_blocking(move || compare_blocking(&store, number, &source, &bundle, &sender));
        let mut failed = None;
        while let Some(batch) = batches.recv().await {
            if let Err(error) = self.store().commit(batch).await {
                failed = Some(error);
                break;
            }
        }
        // Whoever still compares finds nobody who listens, and ends.
        drop(batches);
        let compared = comparing.await.map_err(SchoolError::task)?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let (mut outline, returns) = compared?;
        self.hold_returns(&returns, &mut outline.holds).await?;
        Ok(outline)
    }
}

fn compare_blocking(
    store: &Store,
    number: u64,
    source: &str,
    bundle: &Bundle,
    to: &mpsc::Sender<Batch>,
) -> Result<(Outline, Vec<Return>), StoreError> {
    let stored = Roster::load(store, source)?;
    let (former, mut returns) = (Former::read_blocking(store, source, &stored)?, Vec::new());
    let (mut batch, mut place) = (Batch::new(), 0_u64);
    let mut heard = true;
    let outline = walk(&stored, bundle, &mut |change| {
        returns.extend(former.returning(&change));
        batch.put_encoded(&IMPORT_CHANGES, &(number, place), change.encode());
        place += 1;
        if heard && place.is_multiple_of(BATCH as u64) {
            heard = to.blocking_send(std::mem::take(&mut batch)).is_ok();
        } else if !heard {
            batch = Batch::new();
        }
    });
    if heard && !batch.is_empty() {
        // An unheard batch is one whose plan has failed already.
        drop(to.blocking_send(batch));
    }
    Ok((outline, returns))
}

fn check_source(source: &str) -> Result<(), SchoolError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if (1..=SOURCE_BYTES_MAX).contains(&source.len()) && source.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SchoolError::Invalid("the name of a source has 1 to 64 of the characters a-z 0-9 . _ -".into()))
    }
}
