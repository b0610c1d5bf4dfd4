//! Numbers for the rows of one table, each given out once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::store::{Order, Store, StoreError, Table, Value};

/// The next number of a table whose keys are numbers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Sequence(Arc<AtomicU64>);

impl Sequence {
    /// Goes on after the last row of a table; the first number is 1.
    ///
    /// # Errors
    /// The store failed.
    pub(super) async fn load<V: Value>(store: &Store, table: &Table<u64, V>) -> Result<Self, StoreError> {
        let last = store.range(table, &0_u64, &u64::MAX, Order::Descending, 1).await?;
        let last = last.first().map_or(0, |(number, _)| *number);
        Ok(Self(Arc::new(AtomicU64::new(last + 1))))
    }

    /// A number that no row has. One whose row is never written is not given out again before the next start.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
