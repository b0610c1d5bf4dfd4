//! Rows that nobody needs any more are swept out, a bounded number at a time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::service::Inner;
use crate::store::{Batch, Order, Position, StoreError, schema::federation::OUTGOING};

/// Rows of [`OUTGOING`] that are kept at most for servers that have not come so far: after as many events a server is
/// told the newest of each room only, for which no row is needed.
const KEPT_MAX: u64 = 200_000;
/// Rows deleted at once, and in one go.
const PAGE: usize = 1_000;
const PAGES_MAX: usize = 20;
/// How often.
pub(super) const SWEPT: Duration = Duration::from_mins(10);
/// Sweeps between two looks at what the outbox keeps for servers that stay away.
pub(super) const SWEEPS_BETWEEN_TIDYING: u32 = 6;

/// How many rows there are.
#[derive(Default)]
pub(super) struct Kept(AtomicU64);

impl Kept {
    pub(super) fn add(&self, rows: usize) {
        self.0.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Inner {
    /// Counts the rows of the table, blocking; once, at the start.
    pub(super) fn count_kept_blocking(&self) -> Result<(), StoreError> {
        let mut rows = 0;
        self.parts.store.walk_blocking(&OUTGOING, |_, _| {
            rows += 1;
            Ok(())
        })?;
        self.kept.add(rows);
        Ok(())
    }

    /// Deletes rows that all servers have passed, and the oldest of too many. Everything up to `dispatched` was handed
    /// out.
    pub(super) async fn sweep(&self, dispatched: Position) -> Result<(), StoreError> {
        let passed = self.board.floor().map_or(dispatched, |floor| floor.min(dispatched));
        for _ in 0..PAGES_MAX {
            let upto = Position(dispatched.0.saturating_add(1));
            let rows = self.parts.store.range(&OUTGOING, &Position::ZERO, &upto, Order::Ascending, PAGE).await?;
            let excess = usize::try_from(self.kept.0.load(Ordering::Relaxed).saturating_sub(KEPT_MAX)).unwrap_or(PAGE);
            let mut batch = Batch::new();
            let useless = rows.iter().enumerate().take_while(|(index, (at, _))| *at <= passed || *index < excess);
            let mut deleted = 0;
            for (_, (at, _)) in useless {
                batch.delete(&OUTGOING, at);
                deleted += 1;
            }
            if deleted == 0 {
                break;
            }
            self.parts.store.commit(batch).await?;
            let less = |kept: u64| Some(kept.saturating_sub(deleted as u64));
            // It always answers.
            let _ = self.kept.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            if deleted < PAGE {
                break;
            }
        }
        Ok(())
    }

    /// Bounds what the outbox keeps for servers that stay away.
    pub(super) async fn tidy_outbox(&self) -> Result<(), StoreError> {
        for server in self.parts.outbox.servers_waiting().await? {
            if self.board.look(server).is_some_and(|(_, waits)| waits.is_some()) {
                self.parts.outbox.tidy(server).await?;
            }
        }
        Ok(())
    }
}
