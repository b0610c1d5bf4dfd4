//! The seam to the storage engine: ordered byte keys, a few operations, nothing else.
//!
//! Reads look at what is in memory first, on the caller's thread; only when the disk is needed do they go to a small,
//! bounded pool, so the async runtime never blocks on the disk. No iterator, column family or blocking call leaves
//! this file: another engine can take its place.

use std::{path::Path, sync::Arc};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamilyDescriptor, CompactOptions,
    DBCompressionType, DBRecoveryMode, DBWithThreadMode, Direction, ErrorKind, InfoLogger, IteratorMode, LogLevel,
    Options, ReadOptions, ReadTier, SingleThreaded, WriteBatch, WriteBufferManager, WriteOptions,
};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{StoreError, batch::Row, codec::Family};

/// Disk reads under way at once.
const DISK_READS_MAX: usize = 8;
const EVENTS: &str = "events";

/// What a commit waits for before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The data is on the disk.
    #[default]
    Fsync,
    /// The operating system has the data: a crash of the process loses nothing, a power cut may.
    Os,
}

/// How the engine is sized.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Bytes for block cache and write buffers together.
    pub memory_bytes: usize,
    /// When a commit counts as done.
    pub durability: Durability,
}

/// A range of keys of one family: `from` (included) to `to` (excluded), from the low end or from the high end.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub family: Family,
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub descending: bool,
    pub limit: usize,
}

/// Key and value, as stored.
pub(super) type Pair = (Box<[u8]>, Box<[u8]>);

type Db = DBWithThreadMode<SingleThreaded>;

/// RocksDB.
#[derive(Clone)]
pub(super) struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    cached: ReadOptions,
    disk: ReadOptions,
    write: WriteOptions,
    reads: Arc<Semaphore>,
    cache: Cache,
    /// Says that the database is closed: the last field. A read that nobody waits for any more may be what holds it.
    closed: DropGuard,
}

impl Engine {
    /// Opens the database, making it when it is missing.
    pub(super) fn open(path: &Path, options: &EngineOptions) -> Result<Self, StoreError> {
        Self::open_with(path, options, database_options(options.memory_bytes), |settings, path, families| {
            Db::open_cf_descriptors(settings, path, families)
        })
    }

    /// Opens what is in the database at this moment, for reading only: also beside the process that writes to it.
    /// Nothing is changed in its folder.
    pub(super) fn open_read_only(path: &Path, memory_bytes: usize) -> Result<Self, StoreError> {
        let mut settings = database_options(memory_bytes);
        settings.create_if_missing(false);
        settings.create_missing_column_families(false);
        // All files are opened at once, and stay readable when the writing process deletes them.
        settings.set_max_open_files(-1);
        settings.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
        let options = EngineOptions { memory_bytes, durability: Durability::Os };
        Self::open_with(path, &options, settings, |settings, path, families| {
            Db::open_cf_descriptors_read_only(settings, path, families, false)
        })
    }

    fn open_with(
        path: &Path,
        options: &EngineOptions,
        mut db_options: Options,
        open: impl FnOnce(&Options, &Path, [ColumnFamilyDescriptor; 2]) -> Result<Db, rocksdb::Error>,
    ) -> Result<Self, StoreError> {
        let cache = Cache::new_hyper_clock_cache(options.memory_bytes, 0);
        let buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(options.memory_bytes / 4, false, cache.clone());
        db_options.set_write_buffer_manager(&buffers);
        let families = [Family::Rows, Family::Events].map(|family| {
            ColumnFamilyDescriptor::new(family_name(family), family_options(family, &cache, options.memory_bytes))
        });
        let db = open(&db_options, path, families)?;
        let mut cached = ReadOptions::default();
        cached.set_read_tier(ReadTier::BlockCache);
        let mut write = WriteOptions::default();
        write.set_sync(options.durability == Durability::Fsync);
        let inner = Inner {
            db,
            cached,
            disk: ReadOptions::default(),
            write,
            reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
            cache,
            closed: CancellationToken::new().drop_guard(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Is cancelled once the database is closed. Holds no reference.
    pub(super) fn closed(&self) -> CancellationToken {
        self.inner.closed.token().clone()
    }

    /// One value.
    pub(super) async fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.inner.get(family, key, &self.inner.cached) {
            Err(e) if e.kind() == ErrorKind::Incomplete => {
                let key = key.to_vec();
                self.on_disk(move |inner| inner.get(family, &key, &inner.disk)).await
            }
            done => Ok(done?),
        }
    }

    /// One value, blocking. For the committer's thread, start-up and the rare re-check under a lock.
    pub(super) fn get_blocking(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.get(family, key, &self.inner.disk)?)
    }

    /// Many values of one family, in the order of the keys.
    pub(super) async fn multi_get(
        &self,
        family: Family,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let cached: Result<Vec<_>, _> =
            keys.iter().map(|key| self.inner.get(family, key, &self.inner.cached)).collect();
        match cached {
            Err(e) if e.kind() == ErrorKind::Incomplete => {
                self.on_disk(move |inner| keys.iter().map(|key| inner.get(family, key, &inner.disk)).collect()).await
            }
            done => Ok(done?),
        }
    }

    /// At most `limit` rows of a range.
    pub(super) async fn scan(&self, scan: Scan) -> Result<Vec<Pair>, StoreError> {
        match self.inner.scan(&scan, true) {
            Err(e) if e.kind() == ErrorKind::Incomplete => self.on_disk(move |inner| inner.scan(&scan, false)).await,
            done => Ok(done?),
        }
    }

    /// At most `limit` rows of a range, blocking.
    pub(super) fn scan_blocking(&self, scan: &Scan) -> Result<Vec<Pair>, StoreError> {
        Ok(self.inner.scan(scan, false)?)
    }

    /// Writes all rows or none, durably as configured. Blocking: only the committer's thread calls it.
    pub(super) fn write(&self, rows: impl Iterator<Item = Row>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let events = self.inner.db.cf_handle(EVENTS).ok_or_else(|| StoreError::Engine("a family is missing".into()))?;
        for (family, key, value) in rows {
            match (family, value) {
                (Family::Rows, Some(value)) => batch.put(key, value),
                (Family::Rows, None) => batch.delete(key),
                (Family::Events, Some(value)) => batch.put_cf(events, key, value),
                (Family::Events, None) => batch.delete_cf(events, key),
            }
        }
        Ok(self.inner.db.write_opt(batch, &self.inner.write)?)
    }

    /// Writes everything to tables and merges them, so that the size on disk is the size of what is kept.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for family in [Family::Rows, Family::Events] {
            let handle = self.inner.family(family)?;
            self.inner.db.flush_cf(handle)?;
            self.inner.db.compact_range_cf_opt(handle, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    /// Makes everything written so far durable, whatever the durability.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        Ok(self.inner.db.flush_wal(true)?)
    }

    /// Bytes the block cache and the write buffers use.
    pub(super) fn memory_bytes(&self) -> usize {
        self.inner.cache.get_usage()
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Inner) -> Result<T, rocksdb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = |what: &str| StoreError::Engine(what.to_owned());
        let permit = self.inner.reads.clone().acquire_owned().await.map_err(|_| stopped("the read pool is closed"))?;
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller: a caller who goes away does not end the read.
            let _permit = permit;
            read(&inner)
        })
        .await;
        Ok(done.map_err(|_| stopped("a read panicked"))??)
    }
}

