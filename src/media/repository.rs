//! Media ids, uploads, downloads and quotas.

use std::{fs::File, sync::Arc, time::Duration};

use ruma::{OwnedMxcUri, OwnedServerName, ServerName};
use tokio::sync::{Mutex, Notify};

use super::{
    Label, MediaError, Upload, Wanted,
    arriving::{Arrived, blocking},
    cache::Cache,
    elsewhere::Elsewhere,
    files::{Files, hex},
    label::clean_file_name,
    thumbnailer::Thumbnailer,
    upload::{Places, Received},
};
use crate::{
    clock::Clock,
    config,
    ids::Ids,
    remote::Remote,
    store::{
        Batch, Order, Store, UserNo,
        schema::media::{
            MEDIA, MEDIA_BY_HASH, MEDIA_PENDING, MEDIA_USAGE, Media as MediaRow, MediaContent, MediaState,
        },
    },
};

/// How long an id may wait for its content; the specification's recommendation.
const PENDING_TIME_MAX: Duration = Duration::from_hours(24);
/// Ids without content that one account may have.
const PENDING_PER_USER: usize = 32;
/// How long a reader may wait for content that is being uploaded.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Locks that the accounts are spread over.
const LOCKS: usize = 64;
/// Longest media id, in bytes.
const ID_BYTES_MAX: usize = 255;

/// The content repository. Cheap to clone.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    server_name: OwnedServerName,
    options: config::Media,
    store: Store,
    clock: Clock,
    ids: Ids,
    files: Arc<Files>,
    places: Arc<Places>,
    thumbnailer: Thumbnailer,
    /// An account's usage and pending ids are read and written under its lock.
    locks: Vec<Mutex<()>>,
    /// Told whenever a pending id has got its content.
    arrived: Notify,
    elsewhere: Elsewhere,
    /// What is kept of the content of other servers.
    cache: Arc<Cache>,
}

/// An id that was made before its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Where the content will be.
    pub content_uri: OwnedMxcUri,
    /// Until when it must come: Unix time in milliseconds.
    pub unused_expires_at_ms: u64,
}

/// Content to be served.
#[derive(Debug)]
pub struct Content {
    /// The bytes, from the first one.
    pub file: File,
    /// How many.
    pub size: u64,
    /// What they are.
    pub content_type: String,
    /// What the uploader called them.
    pub file_name: Option<String>,
    /// The same for the same bytes only; letters, digits and dashes.
    pub tag: String,
}

impl Content {
    /// The same content under the name that its reader wants.
    #[must_use]
    pub fn named(self, file_name: &str) -> Self {
        Self { file_name: clean_file_name(file_name), ..self }
    }
}

