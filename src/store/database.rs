//! The store as the rest of the server holds it.

mod names;

use std::{path::Path, sync::Arc};

use super::{
    Batch, Health, Position, StoreError,
    codec::{Key, Table, Value},
    commit::{Committer, Place},
    engine::{Engine, EngineOptions, Scan},
    interner::{Counters, Interner},
    schema,
};

/// Names of each kind kept in memory.
const NAMES_CACHED: usize = 50_000;
/// Names of servers kept in memory.
const SERVERS_CACHED: usize = 5_000;

/// How the store is opened.
pub type StoreOptions = EngineOptions;

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key.
    Ascending,
    /// From the largest key.
    Descending,
}

/// Tables, numbers, the committer. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // The committer's thread ends before the engine is closed: fields drop in this order.
    committer: Committer,
    counters: Arc<Counters>,
    users: Interner,
    rooms: Interner,
    servers: Interner,
    state_keys: Interner,
    engine: Engine,
}

impl Store {
    /// Opens the database in `path`.
    ///
    /// # Errors
    /// It is damaged, in use by another process, or the disk refuses.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let engine = Engine::open(path, options)?;
        let counters = Arc::new(Counters::load(&engine)?);
        let committer = Committer::start(engine.clone(), counters.clone())?;
        let inner = Inner {
            committer,
            counters,
            users: Interner::new(&schema::USER_NUMBERS, &schema::USER_NAMES, NAMES_CACHED),
            rooms: Interner::new(&schema::ROOM_NUMBERS, &schema::ROOM_NAMES, NAMES_CACHED),
            servers: Interner::new(&schema::SERVER_NUMBERS, &schema::SERVER_NAMES, SERVERS_CACHED),
            state_keys: Interner::new(&schema::STATE_KEY_NUMBERS, &schema::STATE_KEY_NAMES, NAMES_CACHED),
            engine,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// One row.
    pub async fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        self.inner.engine.get(table.family, &table.key(key)).await?.map(|bytes| decode(table, &bytes)).transpose()
    }