impl Inner {
    fn family(&self, family: Family) -> Result<&rocksdb::ColumnFamily, rocksdb::Error> {
        match self.db.cf_handle(family_name(family)) {
            Some(handle) => Ok(handle),
            // Both families are opened or the database is not.
            None => unreachable_family(),
        }
    }

    fn get(&self, family: Family, key: &[u8], options: &ReadOptions) -> Result<Option<Vec<u8>>, rocksdb::Error> {
        match family {
            Family::Rows => self.db.get_opt(key, options),
            Family::Events => self.db.get_cf_opt(self.family(family)?, key, options),
        }
    }

    fn scan(&self, scan: &Scan, cached_only: bool) -> Result<Vec<Pair>, rocksdb::Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(scan.from.clone());
        options.set_iterate_upper_bound(scan.to.clone());
        if cached_only {
            options.set_read_tier(ReadTier::BlockCache);
        }
        let mode = if scan.descending {
            IteratorMode::From(&scan.to, Direction::Reverse)
        } else {
            IteratorMode::From(&scan.from, Direction::Forward)
        };
        self.db.iterator_cf_opt(self.family(scan.family)?, options, mode).take(scan.limit).collect()
    }
}

#[expect(clippy::unreachable, reason = "a database that lacks a family does not open")]
fn unreachable_family() -> ! {
    unreachable!("column families are opened with the database")
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Rows => rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
        Family::Events => EVENTS,
    }
}

fn database_options(memory_bytes: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // An old log is written over instead of a new file grown: an fsync then has no file size to record.
    options.set_recycle_log_file_num(2);
    options.set_max_total_wal_size((memory_bytes / 2).max(16 << 20) as u64);
    options.set_max_background_jobs(2);
    // All tables stay open: a read from memory alone must be able to tell "not here" from "not open".
    options.set_max_open_files(-1);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    // One thread writes; what serves many writers only costs.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    options
}

fn family_options(family: Family, cache: &Cache, memory_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_index_type(BlockBasedIndexType::BinarySearch);
    table.set_ribbon_filter(10.0);
    table.set_format_version(6);
    table.set_block_size(if family == Family::Events { 16 << 10 } else { 4 << 10 });
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size((memory_bytes / 16).max(1 << 20));
    options.set_arena_block_size(256 << 10);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn engine(path: &Path) -> Engine {
        Engine::open(path, &EngineOptions { memory_bytes: 8 << 20, durability: Durability::Os }).unwrap()
    }

    fn scan(descending: bool, limit: usize) -> Scan {
        Scan { family: Family::Rows, from: b"b".to_vec(), to: b"d".to_vec(), descending, limit }
    }

    #[tokio::test]
    async fn ranges_have_an_open_end_in_both_directions() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path());
        let rows = ["a", "b", "c", "d"].map(|k| (Family::Rows, k.as_bytes().to_vec(), Some(vec![1])));
        engine.write(rows.into_iter()).unwrap();
        let keys = |pairs: Vec<Pair>| pairs.iter().map(|(k, _)| k[0]).collect::<Vec<_>>();
        assert_eq!(keys(engine.scan(scan(false, 9)).await.unwrap()), b"bc");
        assert_eq!(keys(engine.scan(scan(true, 9)).await.unwrap()), b"cb");
        assert_eq!(keys(engine.scan(scan(true, 1)).await.unwrap()), b"c");
    }

    #[tokio::test]
    async fn what_is_only_on_disk_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        {
            let engine = engine(dir.path());
            engine.write([(Family::Events, b"k".to_vec(), Some(b"v".to_vec()))].into_iter()).unwrap();
            engine.compact().unwrap();
        }
        let engine = engine(dir.path());
        assert_eq!(engine.get(Family::Events, b"k").await.unwrap().unwrap(), b"v");
        assert_eq!(
            engine.multi_get(Family::Events, vec![b"k".to_vec(), b"x".to_vec()]).await.unwrap(),
            [Some(b"v".to_vec()), None]
        );
    }
}
