//! What is no longer needed of imports.

use std::sync::atomic::Ordering;

use super::Imports;
use crate::{
    school::SchoolError,
    store::{
        Batch, Key, Order, Table, Value,
        schema::school::{IMPORT_CHANGES, IMPORT_PROBLEMS, ImportState},
    },
};

/// Plans of a source that wait to be applied; older ones are dropped.
const PLANS: usize = 5;
/// The newest imports, which are looked at.
const LOOKED_AT: usize = 500;
/// The newest imports whose problems are kept.
const PROBLEMS: usize = 50;
/// Rows deleted in one commit.
const BATCH: usize = 2_000;

impl Imports {
    /// Drops the oldest plans of a source that nobody has applied, and those that can never be.
    pub(super) async fn tidy_plans(&self, source: &str, newest: u64) -> Result<(), SchoolError> {
        let _deciding = self.inner.deciding.lock().await;
        let version = self.source(source).await?.version;
        let mut waiting = 0;
        for (number, mut import) in self.list(None, LOOKED_AT).await? {
            if import.source != source || !matches!(import.state, ImportState::Planned | ImportState::Held) {
                continue;
            }
            waiting += 1;
            if number != newest && (waiting > PLANS || import.base != version) {
                import.state = ImportState::Discarded;
                let mut batch = Batch::new();
                self.stage(&mut batch, number, &import);
                self.store().commit(batch).await?;
                self.wake_to_tidy();
            }
        }
        Ok(())
    }

    /// Deletes the changes of imports that will neither be applied nor undone, and the problems of old ones.
    pub(super) async fn tidy(&self) -> Result<(), SchoolError> {
        // A plan in the making looks like one that was cut.
        let Ok(_planning) = self.inner.planning.try_lock() else {
            self.inner.untidy.store(true, Ordering::Relaxed);
            return Ok(());
        };
        for (place, (number, import)) in self.list(None, LOOKED_AT).await?.into_iter().enumerate() {
            let needed = match import.state {
                ImportState::Planned | ImportState::Held | ImportState::Applying | ImportState::RollingBack => true,
                ImportState::Applied => self.source(&import.source).await?.applied.contains(&number),
                ImportState::Refused | ImportState::RolledBack | ImportState::Discarded => false,
            };
            if !needed {
                self.delete_rows(&IMPORT_CHANGES, number).await?;
            }
            if place >= PROBLEMS {
                self.delete_rows(&IMPORT_PROBLEMS, number).await?;
            }
        }
        Ok(())
    }

    async fn delete_rows<V: Value>(&self, table: &'static Table<(u64, u64), V>, number: u64) -> Result<(), SchoolError>
    where
        (u64, u64): Key,
    {
        loop {
            let rows = self.store().prefix(table, &number, Order::Ascending, BATCH).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for (key, _) in &rows {
                batch.delete(table, key);
            }
            self.store().commit(batch).await?;
        }
    }
}
