use std::path::PathBuf;

use super::{
    super::{Method, Wanted, arriving::Arriving, thumbnailer::Thumbnailer},
    *,
};
use crate::{
    ids::Ids,
    store::{Durability, StoreOptions, check::check},
};

const DAY: Duration = Duration::from_hours(24);

struct Kept {
    folder: tempfile::TempDir,
    store: Store,
    clock: Clock,
    files: Arc<Files>,
    cache: Arc<Cache>,
}

impl Kept {
    /// A cache for so many blocks.
    fn new(blocks: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let store = Store::open(&folder.path().join("db"), &options).unwrap();
        let clock = Clock::test(1_000_000_000_000);
        let files = Arc::new(Files::open(folder.path().join("media"), Ids::seeded(3)).unwrap());
        let cache = open(&files, &store, &clock, blocks);
        Self { folder, store, clock, files, cache }
    }

    /// As after the next start.
    fn reopen(&mut self, blocks: u64) {
        self.cache = open(&self.files, &self.store, &self.clock, blocks);
    }

    async fn keep(&self, id: &str, bytes: &[u8]) -> [u8; 32] {
        self.keep_of(key(id), bytes).await
    }

    async fn keep_of(&self, key: Key, bytes: &[u8]) -> [u8; 32] {
        self.clock.advance(Duration::from_secs(1));
        let turn = self.cache.turn(key.clone()).await;
        let label = Label::new(None, None).unwrap();
        let mut arriving = Arriving::new(self.files.clone(), u64::MAX);
        arriving.write(bytes).await.unwrap();
        self.cache.keep(key, turn, label, arriving.seal().await.unwrap()).await.unwrap().sha256
    }

    async fn has(&self, id: &str) -> bool {
        self.cache.kept(&key(id)).await.unwrap().is_some()
    }

    fn blocks(&self) -> u64 {
        self.cache.sums.all() / BLOCK_BYTES
    }

    /// Every file of the media folder.
    fn on_disk(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.path().join("media")]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
            }
        }
        found
    }

    fn is_sound(&self) {
        assert_eq!(check(&self.store).unwrap().findings, []);
        let counted = self.cache.sums.all();
        let anew = Cache::open(self.files.clone(), self.store.clone(), self.clock.clone(), 0).unwrap();
        assert_eq!(anew.sums.all(), counted, "the sum is another after a restart");
    }
}

fn open(files: &Arc<Files>, store: &Store, clock: &Clock, blocks: u64) -> Arc<Cache> {
    Arc::new(Cache::open(files.clone(), store.clone(), clock.clone(), blocks * BLOCK_BYTES).unwrap())
}

fn key(id: &str) -> Key {
    ("elsewhere.example".to_owned(), id.to_owned())
}

#[tokio::test]
async fn what_was_used_least_recently_makes_room() {
    let kept = Kept::new(3);
    for id in ["a", "b", "c"] {
        kept.keep(id, id.as_bytes()).await;
    }
    kept.clock.advance(2 * DAY);
    assert!(kept.has("a").await, "and so it is used");
    kept.keep("d", b"d").await;
    assert!(!kept.has("b").await, "b is the one that was not used longest");
    for id in ["a", "c", "d"] {
        assert!(kept.has(id).await, "{id}");
    }
    kept.keep("large", &vec![1; 2 * 4096 + 1]).await;
    assert_eq!((kept.blocks(), kept.on_disk().len()), (3, 1));
    assert!(kept.has("large").await);
    kept.is_sound();
}

#[tokio::test]
async fn of_a_server_with_more_than_its_share_its_own_goes_first() {
    let mut kept = Kept::new(10);
    let greedy = |n: usize| ("greedy.example".to_owned(), n.to_string());
    for id in ["a", "b", "c"] {
        kept.keep(id, id.as_bytes()).await;
    }
    for n in 0..50 {
        kept.keep_of(greedy(n), &n.to_le_bytes()).await;
        if n == 25 {
            kept.reopen(10);
        }
    }
    for id in ["a", "b", "c"] {
        assert!(kept.has(id).await, "{id} was there first");
    }
    for n in 43..50 {
        assert!(kept.cache.kept(&greedy(n)).await.unwrap().is_some(), "of its own the newest stay: {n}");
    }
    // Others have their share, also where one has it all.
    for n in 0..4 {
        kept.keep(&n.to_string(), &[9, n]).await;
    }
    assert_eq!((kept.cache.sums.of("greedy.example"), kept.blocks()), (5 * BLOCK_BYTES, 10));
    kept.is_sound();
}

