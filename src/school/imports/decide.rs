//! What an administrator decides about an import: apply it, drop it, undo it.

use serde_json::json;

use super::Imports;
use crate::{
    school::{SchoolError, audit::Author, roster::Bundle},
    store::{
        Batch,
        schema::school::{Import, ImportState, SOURCES},
    },
};

impl Imports {
    /// Begins to apply an import; [`Self::settled`] waits for its end. `confirm` applies one that is held.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] while another import is at work, for one that is held and not confirmed, for one that
    /// is not waiting to be applied, and for a plan made against rows that have changed since: plan again.
    pub async fn apply(&self, number: u64, confirm: bool, by: &Author) -> Result<(), SchoolError> {
        let _deciding = self.inner.deciding.lock().await;
        self.check_idle()?;
        let mut import = self.stored(number).await?;
        match import.state {
            ImportState::Planned => {}
            ImportState::Held if confirm => {}
            ImportState::Held => {
                return Err(SchoolError::Conflict(format!("it has to be confirmed: {}", import.holds.join("; "))));
            }
            state => return Err(SchoolError::Conflict(format!("import {number} is {}", name(state)))),
        }
        let mut source = self.source(&import.source).await?;
        if source.version != import.base {
            import.state = ImportState::Discarded;
            let mut batch = Batch::new();
            self.stage(&mut batch, number, &import);
            self.store().commit(batch).await?;
            let text = "what is stored has changed since the import was planned: plan again";
            return Err(SchoolError::Conflict(text.into()));
        }
        (import.state, import.done) = (ImportState::Applying, 0);
        source.version += 1;
        source.sha256 = None;
        let mut batch = Batch::new();
        batch.put(&SOURCES, &import.source, &source);
        self.begin(batch, number, &import, ("import.apply", json!({ "confirm": confirm })), by).await
    }

    /// Begins to undo an import: the newest one in force of its source. Nothing is held, and accounts stay with the
    /// people they belong to. [`Self::settled`] waits for the end.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] while another import is at work, and for one that is not the newest in force or whose
    /// changes are no longer kept.
    pub async fn rollback(&self, number: u64, by: &Author) -> Result<(), SchoolError> {
        let _deciding = self.inner.deciding.lock().await;
        self.check_idle()?;
        let mut import = self.stored(number).await?;
        let mut source = self.source(&import.source).await?;
        if import.state != ImportState::Applied || source.applied.last() != Some(&number) {
            let text = "only the newest import in force of a source can be undone, while its changes are kept";
            return Err(SchoolError::Conflict(text.into()));
        }
        import.state = ImportState::RollingBack;
        source.version += 1;
        source.sha256 = None;
        let mut batch = Batch::new();
        batch.put(&SOURCES, &import.source, &source);
        self.begin(batch, number, &import, ("import.rollback", json!({})), by).await
    }

    /// Drops an import that was not applied.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] for one that was, or is at work.
    pub async fn discard(&self, number: u64, by: &Author) -> Result<(), SchoolError> {
        let _deciding = self.inner.deciding.lock().await;
        let mut import = self.stored(number).await?;
        if !matches!(import.state, ImportState::Planned | ImportState::Held) {
            return Err(SchoolError::Conflict(format!("import {number} is {}", name(import.state))));
        }
        import.state = ImportState::Discarded;
        let mut batch = Batch::new();
        self.stage(&mut batch, number, &import);
        self.inner.parts.audit.stage(&mut batch, by, "import.discard", &number.to_string(), &json!({}));
        self.store().commit(batch).await?;
        self.wake_to_tidy();
        Ok(())
    }

    /// Plans and applies in one, confirmed, and waits until it is in force: for the demo and for tests.
    ///
    /// # Errors
    /// As [`Self::plan`] and [`Self::apply`].
    pub async fn import_now(&self, source: &str, bundle: Bundle, by: &Author) -> Result<u64, SchoolError> {
        let number = self.plan(source, bundle, by).await?;
        self.apply(number, true, by).await?;
        self.work_off().await?;
        let import = self.settled(number).await?;
        if import.state == ImportState::Applied {
            Ok(number)
        } else {
            Err(SchoolError::Failed(format!("the import is {}", name(import.state))))
        }
    }

    pub(super) fn check_idle(&self) -> Result<(), SchoolError> {
        match self.at_work() {
            Some(number) => Err(SchoolError::Conflict(format!("import {number} is at work"))),
            None => Ok(()),
        }
    }

    /// Commits the beginning of work, and wakes who does it.
    async fn begin(
        &self,
        mut batch: Batch,
        number: u64,
        import: &Import,
        (action, detail): (&str, serde_json::Value),
        by: &Author,
    ) -> Result<(), SchoolError> {
        self.stage(&mut batch, number, import);
        self.inner.parts.audit.stage(&mut batch, by, action, &number.to_string(), &detail);
        let inner = self.inner.clone();
        batch.on_publish(move |_| {
            *inner.at_work.lock() = Some(number);
            inner.arrived.notify_one();
        });
        self.store().commit(batch).await?;
        Ok(())
    }
}

/// A state in words.
fn name(state: ImportState) -> &'static str {
    match state {
        ImportState::Refused => "refused, because its files have errors",
        ImportState::Planned => "planned",
        ImportState::Held => "held",
        ImportState::Applying => "being applied",
        ImportState::Applied => "in force already",
        ImportState::RollingBack => "being undone",
        ImportState::RolledBack => "undone",
        ImportState::Discarded => "discarded",
    }
}
