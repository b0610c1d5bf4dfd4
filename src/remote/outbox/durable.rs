//! What waits in the table: read in its order, deleted once it has arrived, bounded for servers that stay away.

use std::collections::HashSet;

use super::Outbox;
use crate::store::{
    Batch, Order, Position, ServerNo, StoreError,
    schema::federation::{OUTBOX, OutboxRecord},
};

/// How long messages to devices are kept for a server that does not answer, in milliseconds.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Messages to devices kept for one server; the oldest go first.
const KEPT_MAX: usize = 10_000;
/// Rows read at once.
const PAGE: usize = 500;
/// Servers with rows that are told at once.
const SERVERS_MAX: usize = 1_000_000;

impl Outbox {
    /// The oldest EDUs that wait for a server, with the position of each.
    ///
    /// # Errors
    /// The store failed.
    pub async fn durable(&self, server: ServerNo, limit: usize) -> Result<Vec<(Position, String)>, StoreError> {
        let rows = self.0.parts.store.prefix(&OUTBOX, &server, Order::Ascending, limit).await?;
        Ok(rows.into_iter().map(|((_, at), record)| (at, record.edu)).collect())
    }

    /// Deletes EDUs that have arrived, in the caller's batch.
    pub fn delivered(&self, server: ServerNo, positions: &[Position], batch: &mut Batch) {
        for at in positions {
            batch.delete(&OUTBOX, &(server, *at));
        }
    }

    /// The servers for which something waits in the table: a step for each, however much waits.
    ///
    /// # Errors
    /// The store failed.
    pub async fn servers_waiting(&self) -> Result<Vec<ServerNo>, StoreError> {
        let (store, mut found, mut from) = (&self.0.parts.store, Vec::new(), ServerNo(0));
        while found.len() < SERVERS_MAX {
            let next = store.range(&OUTBOX, &from, &ServerNo(u64::MAX), Order::Ascending, 1).await?;
            let Some(((server, _), _)) = next.into_iter().next() else { break };
            found.push(server);
            from = ServerNo(server.0.saturating_add(1));
        }
        Ok(found)
    }

    /// Drops what no longer matters of what waits for a server: changes of devices and keys that were followed by newer
    /// ones, messages that are very old or too many. Answers how many rows went.
    ///
    /// # Errors
    /// The store failed.
    pub async fn tidy(&self, server: ServerNo) -> Result<usize, StoreError> {
        let store = &self.0.parts.store;
        let mut sieve = Sieve::new(self.0.parts.clock.now_ms().saturating_sub(KEPT_MS));
        // From the newest, so that what is kept is known at once.
        let mut before = (server, Position(u64::MAX));
        loop {
            let rows = store.range(&OUTBOX, &server, &before, Order::Descending, PAGE).await?;
            let (last, full) = (rows.last().map(|(key, _)| *key), rows.len() == PAGE);
            let mut batch = Batch::new();
            for (key, record) in &rows {
                if !sieve.keeps(record) {
                    batch.delete(&OUTBOX, key);
                }
            }
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
            match last {
                Some(key) if full => before = key,
                _ => break,
            }
        }
        if sieve.lost > 0 {
            let server = store.server_name(server).await?;
            tracing::warn!(%server, messages = sieve.lost, "messages to devices were given up: the server stays away");
        }
        Ok(sieve.lost + sieve.superseded)
    }
}

/// Which rows stay, asked from the newest to the oldest.
struct Sieve {
    newer: HashSet<String>,
    oldest_ms: u64,
    messages: usize,
    lost: usize,
    superseded: usize,
}

impl Sieve {
    fn new(oldest_ms: u64) -> Self {
        Self { newer: HashSet::new(), oldest_ms, messages: 0, lost: 0, superseded: 0 }
    }

    fn keeps(&mut self, record: &OutboxRecord) -> bool {
        if record.about.is_empty() {
            self.messages += 1;
            let keeps = self.messages <= KEPT_MAX && record.made_ms >= self.oldest_ms;
            self.lost += usize::from(!keeps);
            return keeps;
        }
        let keeps = self.newer.insert(record.about.clone());
        self.superseded += usize::from(!keeps);
        keeps
    }
}