#[tokio::test]
async fn a_server_with_many_names_has_one_share() {
    let mut kept = Kept::new(10);
    for id in ["a", "b", "c"] {
        kept.keep(id, id.as_bytes()).await;
    }
    for n in 0..50_usize {
        kept.keep_of((format!("greedy.example:{}", n + 1), "id".to_owned()), &n.to_le_bytes()).await;
        if n == 25 {
            kept.reopen(10);
        }
    }
    for id in ["a", "b", "c"] {
        assert!(kept.has(id).await, "{id} was there first");
    }
    for n in 0..4 {
        kept.keep(&n.to_string(), &[9, n]).await;
    }
    assert_eq!((kept.cache.sums.of("greedy.example"), kept.blocks()), (5 * BLOCK_BYTES, 10));
    // One that is large needs all of it to go at once.
    kept.keep_of(("Greedy.example".to_owned(), "large".to_owned()), &vec![7; 5 * 4096]).await;
    assert_eq!((kept.cache.sums.of("greedy.example"), kept.blocks()), (5 * BLOCK_BYTES, 10));
    kept.is_sound();
}

#[tokio::test]
async fn the_bound_holds_however_many_come_at_once() {
    let kept = Arc::new(Kept::new(8));
    let all = (0..40_u8).map(|n| {
        let kept = kept.clone();
        tokio::spawn(async move { kept.keep(&n.to_string(), &[n; 5_000]).await })
    });
    futures_util::future::join_all(all.collect::<Vec<_>>()).await;
    assert!(kept.blocks() <= 8, "{}", kept.blocks());
    assert!(kept.on_disk().len() <= 4);
    kept.is_sound();
}

#[tokio::test]
async fn a_smaller_bound_holds_from_the_next_fetch() {
    let mut kept = Kept::new(1_000);
    for n in 0..GONE_AT_ONCE + 50 {
        kept.keep(&n.to_string(), n.to_string().as_bytes()).await;
    }
    kept.reopen(5);
    kept.keep("last", b"last").await;
    assert_eq!((kept.blocks(), kept.on_disk().len()), (5, 5));
    assert!(kept.has("last").await);
    kept.is_sound();
}

#[tokio::test]
async fn what_nobody_uses_goes_after_a_month_and_what_is_used_stays() {
    let kept = Kept::new(100);
    kept.keep("unused", b"1").await;
    kept.keep("used", b"2").await;
    for _ in 0..4 {
        kept.clock.advance(10 * DAY);
        assert!(kept.has("used").await);
    }
    kept.cache.sweep().await.unwrap();
    assert!(kept.has("used").await);
    assert!(!kept.has("unused").await);
    assert_eq!((kept.blocks(), kept.on_disk().len()), (1, 1));
    kept.is_sound();
}

#[tokio::test]
async fn a_file_stays_as_long_as_anything_names_it() {
    let kept = Kept::new(3);
    let shared = kept.keep("first", b"shared").await;
    kept.keep("second", b"shared").await;
    let uploaded = kept.keep("third", b"uploaded here too").await;
    let mut batch = Batch::new();
    batch.put(&MEDIA_BY_HASH, &(uploaded, "local".to_owned()), &());
    kept.store.commit(batch).await.unwrap();
    kept.keep("other", b"1").await;
    assert!(!kept.has("first").await && kept.has("second").await, "the second names the file still");
    kept.keep("another", b"2").await;
    assert!(!kept.files.path(&shared).exists());
    kept.keep("and another", b"3").await;
    assert!(!kept.has("third").await && kept.files.path(&uploaded).exists(), "an upload names the file");
}

#[tokio::test]
async fn content_that_comes_anew_counts_once() {
    let kept = Kept::new(100);
    let first = kept.keep("a", &[1; 9_000]).await;
    std::fs::remove_file(kept.files.path(&first)).unwrap();
    assert!(!kept.has("a").await);
    kept.keep("a", &[1; 9_000]).await;
    assert_eq!(kept.blocks(), 3);
    kept.keep("a", &[2; 100]).await;
    assert_eq!(kept.blocks(), 1);
    kept.cache.sweep().await.unwrap();
    assert_eq!(kept.on_disk().len(), 1, "nothing names what it was before");
    kept.is_sound();
}

