//! What is kept of the content of other servers: how much that is, and what goes first.
//!
//! It is bounded by how long nobody has used it and by how much it is; of a server that has more than its share, its own
//! goes first. The sums are counted at the start and kept in memory. Rows go before files: [`REMOTE_MEDIA_LOOSE`]
//! remembers which files may be without a name, so that a crash in between leaves nothing for good. What changes rows and
//! the sum runs to its end, also when its reader goes away.

mod sums;

use std::{io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockReadGuard};

use self::sums::Sums;
use super::{
    Label, MediaError,
    arriving::{Arrived, blocking},
    files::Files,
};
use crate::{
    clock::Clock,
    places::{Place, Places},
    store::{
        Batch, Order, Store, StoreError,
        schema::media::{
            MEDIA_BY_HASH, MediaContent, REMOTE_MEDIA, REMOTE_MEDIA_BY_HASH, REMOTE_MEDIA_LOOSE, REMOTE_MEDIA_OF,
            REMOTE_MEDIA_USED, REMOTE_THUMBNAILS, RemoteMedia,
        },
    },
};

/// How long content is kept that nobody uses.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// Use is written down no sooner than this after the last time: most reads write nothing.
const USE_NOTED: Duration = Duration::from_hours(24);
/// Content is looked through for what is too old no sooner than this after the last time.
const SWEEP_PAUSE: Duration = Duration::from_hours(1);
/// Rows that go at once, while nobody can upload.
const GONE_AT_ONCE: usize = 200;
/// How often that is repeated for one fetch: enough for the smallest files to make room for a large one.
const ROUNDS_MAX: usize = 64;
/// Files count in whole blocks, so that many small ones are bounded too.
const BLOCK_BYTES: u64 = 4096;

/// The part of all bytes that one server may have before its content goes first.
const SHARE: u64 = 2;

/// Server name and media id.
pub(super) type Key = (String, String);

/// Which rows go.
#[derive(Debug, Clone, Copy)]
enum Going {
    /// Those not used since: Unix time in milliseconds.
    UnusedSince(u64),
    /// As many as are too many; first those of a server that has more than its share.
    TooMany,
}

/// What is kept of the content of other servers.
pub(super) struct Cache {
    files: Arc<Files>,
    store: Store,
    clock: Clock,
    bytes_max: u64,
    sums: Sums,
    /// One change of an id at a time.
    turns: Places<Key>,
    /// Read by whoever gives a file its first name, written by whoever removes files without one.
    naming: RwLock<()>,
    /// Held while the thumbnails of some content are counted.
    counting: tokio::sync::Mutex<()>,
    swept: Mutex<Option<Duration>>,
}

impl Cache {
    /// Counts what is kept. Blocks.
    pub(super) fn open(files: Arc<Files>, store: Store, clock: Clock, bytes_max: u64) -> Result<Self, StoreError> {
        let sums = Sums::new(bytes_max / SHARE);
        store.walk_blocking(&REMOTE_MEDIA, |(server, _), row| {
            sums.add(Some(&server), counted(row.content.size));
            Ok(())
        })?;
        store.walk_blocking(&REMOTE_THUMBNAILS, |_, more| {
            sums.add(None, more);
            Ok(())
        })?;
        Ok(Self {
            files,
            store,
            clock,
            bytes_max,
            sums,
            turns: Places::new(1),
            naming: RwLock::default(),
            counting: tokio::sync::Mutex::default(),
            swept: Mutex::default(),
        })
    }

