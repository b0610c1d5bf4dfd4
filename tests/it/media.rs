//! The content repository, as the rest of the server uses it.

use std::{fs, io::Read as _, path::Path, time::Duration};

use homeroom::{
    clock::Clock,
    config::{self, Config},
    ids::Ids,
    media::{Content, Label, Media, MediaError, Method, Wanted},
    store::{Durability, Store, StoreOptions, UserNo},
};
use ruma::{MxcUri, ServerName, server_name};

const ALICE: UserNo = UserNo(1);
const BOB: UserNo = UserNo(2);
const NO_WAIT: Duration = Duration::ZERO;

struct Repository {
    folder: tempfile::TempDir,
    clock: Clock,
    media: Media,
}

fn repository(set: impl FnOnce(&mut config::Media)) -> Repository {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
    let store = Store::open(&folder.path().join("db"), &options).unwrap();
    let clock = Clock::test(1_000_000);
    let mut config = Config::defaults(here().to_owned()).media;
    set(&mut config);
    let media =
        Media::open(folder.path().join("media"), here().to_owned(), config, store, clock.clone(), Ids::seeded(7)).unwrap();
    Repository { folder, clock, media }
}

fn here() -> &'static ServerName {
    server_name!("school.example")
}

fn label() -> Label {
    Label::new(Some("image/png"), Some("a.png")).unwrap()
}

fn id(uri: &MxcUri) -> String {
    uri.media_id().unwrap().to_owned()
}

/// Every file below a folder, however deep.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

impl Repository {
    async fn upload(&self, user: UserNo, bytes: &[u8]) -> Result<String, MediaError> {
        let mut upload = self.media.begin(user, label()).await?;
        for piece in bytes.chunks(100_000) {
            upload.write(piece).await?;
        }
        self.media.finish(upload).await.map(|uri| id(&uri))
    }

    async fn download(&self, id: &str) -> Option<(Content, Vec<u8>)> {
        let mut content = self.media.download(here(), id, NO_WAIT).await.unwrap()?;
        let mut bytes = Vec::new();
        content.file.read_to_end(&mut bytes).unwrap();
        Some((content, bytes))
    }

    fn stored(&self) -> usize {
        files(&self.folder.path().join("media"))
    }
}

#[tokio::test]
async fn what_is_uploaded_is_served_and_stored_once() {
    let server = repository(|_| {});
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[1]).collect();
    let first = server.upload(ALICE, &bytes).await.unwrap();
    let second = server.upload(BOB, &bytes).await.unwrap();
    let empty = server.upload(BOB, b"").await.unwrap();
    assert_ne!(first, second);
    for id in [&first, &second] {
        let (content, served) = server.download(id).await.unwrap();
        assert_eq!(served, bytes);
        assert_eq!(content.size, bytes.len() as u64);
        assert_eq!((content.content_type.as_str(), content.file_name.as_deref()), ("image/png", Some("a.png")));
    }
    assert_eq!(server.download(&empty).await.unwrap().1, b"");
    assert_eq!(server.stored(), 2);
}

#[tokio::test]
async fn unknown_ids_and_other_servers_have_nothing() {
    let server = repository(|_| {});
    let id = server.upload(ALICE, b"x").await.unwrap();
    for unknown in ["", "nothing", "../../db", "a/b", "%2e%2e", &"a".repeat(300)] {
        assert!(server.download(unknown).await.is_none(), "{unknown}");
    }
    let elsewhere = server.media.download(server_name!("elsewhere.example"), &id, NO_WAIT).await.unwrap();
    assert!(elsewhere.is_none());
}

#[tokio::test]
async fn a_refused_or_broken_upload_leaves_nothing() {
    let server = repository(|config| config.upload_bytes_max = config::Size::kib(600));
    let mut upload = server.media.begin(ALICE, label()).await.unwrap();
    upload.write(&[7; 500_000]).await.unwrap();
    assert_eq!(server.stored(), 1, "the first piece should be on the disk");
    assert!(matches!(upload.write(&[7; 200_000]).await, Err(MediaError::TooLarge)));
    drop(upload);
    let mut broken = server.media.begin(ALICE, label()).await.unwrap();
    broken.write(&[7; 500_000]).await.unwrap();
    drop(broken);
    assert_eq!(server.stored(), 0);
    server.upload(ALICE, &[7; 600 * 1024]).await.unwrap();
    assert_eq!(server.stored(), 1);
}

#[tokio::test]
async fn an_account_has_its_quota() {
    let server = repository(|config| config.user_quota_bytes = config::Size::from_bytes(1_000));
    server.upload(ALICE, &[1; 600]).await.unwrap();
    assert!(matches!(server.upload(ALICE, &[2; 600]).await, Err(MediaError::QuotaExceeded)));
    assert_eq!(server.stored(), 1, "the refused upload stayed");
    server.upload(BOB, &[2; 600]).await.unwrap();
    server.upload(ALICE, &[3; 400]).await.unwrap();
    assert!(matches!(server.media.begin(ALICE, label()).await, Err(MediaError::QuotaExceeded)));
}