impl Media {
    /// Opens the repository in its folder. Blocks shortly.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(
        folder: std::path::PathBuf,
        server_name: OwnedServerName,
        options: config::Media,
        store: Store,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, MediaError> {
        let files = Arc::new(Files::open(folder, ids.clone())?);
        let bytes_max = options.upload_bytes_max.bytes();
        let cache_bytes = options.remote_cache_bytes.bytes().max(bytes_max);
        let cache = Arc::new(Cache::open(files.clone(), store.clone(), clock.clone(), cache_bytes)?);
        let elsewhere = Elsewhere::new(cache.clone(), files.clone(), clock.clone(), bytes_max);
        let inner = Inner {
            server_name,
            options,
            store,
            clock,
            ids,
            files,
            places: Arc::default(),
            thumbnailer: Thumbnailer::new(),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            arrived: Notify::new(),
            elsewhere,
            cache,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From here on content of other servers is fetched from them.
    pub fn ask_others(&self, remote: Remote) {
        self.inner.elsewhere.ask(remote);
    }

    /// Who has uploaded the content of an id of this server.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn uploader(&self, id: &str) -> Result<Option<UserNo>, MediaError> {
        Ok(self.inner.store.get(&MEDIA, &id.to_owned()).await?.map(|row| row.uploader))
    }

    /// How large one upload may be, in bytes.
    pub fn upload_bytes_max(&self) -> u64 {
        self.inner.options.upload_bytes_max.bytes()
    }

    /// Makes an id whose content is uploaded later.
    ///
    /// # Errors
    /// [`MediaError::TooMany`] when the account has too many of them without content.
    pub async fn create(&self, user: UserNo) -> Result<Created, MediaError> {
        let inner = &*self.inner;
        let _lock = inner.lock(user).await;
        let now_ms = inner.clock.now_ms();
        let pending = inner.store.prefix(&MEDIA_PENDING, &user, Order::Ascending, PENDING_PER_USER).await?;
        let mut batch = Batch::new();
        let mut open = 0;
        for (key, ()) in pending {
            if key.1 > now_ms {
                open += 1;
            } else {
                batch.delete(&MEDIA_PENDING, &key);
                batch.delete(&MEDIA, &key.2);
            }
        }
        if open >= PENDING_PER_USER {
            return Err(MediaError::TooMany);
        }
        let id = inner.ids.media_id();
        let expires_ms = now_ms.saturating_add(u64::try_from(PENDING_TIME_MAX.as_millis()).unwrap_or(u64::MAX));
        let row = MediaRow { uploader: user, created_ms: now_ms, state: MediaState::Pending { expires_ms } };
        batch.put(&MEDIA, &id, &row);
        let content_uri = inner.uri(&id);
        batch.put(&MEDIA_PENDING, &(user, expires_ms, id), &());
        inner.store.commit(batch).await?;
        Ok(Created { content_uri, unused_expires_at_ms: expires_ms })
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// The account has no room left, too many uploads under way, or the disk is nearly full.
    pub async fn begin(&self, user: UserNo, label: Label) -> Result<Upload, MediaError> {
        let inner = &*self.inner;
        let place = inner.places.take(user)?;
        inner.check_quota(user, 1).await?;
        let files = inner.files.clone();
        if !blocking(move || files.has_room()).await? {
            return Err(MediaError::DiskFull);
        }
        Ok(Upload::new(inner.files.clone(), place, label, self.upload_bytes_max()))
    }

    /// Begins an upload to an id made by [`Self::create`].
    ///
    /// # Errors
    /// As for [`Self::begin`], and whatever forbids that this account uploads to this id.
    pub async fn begin_into(
        &self,
        user: UserNo,
        server_name: &ServerName,
        id: &str,
        label: Label,
    ) -> Result<Upload, MediaError> {
        if server_name != self.inner.server_name {
            return Err(MediaError::UnknownId);
        }
        self.inner.pending(user, id).await?;
        self.begin(user, label).await
    }

    /// Makes an upload durable and gives it an id.
    ///
    /// # Errors
    /// The account has no room left for it, or the disk refuses. Nothing is left behind then.
    pub async fn finish(&self, upload: Upload) -> Result<OwnedMxcUri, MediaError> {
        let inner = &*self.inner;
        let received = upload.receive().await?;
        let _lock = inner.lock(received.user).await;
        let id = inner.ids.media_id();
        inner.keep(received, &id, inner.clock.now_ms(), Batch::new()).await?;
        Ok(inner.uri(&id))
    }

    /// Makes an upload the content of an id made by [`Self::create`].
    ///
    /// # Errors
    /// As for [`Self::finish`], and [`MediaError::AlreadyUploaded`] when another upload came first.
    pub async fn finish_into(&self, upload: Upload, id: &str) -> Result<(), MediaError> {
        let inner = &*self.inner;
        let received = upload.receive().await?;
        let _lock = inner.lock(received.user).await;
        let (created_ms, expires_ms) = inner.pending(received.user, id).await?;
        let mut batch = Batch::new();
        batch.delete(&MEDIA_PENDING, &(received.user, expires_ms, id.to_owned()));
        inner.keep(received, id, created_ms, batch).await?;
        inner.arrived.notify_waiters();
        Ok(())
    }

    /// The content of an id. When it has not been uploaded yet, waits for it, for at most `wait`.
    ///
    /// # Errors
    /// [`MediaError::NotYetUploaded`], [`MediaError::Elsewhere`], or the disk's refusal. An unknown id is `None`.
    pub async fn download(
        &self,
        server_name: &ServerName,
        id: &str,
        wait: Duration,
    ) -> Result<Option<Content>, MediaError> {
        let Some(mut content) = self.content(server_name, id, wait).await? else { return Ok(None) };
        let mut file = self.inner.open(&content).await;
        if server_name != self.inner.server_name && file.as_ref().is_err_and(MediaError::is_gone) {
            // It made room for something else meanwhile: it is fetched once more.
            let Some(again) = self.content(server_name, id, wait).await? else { return Ok(None) };
            content = again;
            file = self.inner.open(&content).await;
        }
        let file = file?;
        let MediaContent { sha256, size, content_type, file_name } = content;
        Ok(Some(Content { file, size, content_type, file_name, tag: hex(&sha256) }))
    }

    /// Whether an id was made for content that has not come yet.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn is_pending(&self, server_name: &ServerName, id: &str) -> Result<bool, MediaError> {
        if server_name != self.inner.server_name {
            return Ok(false);
        }
        match self.content(server_name, id, Duration::ZERO).await {
            Err(MediaError::NotYetUploaded) => Ok(true),
            other => other.map(|_| false),
        }
    }

    /// A smaller image of the content of an id.
    ///
    /// # Errors
    /// As for [`Self::download`], and whatever forbids to shrink this content.
    pub async fn thumbnail(
        &self,
        server_name: &ServerName,
        id: &str,
        wanted: Wanted,
        wait: Duration,
    ) -> Result<Option<Content>, MediaError> {
        let Some(content) = self.content(server_name, id, wait).await? else { return Ok(None) };
        let inner = &*self.inner;
        let cache = (server_name != inner.server_name).then_some(&inner.cache);
        let (file, format) = inner.thumbnailer.thumbnail(&inner.files, cache, content.sha256, wanted).await?;
        let (file, size) = blocking(move || file.metadata().map(|metadata| (file, metadata.len()))).await?;
        Ok(Some(Content {
            file,
            size,
            content_type: format.content_type().to_owned(),
            file_name: Some(format!("thumbnail.{}", format.extension())),
            tag: format!("{}-{}", hex(&content.sha256), wanted.name()),
        }))
    }

    async fn content(
        &self,
        server_name: &ServerName,
        id: &str,
        wait: Duration,
    ) -> Result<Option<MediaContent>, MediaError> {
        let inner = &*self.inner;
        if !is_media_id(id) {
            return Ok(None);
        }
        if server_name != inner.server_name {
            return inner.elsewhere.content(server_name, id, wait.min(WAIT_MAX)).await;
        }
        let id = id.to_owned();
        let arriving = async {
            loop {
                // Registered before the row is read: content that comes in between is not missed.
                let arrived = inner.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                match inner.store.get(&MEDIA, &id).await?.map(|row| row.state) {
                    Some(MediaState::Stored(content)) => return Ok(Some(content)),
                    Some(MediaState::Pending { expires_ms }) if expires_ms > inner.clock.now_ms() => arrived.await,
                    Some(MediaState::Pending { .. }) | None => return Ok(None),
                }
            }
        };
        inner.clock.timeout(wait.min(WAIT_MAX), arriving).await.unwrap_or(Err(MediaError::NotYetUploaded))
    }
}

impl Inner {
    async fn lock(&self, user: UserNo) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let place = usize::try_from(user.0).unwrap_or_default() % LOCKS;
        Some(self.locks.get(place)?.lock().await)
    }