    /// Held from before a file is kept until the row that names it is durable.
    pub(super) async fn naming(&self) -> RwLockReadGuard<'_, ()> {
        self.naming.read().await
    }

    /// The turn of an id: whoever has it may fetch and keep its content.
    pub(super) async fn turn(&self, key: Key) -> Place {
        self.turns.enter(key).await
    }

    /// What is kept of an id, if its file is still there.
    pub(super) async fn kept(self: &Arc<Self>, key: &Key) -> Result<Option<MediaContent>, MediaError> {
        let Some(row) = self.store.get(&REMOTE_MEDIA, key).await? else { return Ok(None) };
        let path = self.files.path(&row.content.sha256);
        if !blocking(move || path.try_exists()).await? {
            return Ok(None);
        }
        if self.clock.now_ms().saturating_sub(row.used_ms) >= millis(USE_NOTED)
            && let Some(turn) = self.turns.try_enter(key.clone())
        {
            let (cache, key) = (self.clone(), key.clone());
            if let Err(error) = to_the_end(async move { cache.note_use(key, turn).await }).await {
                tracing::warn!(%error, "the use of another server's content was not written down");
            }
        }
        Ok(Some(row.content))
    }

    /// Keeps content under its id; what was used least recently makes room for it.
    pub(super) async fn keep(
        self: &Arc<Self>,
        key: Key,
        turn: Place,
        label: Label,
        arrived: Arrived,
    ) -> Result<MediaContent, MediaError> {
        let cache = self.clone();
        to_the_end(async move { cache.keep_now(key, turn, label, arrived).await }).await
    }

    /// Removes what nobody has used for long, once in a while.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<(), MediaError> {
        let now = self.clock.elapsed();
        {
            let mut swept = self.swept.lock();
            if swept.is_some_and(|last| now.saturating_sub(last) < SWEEP_PAUSE) {
                return Ok(());
            }
            *swept = Some(now);
        }
        let cache = self.clone();
        to_the_end(async move {
            let going = Going::UnusedSince(cache.clock.now_ms().saturating_sub(millis(KEPT)));
            cache.remove(going).await
        })
        .await
    }

    /// Counts a thumbnail that was made of content of another server, in bytes. Not to be dropped half-way.
    pub(super) async fn count_thumbnail(&self, sha256: [u8; 32], size: u64) -> Result<(), MediaError> {
        let naming = self.naming.read().await;
        let counting = self.counting.lock().await;
        let mut batch = Batch::new();
        let named = self.is_named_elsewhere(&sha256).await?;
        if named {
            let bytes = self.store.get(&REMOTE_THUMBNAILS, &sha256).await?.unwrap_or_default();
            batch.put(&REMOTE_THUMBNAILS, &sha256, &bytes.saturating_add(counted(size)));
        } else {
            // Its content went while it was made.
            batch.put(&REMOTE_MEDIA_LOOSE, &sha256, &());
        }
        self.store.commit(batch).await?;
        if !named {
            return Ok(());
        }
        self.sums.add(None, counted(size));
        drop((counting, naming));
        self.remove(Going::TooMany).await
    }

    async fn note_use(&self, key: Key, _turn: Place) -> Result<(), MediaError> {
        let _naming = self.naming.read().await;
        let Some(row) = self.store.get(&REMOTE_MEDIA, &key).await? else { return Ok(()) };
        let used_ms = self.clock.now_ms().max(row.used_ms);
        let mut batch = Batch::new();
        delete_use(&mut batch, &key, row.used_ms);
        put_use(&mut batch, &key, used_ms);
        batch.put(&REMOTE_MEDIA, &key, &RemoteMedia { used_ms, ..row });
        self.store.commit(batch).await?;
        Ok(())
    }

    async fn keep_now(
        &self,
        key: Key,
        _turn: Place,
        label: Label,
        arrived: Arrived,
    ) -> Result<MediaContent, MediaError> {
        let Arrived { sha256, size, incoming } = arrived;
        // Counted before it is there: those who fetch at the same time do not fill the same room.
        let charge = self.sums.charge(&key.0, counted(size));
        self.remove(Going::TooMany).await?;
        let naming = self.naming.read().await;
        let mut batch = Batch::new();
        batch.put(&REMOTE_MEDIA_LOOSE, &sha256, &());
        self.store.commit(batch).await?;
        let files = self.files.clone();
        blocking(move || files.keep(incoming, &sha256)).await?;

        let Label { content_type, file_name } = label;
        let content = MediaContent { sha256, size, content_type, file_name };
        let used_ms = self.clock.now_ms();
        let (server, id) = key.clone();
        let mut batch = Batch::new();
        let old = self.store.get(&REMOTE_MEDIA, &key).await?;
        if let Some(old) = &old {
            delete_use(&mut batch, &key, old.used_ms);
            batch.delete(&REMOTE_MEDIA_BY_HASH, &(old.content.sha256, server.clone(), id.clone()));
            batch.put(&REMOTE_MEDIA_LOOSE, &old.content.sha256, &());
        }
        batch.delete(&REMOTE_MEDIA_LOOSE, &sha256);
        put_use(&mut batch, &key, used_ms);
        batch.put(&REMOTE_MEDIA_BY_HASH, &(sha256, server, id), &());
        batch.put(&REMOTE_MEDIA, &key, &RemoteMedia { used_ms, content: content.clone() });
        self.store.commit(batch).await?;
        charge.stays();
        self.sums.subtract(Some(&key.0), old.map_or(0, |old| counted(old.content.size)));
        drop(naming);
        // Those who came at the same time may have found nothing yet that could go.
        if let Err(error) = self.remove(Going::TooMany).await {
            tracing::warn!(%error, "more is kept of other servers' content than should be");
        }
        Ok(content)
    }

    /// Removes what goes, in rounds. Nobody who calls this gives a file its name meanwhile.
    async fn remove(&self, going: Going) -> Result<(), MediaError> {
        for _ in 0..ROUNDS_MAX {
            if matches!(going, Going::TooMany) && self.too_many() == 0 {
                break;
            }
            let _naming = self.naming.write().await;
            let rows_went = self.remove_rows(going).await?;
            let files_went = self.remove_loose().await?;
            if !rows_went && !files_went {
                break;
            }
        }
        Ok(())
    }

    /// Removes some rows that go; whether there were any.
    async fn remove_rows(&self, going: Going) -> Result<bool, MediaError> {
        let (rows, enough) = match going {
            Going::UnusedSince(until_ms) => (self.least_used(until_ms).await?, u64::MAX),
            // Asked anew for each round: others make room too.
            Going::TooMany => (self.first_to_go().await?, self.too_many()),
        };
        let (mut batch, mut bytes, mut gone) = (Batch::new(), 0_u64, Vec::new());
        for (used_ms, key) in rows {
            if bytes >= enough {
                break;
            }
            delete_use(&mut batch, &key, used_ms);
            if let Some(row) = self.store.get(&REMOTE_MEDIA, &key).await?.filter(|row| row.used_ms == used_ms) {
                let counted = counted(row.content.size);
                bytes = bytes.saturating_add(counted);
                batch.delete(&REMOTE_MEDIA, &key);
                batch.put(&REMOTE_MEDIA_LOOSE, &row.content.sha256, &());
                let (server, id) = key;
                gone.push((server.clone(), counted));
                batch.delete(&REMOTE_MEDIA_BY_HASH, &(row.content.sha256, server, id));
            }
        }
        if batch.is_empty() {
            return Ok(false);
        }
        self.store.commit(batch).await?;
        for (server, bytes) in gone {
            self.sums.subtract(Some(&server), bytes);
        }
        Ok(true)
    }

    /// What goes first where there is too much, the next so many.
    async fn first_to_go(&self) -> Result<Vec<(u64, Key)>, StoreError> {
        let mut own = Vec::new();
        for server in self.sums.greedy(GONE_AT_ONCE) {
            let more = GONE_AT_ONCE - own.len();
            let rows = self.store.prefix(&REMOTE_MEDIA_OF, &server, Order::Ascending, more).await?;
            own.extend(rows.into_iter().map(|((server, used_ms, id), ())| (used_ms, (server, id))));
            if own.len() >= GONE_AT_ONCE {
                break;
            }
        }
        if own.is_empty() {
            return self.least_used(u64::MAX).await;
        }
        own.sort_unstable();
        Ok(own)
    }

    /// What has been used least recently and not since, the next so many.
    async fn least_used(&self, until_ms: u64) -> Result<Vec<(u64, Key)>, StoreError> {
        let rows = self.store.range(&REMOTE_MEDIA_USED, &0_u64, &until_ms, Order::Ascending, GONE_AT_ONCE).await?;
        Ok(rows.into_iter().map(|((used_ms, server, id), ())| (used_ms, (server, id))).collect())
    }

    /// Removes some files that nothing names any more, with their thumbnails; whether there were any.
    async fn remove_loose(&self) -> Result<bool, MediaError> {
        let loose = self.store.prefix(&REMOTE_MEDIA_LOOSE, &(), Order::Ascending, GONE_AT_ONCE).await?;
        if loose.is_empty() {
            return Ok(false);
        }
        let (mut batch, mut bytes, mut unnamed) = (Batch::new(), 0_u64, Vec::new());
        for (sha256, ()) in loose {
            batch.delete(&REMOTE_MEDIA_LOOSE, &sha256);
            if self.is_named_elsewhere(&sha256).await? {
                continue;
            }
            bytes = bytes.saturating_add(self.store.get(&REMOTE_THUMBNAILS, &sha256).await?.unwrap_or_default());
            batch.delete(&REMOTE_THUMBNAILS, &sha256);
            // Content that somebody here has uploaded too is theirs.
            if self.store.prefix(&MEDIA_BY_HASH, &sha256, Order::Ascending, 1).await?.is_empty() {
                unnamed.push(sha256);
            }
        }
        let files = self.files.clone();
        blocking(move || unnamed.iter().try_for_each(|sha256| files.remove(sha256))).await?;
        self.store.commit(batch).await?;
        self.sums.subtract(None, bytes);
        Ok(true)
    }

    async fn is_named_elsewhere(&self, sha256: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(!self.store.prefix(&REMOTE_MEDIA_BY_HASH, sha256, Order::Ascending, 1).await?.is_empty())
    }

    /// How many bytes are kept that should not be.
    fn too_many(&self) -> u64 {
        self.sums.all().saturating_sub(self.bytes_max)
    }
}

/// Notes when some content was used.
fn put_use(batch: &mut Batch, (server, id): &Key, used_ms: u64) {
    batch.put(&REMOTE_MEDIA_USED, &(used_ms, server.clone(), id.clone()), &());
    batch.put(&REMOTE_MEDIA_OF, &(server.clone(), used_ms, id.clone()), &());
}

/// Takes that back.
fn delete_use(batch: &mut Batch, (server, id): &Key, used_ms: u64) {
    batch.delete(&REMOTE_MEDIA_USED, &(used_ms, server.clone(), id.clone()));
    batch.delete(&REMOTE_MEDIA_OF, &(server.clone(), used_ms, id.clone()));
}

/// What a file of that size counts.
fn counted(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Does something to its end, also when its caller goes away.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, MediaError>> + Send + 'static,
) -> Result<T, MediaError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