#[tokio::test]
async fn a_crash_between_a_file_and_its_row_leaves_nothing_for_good() {
    let mut kept = Kept::new(100);
    // Written down as about to be kept, then kept; the row that names it never came.
    let mut incoming = kept.files.receive().unwrap();
    incoming.write(b"cut short").unwrap();
    let (sha256, _) = incoming.seal().unwrap();
    let mut batch = Batch::new();
    batch.put(&REMOTE_MEDIA_LOOSE, &sha256, &());
    kept.store.commit(batch).await.unwrap();
    kept.files.keep(incoming, &sha256).unwrap();
    // The other way round: its rows went and the file did not.
    kept.keep("gone", b"gone").await;
    kept.cache.remove_rows(Going::UnusedSince(u64::MAX)).await.unwrap();
    assert_eq!(kept.on_disk().len(), 2);
    kept.reopen(100);
    kept.keep("next", b"next").await;
    kept.cache.sweep().await.unwrap();
    assert_eq!((kept.blocks(), kept.on_disk().len()), (1, 1));
    kept.is_sound();
}

#[tokio::test]
async fn thumbnails_count_and_go_with_their_content() {
    let kept = Kept::new(10_000);
    let (thumbnailer, mut png) = (Thumbnailer::new(), Vec::new());
    let picture =
        image::RgbImage::from_fn(400, 300, |x, y| image::Rgb([x, y, x ^ y].map(|value| value.to_le_bytes()[0])));
    picture.write_to(&mut io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let sha256 = kept.keep("picture", &png).await;
    let before = kept.blocks();
    let mut made = 0;
    for (size, new) in [(32, true), (96, true), (240, true), (96, false)] {
        let wanted = Wanted::at_least(size, size, Method::Crop);
        let (file, _) = thumbnailer.thumbnail(&kept.files, Some(&kept.cache), sha256, wanted).await.unwrap();
        made += if new { file.metadata().unwrap().len().div_ceil(BLOCK_BYTES) } else { 0 };
    }
    assert_eq!(kept.on_disk().len(), 4);
    assert_eq!(kept.blocks(), before + made);
    kept.is_sound();

    kept.cache.remove(Going::UnusedSince(u64::MAX)).await.unwrap();
    assert_eq!((kept.blocks(), kept.on_disk()), (0, vec![]));
    kept.is_sound();
}

#[tokio::test]
async fn no_thumbnail_takes_the_place_that_messages_need() {
    let kept = Kept::new(10_000);
    let mut png = Vec::new();
    image::RgbImage::new(400, 300).write_to(&mut io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let sha256 = kept.keep("picture", &png).await;
    let small = Wanted::at_least(32, 32, Method::Crop);
    let full = Arc::new(Files::open(kept.folder.path().join("media"), Ids::seeded(4)).unwrap().full());
    let refused = Thumbnailer::new().thumbnail(&full, Some(&kept.cache), sha256, small).await;
    assert!(matches!(refused, Err(MediaError::DiskFull)));
    assert_eq!(kept.on_disk().len(), 1);
    // What is there already is shown.
    Thumbnailer::new().thumbnail(&kept.files, Some(&kept.cache), sha256, small).await.unwrap();
    Thumbnailer::new().thumbnail(&full, Some(&kept.cache), sha256, small).await.unwrap();
}

#[tokio::test]
async fn a_thumbnail_made_while_its_content_went_goes_too() {
    let kept = Kept::new(100);
    let sha256 = kept.keep("picture", b"picture").await;
    kept.cache.remove(Going::UnusedSince(u64::MAX)).await.unwrap();
    kept.files.keep_thumbnail(&kept.files.thumbnail_path(&sha256, "32x32-crop", "png"), b"small").unwrap();
    kept.cache.count_thumbnail(sha256, 5).await.unwrap();
    assert_eq!((kept.blocks(), kept.on_disk().len()), (0, 1));
    kept.cache.sweep().await.unwrap();
    assert_eq!(kept.on_disk().len(), 0);
    kept.is_sound();
}