    /// One row, waiting for the disk on this thread: for work that has a thread of its own.
    pub fn get_blocking<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        self.inner.engine.get_blocking(table.family, &table.key(key))?.map(|bytes| decode(table, &bytes)).transpose()
    }

    /// Many rows of one table, in the order of the keys.
    pub async fn multi_get<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        keys: &[K],
    ) -> Result<Vec<Option<V>>, StoreError> {
        let keys = keys.iter().map(|key| table.key(key)).collect();
        let found = self.inner.engine.multi_get(table.family, keys).await?;
        found.into_iter().map(|value| value.map(|bytes| decode(table, &bytes)).transpose()).collect()
    }

    /// At most `limit` rows whose key begins with `part`.
    pub async fn prefix<K: Key, V: Value, P: Key>(
        &self,
        table: &Table<K, V>,
        part: &P,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let from = table.prefix(part);
        let to = after_prefix(&from);
        self.scan(table, from, to, order, limit).await
    }

    /// At most `limit` rows from `from` (included) to `to` (excluded); both may be the first parts of a key.
    pub async fn range<K: Key, V: Value, F: Key, T: Key>(
        &self,
        table: &Table<K, V>,
        from: &F,
        to: &T,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        self.scan(table, table.prefix(from), table.prefix(to), order, limit).await
    }

    async fn scan<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        from: Vec<u8>,
        to: Vec<u8>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StoreError> {
        let scan = Scan { family: table.family, from, to, descending: order == Order::Descending, limit };
        let pairs = self.inner.engine.scan(scan).await?;
        pairs.iter().map(|(key, value)| decode_pair(table, key, value)).collect()
    }

    /// All rows of a table, as by [`Self::walk_part_blocking`]. For start-up and `doctor`.
    pub fn walk_blocking<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        each: impl FnMut(K, V) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.walk_part_blocking(table, &(), each)
    }

    /// Rows whose key begins with `part`, in pages, blocking. Fails as `each` does, and for unreadable rows.
    pub fn walk_part_blocking<K: Key, V: Value, P: Key>(
        &self,
        table: &Table<K, V>,
        part: &P,
        mut each: impl FnMut(K, V) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        const PAGE: usize = 4096;
        let mut from = table.prefix(part);
        let to = after_prefix(&from);
        loop {
            let scan =
                Scan { family: table.family, from: from.clone(), to: to.clone(), descending: false, limit: PAGE };
            let pairs = self.inner.engine.scan_blocking(&scan)?;
            for (key, value) in &pairs {
                let (key, value) = decode_pair(table, key, value)?;
                each(key, value)?;
            }
            match pairs.last() {
                Some((last, _)) if pairs.len() == PAGE => {
                    from = last.to_vec();
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Commits a batch: durable and visible when this returns. The answer is the position of its last stamped row.
    pub async fn commit(&self, batch: Batch) -> Result<Position, StoreError> {
        self.place().await?.commit(batch).await
    }

    /// Reserves a place for one batch, so that it can be handed over inside a lock without waiting.
    pub async fn place(&self) -> Result<Place<'_>, StoreError> {
        self.inner.committer.place().await
    }

    /// The newest position that readers may see.
    pub fn position(&self) -> Position {
        self.inner.committer.position()
    }

    /// Waits until the last reference to the store is dropped and the database is closed. Holds no reference.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let closed = self.inner.engine.closed();
        async move { closed.cancelled().await }
    }

    /// Whether writing still works.
    pub fn health(&self) -> &Health {
        self.inner.committer.health()
    }

    /// The engine, for `check`.
    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Bytes that block cache and write buffers use.
    pub fn memory_bytes(&self) -> usize {
        self.inner.engine.memory_bytes()
    }

    /// Merges all tables. Long; for maintenance and measurements.
    pub fn compact_blocking(&self) -> Result<(), StoreError> {
        self.inner.engine.compact()
    }
}

fn decode<K, V: Value>(table: &Table<K, V>, bytes: &[u8]) -> Result<V, StoreError> {
    V::decode(bytes).ok_or(StoreError::Corrupt { table: table.name, what: "the value does not decode" })
}

fn decode_pair<K: Key, V: Value>(table: &Table<K, V>, key: &[u8], value: &[u8]) -> Result<(K, V), StoreError> {
    let key =
        table.decode_key(key).ok_or(StoreError::Corrupt { table: table.name, what: "the key does not decode" })?;
    Ok((key, decode(table, value)?))
}

/// The first key after all that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::Durability;
    use ruma::{UserId, user_id};

    fn open(path: &Path) -> Store {
        Store::open(path, &StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os }).unwrap()
    }

    static T: Table<(u64, u64), u64> = Table::rows(250, "test");

    #[tokio::test]
    async fn positions_are_published_in_order_and_rows_contain_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut tasks = Vec::new();
        for writer in 0..50_u64 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let mut batch = Batch::new();
                for _ in 0..3 {
                    batch.at_position(move |at, rows| rows.put(&T, &(7, at.0), &writer));
                }
                let last = store.commit(batch).await.unwrap();
                assert!(store.position() >= last);
                // Its own rows are adjacent: a batch is one unit.
                let mine =
                    store.range(&T, &(7_u64, last.0 - 2), &(7_u64, last.0 + 1), Order::Ascending, 9).await.unwrap();
                assert_eq!(mine.iter().map(|(_, w)| *w).collect::<Vec<_>>(), [writer; 3]);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.prefix(&T, &7_u64, Order::Ascending, 999).await.unwrap().len(), 150);
    }

    #[tokio::test]
    async fn a_name_is_minted_once_however_many_writers_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut tasks = Vec::new();
        for n in 0..200_u64 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let id = UserId::parse(format!("@u{}:a", n % 5)).unwrap();
                let mut batch = Batch::new();
                let number = store.mint_user(&id, &mut batch).await.unwrap();
                if n % 7 != 0 {
                    store.commit(batch).await.unwrap();
                }
                (n % 5, number, n % 7 != 0)
            }));
        }
        let mut durable = HashSet::new();
        for task in tasks {
            let (name, number, committed) = task.await.unwrap();
            if committed {
                durable.insert((name, number));
            }
        }
        assert_eq!(durable.len(), 5);
        assert_eq!(durable.iter().map(|(_, number)| *number).collect::<HashSet<_>>().len(), 5);
    }

    #[tokio::test]
    async fn nothing_is_given_out_twice_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut events, mut last) = (HashSet::new(), Position::ZERO);
        for _ in 0..3 {
            let store = open(dir.path());
            for _ in 0..100 {
                assert!(events.insert(store.next_event()));
            }
            let mut batch = Batch::new();
            batch.put(&T, &(1, 1), &1);
            // Positions without rows count too: a client may hold one as its token.
            batch.at_position(|_, _| {});
            let mut batch2 = Batch::new();
            batch2.at_position(|_, _| {});
            store.commit(batch).await.unwrap();
            let at = store.commit(batch2).await.unwrap();
            assert!(at > last);
            last = at;
        }
    }

    #[tokio::test]
    async fn an_abandoned_name_is_not_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut batch = Batch::new();
        store.mint_user(user_id!("@a:b"), &mut batch).await.unwrap();
        drop(batch);
        assert_eq!(store.user(user_id!("@a:b")).await.unwrap(), None);
    }
}