#[tokio::test]
async fn uploads_at_the_same_time_are_bounded() {
    let server = repository(|_| {});
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(server.media.begin(ALICE, label()).await.unwrap());
    }
    assert!(matches!(server.media.begin(ALICE, label()).await, Err(MediaError::TooMany)));
    server.media.begin(BOB, label()).await.unwrap();
    open.pop();
    server.media.begin(ALICE, label()).await.unwrap();
}

#[tokio::test]
async fn content_may_come_after_its_id() {
    let server = repository(|_| {});
    let created = server.media.create(ALICE).await.unwrap();
    assert_eq!(created.unused_expires_at_ms, 1_000_000 + 24 * 3_600_000);
    let id = id(&created.content_uri);
    assert!(server.media.is_pending(here(), &id).await.unwrap());
    assert!(matches!(server.media.download(here(), &id, NO_WAIT).await, Err(MediaError::NotYetUploaded)));
    assert!(matches!(server.media.begin_into(BOB, here(), &id, label()).await, Err(MediaError::NotYours)));
    assert!(matches!(server.media.begin_into(ALICE, here(), "other", label()).await, Err(MediaError::UnknownId)));

    let reader = tokio::spawn({
        let (media, id) = (server.media.clone(), id.clone());
        async move { media.download(here(), &id, Duration::from_secs(20)).await.unwrap().unwrap().size }
    });
    server.clock.until_sleeping(1).await;
    let mut upload = server.media.begin_into(ALICE, here(), &id, label()).await.unwrap();
    let rival = server.media.begin_into(ALICE, here(), &id, label()).await.unwrap();
    upload.write(b"late").await.unwrap();
    server.media.finish_into(upload, &id).await.unwrap();
    assert_eq!(reader.await.unwrap(), 4);
    assert!(matches!(server.media.finish_into(rival, &id).await, Err(MediaError::AlreadyUploaded)));
    assert!(matches!(server.media.begin_into(ALICE, here(), &id, label()).await, Err(MediaError::AlreadyUploaded)));
    assert!(!server.media.is_pending(here(), &id).await.unwrap());
    assert_eq!(server.download(&id).await.unwrap().1, b"late");
}

#[tokio::test]
async fn ids_without_content_expire_and_are_bounded() {
    let server = repository(|_| {});
    let first = id(&server.media.create(ALICE).await.unwrap().content_uri);
    for _ in 1..32 {
        server.media.create(ALICE).await.unwrap();
    }
    assert!(matches!(server.media.create(ALICE).await, Err(MediaError::TooMany)));
    server.media.create(BOB).await.unwrap();
    server.clock.advance(Duration::from_hours(24));
    assert!(server.download(&first).await.is_none());
    assert!(matches!(server.media.begin_into(ALICE, here(), &first, label()).await, Err(MediaError::UnknownId)));
    server.media.create(ALICE).await.unwrap();
}

#[tokio::test]
async fn thumbnails_are_made_once_per_content() {
    let server = repository(|_| {});
    let mut png = Vec::new();
    let picture = image::RgbImage::from_pixel(300, 200, image::Rgb([1, 2, 3]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let first = server.upload(ALICE, &png).await.unwrap();
    let second = server.upload(BOB, &png).await.unwrap();
    let wanted = Wanted::at_least(90, 90, Method::Crop);
    for id in [&first, &second, &first] {
        let mut thumbnail = server.media.thumbnail(here(), id, wanted, NO_WAIT).await.unwrap().unwrap();
        let mut bytes = Vec::new();
        thumbnail.file.read_to_end(&mut bytes).unwrap();
        assert_eq!(thumbnail.size, bytes.len() as u64);
        assert_eq!(thumbnail.content_type, "image/png");
        let image = image::load_from_memory(&bytes).unwrap();
        assert_eq!((image.width(), image.height()), (96, 96));
    }
    assert_eq!(server.stored(), 2);
    let whole = Wanted::at_least(5_000, 5_000, Method::Scale);
    let same = server.media.thumbnail(here(), &first, whole, NO_WAIT).await.unwrap().unwrap();
    assert_eq!(same.size, png.len() as u64);

    let text = server.upload(ALICE, b"no image").await.unwrap();
    assert!(matches!(server.media.thumbnail(here(), &text, wanted, NO_WAIT).await, Err(MediaError::NotAnImage)));
    assert!(server.media.thumbnail(here(), "nothing", wanted, NO_WAIT).await.unwrap().is_none());
}
