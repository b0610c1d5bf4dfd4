//! Applying and undoing in bounded steps.

use std::{sync::atomic::Ordering, time::Duration};

use super::{Imports, ahead::Ahead};
use crate::{
    school::SchoolError,
    store::{
        Batch,
        schema::school::{Import, ImportState, SOURCES},
    },
};

/// How long work rests after the store has failed it.
const RETRY: Duration = Duration::from_secs(30);
/// Imports of a source that can be undone; the changes of older ones are deleted.
const KEPT: usize = 10;

impl Imports {
    /// Applies and undoes what is to be, also what a crash has interrupted. Runs until it is dropped.
    pub async fn keep_working(&self) {
        loop {
            if let Err(error) = self.work_off().await {
                tracing::warn!(%error, "an import could not go on");
                self.inner.parts.clock.sleep(RETRY).await;
                continue;
            }
            if self.inner.untidy.swap(false, Ordering::Relaxed)
                && let Err(error) = self.tidy().await
            {
                tracing::warn!(%error, "old imports could not be tidied away");
            }
            self.inner.arrived.notified().await;
        }
    }

    /// Does what is to be done now, or waits until whoever is at it has done it.
    ///
    /// # Errors
    /// The store failed; the work goes on where it was.
    pub async fn work_off(&self) -> Result<(), SchoolError> {
        let _working = self.inner.working.lock().await;
        while let Some(number) = self.at_work() {
            self.finish(number).await?;
        }
        Ok(())
    }

    /// Lets only so many more steps be made, `None` for any number: for maintenance, and for tests that stop a server
    /// in the middle of an import.
    pub fn allow_steps(&self, steps: Option<u64>) {
        self.inner.steps.send_replace(steps);
    }

    /// Sets how many changes are applied in one commit.
    pub fn set_step_size(&self, changes: usize) {
        self.inner.step_size.store(changes.max(1), Ordering::Relaxed);
    }

    /// All steps that are left of an import, and its end.
    async fn finish(&self, number: u64) -> Result<(), SchoolError> {
        let mut import = self.stored(number).await?;
        let mut ahead = Ahead::default();
        let total = total(&import);
        loop {
            let left = match import.state {
                ImportState::Applying => import.done < total,
                ImportState::RollingBack => import.done > 0,
                _ => return Err(SchoolError::Failed("an import at work that is none".into())),
            };
            if !left {
                break;
            }
            self.take_step().await?;
            import = self.step(number, import, &mut ahead).await?;
        }
        drop(ahead);
        if total > 0 {
            // Decisions follow before the import is said to be in force.
            self.inner.parts.refresh.now().await?;
        }
        self.end(number, import).await
    }

    /// Waits until a step may be made.
    async fn take_step(&self) -> Result<(), SchoolError> {
        let mut steps = self.inner.steps.subscribe();
        let ended = |_| SchoolError::Failed("the imports have ended".into());
        loop {
            steps.wait_for(|steps| *steps != Some(0)).await.map_err(ended)?;
            let taken = self.inner.steps.send_if_modified(|steps| match steps {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            });
            if taken || self.inner.steps.borrow().is_none() {
                return Ok(());
            }
        }
    }

    async fn end(&self, number: u64, mut import: Import) -> Result<(), SchoolError> {
        let mut source = self.source(&import.source).await?;
        source.version += 1;
        if import.state == ImportState::Applying {
            import.state = ImportState::Applied;
            // One that changed nothing cannot be undone, and leaves the one before it the newest that can.
            source.applied.extend((total(&import) > 0).then_some(number));
            let old = source.applied.len().saturating_sub(KEPT);
            source.applied.drain(..old);
            source.sha256 = Some(import.sha256);
            env!("CARGO_PKG_VERSION").clone_into(&mut source.reader);
        } else {
            import.state = ImportState::RolledBack;
            source.applied.retain(|applied| *applied != number);
        }
        let mut batch = Batch::new();
        batch.put(&SOURCES, &import.source, &source);
        self.stage(&mut batch, number, &import);
        let inner = self.inner.clone();
        batch.on_publish(move |_| *inner.at_work.lock() = None);
        self.store().commit(batch).await?;
        tracing::info!(import = number, source = import.source, state = ?import.state, "an import has ended");
        self.wake_to_tidy();
        Ok(())
    }

    pub(super) fn wake_to_tidy(&self) {
        self.inner.untidy.store(true, Ordering::Relaxed);
        self.inner.arrived.notify_one();
    }
}

/// How many changes an import has.
pub(super) fn total(import: &Import) -> u64 {
    import.counts.created + import.counts.updated + import.counts.removed
}
