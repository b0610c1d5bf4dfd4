//! Content of other servers: fetched once, and kept in the [`Cache`].
//!
//! It comes by the authenticated endpoint of the server-server API, or from servers that do not have that, by the one
//! that needs no token, and goes to the disk as it comes. Nothing that its server says of it is believed: it is bounded,
//! hashed, and served like what people here upload.

mod answer;
mod parts;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode};
use ruma::ServerName;
use tokio::sync::Semaphore;

use self::answer::{Answer, Fetched};
use super::{MediaError, arriving::Arriving, cache::Cache, files::Files};
use crate::{
    clock::Clock,
    places::{Holder, Places},
    remote::{Remote, RemoteError, Terms},
    store::schema::media::MediaContent,
};

/// Content that is fetched at the same time: each has a connection, a megabyte of memory at the very most, and a file that
/// does not count as kept yet.
const FETCHES_MAX: usize = 12;
/// Of these, of one server: those that answer slowly must leave room for others.
const FETCHES_OF_ONE_MAX: usize = 3;
/// How long one fetch may take.
const FETCH_TIME_MAX: Duration = Duration::from_mins(2);
/// What comes besides the content, in bytes.
const ENVELOPE_BYTES: usize = 64 << 10;

/// The content of other servers.
pub(super) struct Elsewhere {
    cache: Arc<Cache>,
    files: Arc<Files>,
    clock: Clock,
    remote: OnceLock<Remote>,
    bytes_max: u64,
    servers: Places<Holder>,
    fetches: Semaphore,
}

impl Elsewhere {
    pub(super) fn new(cache: Arc<Cache>, files: Arc<Files>, clock: Clock, bytes_max: u64) -> Self {
        Self {
            cache,
            files,
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
            let _place = self.servers.enter(Holder::of(server)).await;
            let _slot = self.fetches.acquire().await.map_err(|_| MediaError::Busy)?;
            let Some(Fetched { arriving, label }) = self.fetch(remote, server, id, wait).await? else {
                return Ok(None);
            };
            self.cache.keep(key.clone(), turn, label, arriving.seal().await?).await.map(Some)
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
        let request = get(&format!("/_matrix/federation/v1/media/download/{id}?timeout_ms={}", wait.as_millis()))?;
        let read = |answer| answer::in_parts(answer, self.arriving());
        match remote.send_streaming(server, request, self.terms(), read).await {
            Ok(answer) => match answer? {
                Answer::Content(fetched) => Ok(Some(*fetched)),
                Answer::At(address) => self.fetch_at(remote, &address).await.map(Some),
            },
            Err(error) if is_unknown_endpoint(&error) => self.fetch_openly(remote, server, id).await,
            Err(error) => refused(error),
        }
    }

    /// From the address that the server has named.
    async fn fetch_at(&self, remote: &Remote, address: &str) -> Result<Fetched, MediaError> {
        let read = |answer| answer::plain(answer, self.arriving());
        remote.fetch_streaming(address, self.terms(), read).await.map_err(failed)?
    }

    /// By the endpoint of before authenticated media.
    async fn fetch_openly(
        &self,
        remote: &Remote,
        server: &ServerName,
        id: &str,
    ) -> Result<Option<Fetched>, MediaError> {
        let request = get(&format!("/_matrix/media/v3/download/{server}/{id}?allow_remote=false"))?;
        let read = |answer| answer::plain(answer, self.arriving());
        match remote.send_streaming(server, request, self.terms(), read).await {
            Ok(fetched) => fetched.map(Some),
            Err(error) => refused(error),
        }
    }

    fn arriving(&self) -> Arriving {
        Arriving::new(self.files.clone(), self.bytes_max)
    }

    fn terms(&self) -> Terms {
        let bytes_max = usize::try_from(self.bytes_max).unwrap_or(usize::MAX);
        Terms::anyway().within(FETCH_TIME_MAX).at_most(bytes_max.saturating_add(ENVELOPE_BYTES))
    }
}

fn get(path_and_query: &str) -> Result<http::Request<Vec<u8>>, MediaError> {
    let request = http::Request::builder().method(Method::GET).uri(path_and_query).body(Vec::new());
    request.map_err(|_| MediaError::Elsewhere)
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
