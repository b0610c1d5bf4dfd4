//! Content of other servers: fetched once, and kept in the [`Cache`].
//!
//! It comes by the authenticated endpoint of the server-server API, or from servers that do not have that, by the one
//! that needs no token. Nothing that its server says of it is believed: it is bounded, hashed, and served like what
//! people here upload.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use ruma::{
    ServerName,
    api::federation::authenticated_media::{FileOrLocation, get_content::v1 as get_content_v1},
    http_headers::ContentDisposition,
};
use tokio::sync::Semaphore;

use super::{
    Label, MediaError,
    cache::{Cache, Key},
};
use crate::{
    clock::Clock,
    places::{Place, Places},
    remote::{Remote, RemoteError, Terms},
    store::schema::media::MediaContent,
};

/// Content that is fetched at the same time: each is in memory until it is on the disk.
const FETCHES_MAX: usize = 12;
/// Of these, of one server: those that answer slowly must leave room for others.
const FETCHES_OF_ONE_MAX: usize = 3;
/// How long one fetch may take.
const FETCH_TIME_MAX: Duration = Duration::from_mins(2);
/// What comes besides the content, in bytes.
const ENVELOPE_BYTES: usize = 64 << 10;

/// What was fetched.
struct Fetched {
    bytes: Bytes,
    content_type: Option<String>,
    file_name: Option<String>,
}

/// The content of other servers.
pub(super) struct Elsewhere {
    cache: Arc<Cache>,
    clock: Clock,
    remote: OnceLock<Remote>,
    bytes_max: u64,
    servers: Places<String>,
    fetches: Semaphore,
}

impl Elsewhere {
    pub(super) fn new(cache: Arc<Cache>, clock: Clock, bytes_max: u64) -> Self {
        Self {
            cache,
            clock,
            remote: OnceLock::new(),
            bytes_max,
            servers: Places::new(FETCHES_OF_ONE_MAX),
            fetches: Semaphore::new(FETCHES_MAX),
        }
    }

    /// Says whom to ask; before, there is nothing elsewhere.
    pub(super) fn ask(&self, remote: Remote) {
        // A second word changes nothing.
        drop(self.remote.set(remote));
    }

    /// The content of an id of another server; `None` when that has none.
    ///
    /// # Errors
    /// [`MediaError::Elsewhere`] when the server gives no usable answer, [`MediaError::NotYetUploaded`].
    pub(super) async fn content(
        &self,
        server: &ServerName,
        id: &str,
        wait: Duration,
    ) -> Result<Option<MediaContent>, MediaError> {
        let key = (server.to_string(), id.to_owned());
        if let Some(found) = self.cache.kept(&key).await? {
            return Ok(Some(found));
        }
        let Some(remote) = self.remote.get().filter(|remote| remote.check(server).is_ok()) else { return Ok(None) };
        let fetching = async {
            let turn = self.cache.turn(key.clone()).await;
            if let Some(found) = self.cache.kept(&key).await? {
                return Ok(Some(found));
            }
            let _place = self.servers.enter(key.0.clone()).await;
            let _slot = self.fetches.acquire().await.map_err(|_| MediaError::Busy)?;
            let Some(fetched) = self.fetch(remote, server, id, wait).await? else { return Ok(None) };
            self.keep(key.clone(), turn, fetched).await.map(Some)
        };
        let found =
            self.clock.timeout(FETCH_TIME_MAX, Box::pin(fetching)).await.unwrap_or(Err(MediaError::Elsewhere))?;
        if let Err(error) = self.cache.sweep().await {
            tracing::warn!(%error, "old content of other servers was not removed");
        }
        Ok(found)
    }

    async fn fetch(
        &self,
        remote: &Remote,
        server: &ServerName,
        id: &str,
        wait: Duration,
    ) -> Result<Option<Fetched>, MediaError> {
        let mut request = get_content_v1::Request::new(id.to_owned());
        request.timeout_ms = wait;
        match remote.send_with(server, request, self.terms()).await {
            Ok(answer) => self.unpack(remote, answer.content).await.map(Some),
            Err(error) if is_unknown_endpoint(&error) => self.fetch_openly(remote, server, id).await,
            Err(error) => refused(error),
        }
    }

    async fn unpack(&self, remote: &Remote, content: FileOrLocation) -> Result<Fetched, MediaError> {
        match content {
            FileOrLocation::File(content) => Ok(Fetched {
                bytes: content.file.into(),
                content_type: content.content_type,
                file_name: content.content_disposition.and_then(|it| it.filename),
            }),
            FileOrLocation::Location(address) => {
                let answer = remote.fetch(&address, self.bytes_max(), FETCH_TIME_MAX).await;
                answer.map(plain).map_err(failed)
            }
        }
    }

    /// By the endpoint of before authenticated media.
    async fn fetch_openly(
        &self,
        remote: &Remote,
        server: &ServerName,
        id: &str,
    ) -> Result<Option<Fetched>, MediaError> {
        let uri = format!("/_matrix/media/v3/download/{server}/{id}?allow_remote=false");
        let request = http::Request::builder().method(Method::GET).uri(uri).body(Vec::new());
        let request = request.map_err(|_| MediaError::Elsewhere)?;
        match remote.send_raw(server, request, self.terms()).await {
            Ok(answer) => Ok(Some(plain(answer))),
            Err(error) => refused(error),
        }
    }

    fn bytes_max(&self) -> usize {
        usize::try_from(self.bytes_max).unwrap_or(usize::MAX)
    }

    fn terms(&self) -> Terms {
        Terms::anyway().within(FETCH_TIME_MAX).at_most(self.bytes_max().saturating_add(ENVELOPE_BYTES))
    }

    async fn keep(&self, key: Key, turn: Place, fetched: Fetched) -> Result<MediaContent, MediaError> {
        let Fetched { bytes, content_type, file_name } = fetched;
        if bytes.len() as u64 > self.bytes_max {
            return Err(MediaError::TooLarge);
        }
        let label = Label::new(content_type.as_deref(), file_name.as_deref());
        let label = label.or_else(|_| Label::new(None, file_name.as_deref()))?;
        self.cache.keep(key, turn, label, bytes).await
    }
}

/// The server is older than authenticated media: it says so, or refuses in words that are not Matrix's.
fn is_unknown_endpoint(error: &RemoteError) -> bool {
    let refused = error.status().is_some_and(|status| status.is_client_error());
    refused && error.errcode().is_some_and(|code| code == "M_UNRECOGNIZED" || code.is_empty())
}

/// That there is nothing is an answer.
fn refused(error: RemoteError) -> Result<Option<Fetched>, MediaError> {
    match error.status() {
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(_) if error.errcode() == Some("M_NOT_YET_UPLOADED") => Err(MediaError::NotYetUploaded),
        _ => Err(failed(error)),
    }
}

fn failed(error: RemoteError) -> MediaError {
    match error {
        RemoteError::Store(error) => error.into(),
        RemoteError::TooLarge { .. } => MediaError::TooLarge,
        error => {
            tracing::debug!(%error, "content of another server cannot be had");
            MediaError::Elsewhere
        }
    }
}

/// An answer that is the content itself.
fn plain(answer: http::Response<Bytes>) -> Fetched {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let disposition = answer.headers().get(header::CONTENT_DISPOSITION);
    let disposition = disposition.and_then(|value| ContentDisposition::try_from(value.as_bytes()).ok());
    Fetched {
        content_type: text(header::CONTENT_TYPE),
        file_name: disposition.and_then(|it| it.filename),
        bytes: answer.into_body(),
    }
}