    async fn open(&self, content: &MediaContent) -> Result<File, MediaError> {
        let path = self.files.path(&content.sha256);
        blocking(move || File::open(path)).await
    }

    fn uri(&self, id: &str) -> OwnedMxcUri {
        format!("mxc://{}/{id}", self.server_name).into()
    }

    /// What the account has uploaded, with so many bytes more.
    async fn check_quota(&self, user: UserNo, more: u64) -> Result<u64, MediaError> {
        let total = self.store.get(&MEDIA_USAGE, &user).await?.unwrap_or_default().saturating_add(more);
        if total > self.options.user_quota_bytes.bytes() { Err(MediaError::QuotaExceeded) } else { Ok(total) }
    }

    /// When the user's id without content was made, and when it expires.
    async fn pending(&self, user: UserNo, id: &str) -> Result<(u64, u64), MediaError> {
        let row = if is_media_id(id) { self.store.get(&MEDIA, &id.to_owned()).await? } else { None };
        let row = row.ok_or(MediaError::UnknownId)?;
        match row.state {
            _ if row.uploader != user => Err(MediaError::NotYours),
            MediaState::Stored(_) => Err(MediaError::AlreadyUploaded),
            MediaState::Pending { expires_ms } if expires_ms <= self.clock.now_ms() => Err(MediaError::UnknownId),
            MediaState::Pending { expires_ms } => Ok((row.created_ms, expires_ms)),
        }
    }

    /// Makes an upload the content of an id. The caller holds the account's lock.
    async fn keep(&self, received: Received, id: &str, created_ms: u64, mut batch: Batch) -> Result<(), MediaError> {
        let Received { user, label, arrived: Arrived { sha256, size, incoming }, _place } = received;
        let total = self.check_quota(user, size).await?;
        let files = self.files.clone();
        let _naming = self.cache.naming().await;
        // The file first: a row must never name one that is not there. A crash in between leaves an unnamed file.
        blocking(move || files.keep(incoming, &sha256)).await?;
        let Label { content_type, file_name } = label;
        let state = MediaState::Stored(MediaContent { sha256, size, content_type, file_name });
        batch.put(&MEDIA, &id.to_owned(), &MediaRow { uploader: user, created_ms, state });
        batch.put(&MEDIA_BY_HASH, &(sha256, id.to_owned()), &());
        batch.put(&MEDIA_USAGE, &user, &total);
        self.store.commit(batch).await?;
        Ok(())
    }
}

/// Specification v1.19, client-server API, "Matrix Content (`mxc://`) URIs".
fn is_media_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(allowed)
}
