//! Gets key documents.
//!
//! Whoever needs a key that is not known can make this server ask for it, strangers included: so there is one fetch at
//! a time for a server, a pause after each, and a longer one after each failure in a row.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use ruma::{OwnedServerName, ServerName};
use tokio::sync::watch;

use super::{
    document::{KeyDocument, is_signed_by},
    known::Known,
    ring::{FETCH_TIME_MAX, KeyRing, Ring},
};
use crate::store::StoreError;

/// Servers asked at once for one caller.
const ASKED_AT_ONCE: usize = 20;
/// How long a whole batch of servers may take; what is missing then counts as unknown.
const BATCH_TIME_MAX: Duration = Duration::from_mins(1);
/// A server is not asked again sooner after it answered.
const PAUSE_AFTER_ANSWER: Duration = Duration::from_mins(1);
/// A server is not asked again sooner after its first failure; the pause doubles with each.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(30);

/// For whom a document is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// For this server: it has to check something of somebody who is known.
    Ourselves,
    /// For whoever says so, who may be anybody: they have few places, and those of others stay free.
    Stranger,
}

/// A server is left alone for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// By `Clock::elapsed`.
    pub(super) until: Duration,
    /// Failures in a row.
    pub(super) failures: u32,
}

impl KeyRing {
    /// Fetches the documents of these servers, as far as they may be asked now, and waits for them.
    pub(super) async fn fetch_all(&self, servers: HashSet<OwnedServerName>) {
        if servers.is_empty() {
            return;
        }
        // Owned and boxed: the compiler cannot tell that a closure's future is `Send` for every lifetime.
        let fetches = servers.into_iter().map(|server| {
            let ring = self.clone();
            async move { ring.fetch(&server, Asker::Ourselves).await }.boxed()
        });
        let fetches = stream::iter(fetches.collect::<Vec<_>>()).for_each_concurrent(ASKED_AT_ONCE, |fetch| fetch);
        let fetches = fetches.boxed();
        if self.0.clock.timeout(BATCH_TIME_MAX, fetches).await.is_none() {
            tracing::info!("not all keys of other servers arrived in time");
        }
    }

    /// Fetches the document of a server, unless it is to be left alone, and waits until that has ended in some way.
    pub(super) async fn fetch(&self, server: &ServerName, asker: Asker) {
        let Some(mut flight) = self.board(server, asker) else { return };
        // An error means that the task ended without a word.
        let _ = flight.wait_for(|ended| *ended).await;
    }

    /// Fetches without waiting.
    pub(super) fn refresh(&self, server: &ServerName, asker: Asker) {
        drop(self.board(server, asker));
    }

    /// Joins the fetch under way, or starts one; `None` for servers to be left alone. A stranger's may wait for its turn,
    /// so nobody else joins it.
    fn board(&self, server: &ServerName, asker: Asker) -> Option<watch::Receiver<bool>> {
        let ring = &self.0;
        if server == ring.own.server_name() || !ring.may_have_keys_of(server, asker) {
            return None;
        }
        let mut flights = ring.flights.lock();
        let (own, flight) = ((server.to_owned(), Asker::Ourselves), (server.to_owned(), asker));
        if let Some(known) = flights.get(&own).or_else(|| flights.get(&flight)) {
            return Some(known.clone());
        }
        if ring.is_paused(server) {
            return None;
        }
        let (ended, boarded) = watch::channel(false);
        flights.insert(flight.clone(), boarded.clone());
        drop(flights);
        let ring = self.0.clone();
        // A task of its own: a caller that goes away must not stop the fetch of those who wait for the same.
        tokio::spawn(async move {
            let landing = Landing { ring: &ring, flight: &flight };
            ring.fly(&flight).await;
            drop(landing);
            let _ = ended.send(true);
        });
        Some(boarded)
    }
}

/// Takes the entry of a fetch away, however it ends.
struct Landing<'a> {
    ring: &'a Ring,
    flight: &'a (OwnedServerName, Asker),
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.ring.flights.lock().remove(self.flight);
    }
}

impl Ring {
    /// Who is not talked to may still have people in a room that a neighbour shares, and there they count: without their
    /// keys, the states they set would be missing here alone. A trusted notary knows them.
    fn may_have_keys_of(&self, server: &ServerName, asker: Asker) -> bool {
        let federation = &self.config.federation;
        federation.allows(server) || (asker == Asker::Ourselves && !federation.trusted_key_servers.is_empty())
    }

    fn is_paused(&self, server: &ServerName) -> bool {
        self.pauses.get(server).is_some_and(|pause| pause.until > self.clock.elapsed())
    }

    /// One fetch, once there is a place for it. That there was none says nothing of the server.
    async fn fly(&self, (server, asker): &(OwnedServerName, Asker)) {
        let places = match asker {
            Asker::Ourselves => &self.fetches,
            Asker::Stranger => &self.strange_fetches,
        };
        let Some(Ok(_place)) = self.clock.timeout(FETCH_TIME_MAX, places.acquire()).await else {
            tracing::info!(%server, ?asker, "too many keys are being fetched");
            return;
        };
        // Somebody else may have been quicker.
        if self.is_paused(server) {
            return;
        }
        let succeeded = match self.clock.timeout(FETCH_TIME_MAX, self.fetch_and_keep(server)).await {
            Some(Ok(succeeded)) => succeeded,
            Some(Err(error)) => {
                tracing::error!(%error, "keys of another server cannot be stored");
                false
            }
            None => false,
        };
        self.pause(server, succeeded);
    }

    fn pause(&self, server: &ServerName, succeeded: bool) {
        let failures = self.pauses.get(server).map_or(0, |pause| pause.failures);
        let (failures, length) = if succeeded {
            (0, PAUSE_AFTER_ANSWER)
        } else {
            (failures.saturating_add(1), PAUSE_AFTER_FAILURE.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX))
        };
        self.pauses.insert(server.to_owned(), Pause { until: self.clock.elapsed() + length, failures });
    }

    /// Whether keys came.
    async fn fetch_and_keep(&self, server: &ServerName) -> Result<bool, StoreError> {
        let document = match self.ask_itself(server).await {
            Some(document) => Some(document),
            None => self.ask_notaries(server).await,
        };
        let Some(document) = document else { return Ok(false) };
        self.keep(server, &document).await?;
        Ok(true)
    }

    /// Asks the server, if it is talked to.
    async fn ask_itself(&self, server: &ServerName) -> Option<KeyDocument> {
        if !self.config.federation.allows(server) {
            return None;
        }
        let text = self.source.document(server).await.inspect_err(|error| {
            tracing::debug!(%server, %error, "the keys of a server cannot be had from it");
        });
        let document = KeyDocument::read_fresh(&text.ok()?, server, self.clock.now_ms()).inspect_err(|error| {
            tracing::info!(%server, %error, "the keys of a server cannot be used");
        });
        document.ok()
    }

    /// Asks the trusted notaries one after the other. What they answer must be signed by them *and* by the server.
    async fn ask_notaries(&self, server: &ServerName) -> Option<KeyDocument> {
        let now_ms = self.clock.now_ms();
        for notary in &self.config.federation.trusted_key_servers {
            if notary == server || notary == self.own.server_name() {
                continue;
            }
            let Ok(own) = self.notary_keys(notary).await else { continue };
            let answers = match self.source.ask_notary(notary, server, now_ms).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::debug!(%notary, %server, %error, "a notary does not answer");
                    continue;
                }
            };
            let signed = answers.iter().take(16).filter(|text| is_signed_by(text, notary, &own));
            let read = signed.filter_map(|text| KeyDocument::read(text, server, now_ms).ok());
            if let Some(newest) = read.max_by_key(|document| document.valid_until_ms) {
                return Some(newest);
            }
        }
        None
    }

    /// A notary's own keys, fetched from it where they are not known.
    async fn notary_keys(&self, notary: &ServerName) -> Result<Arc<Known>, StoreError> {
        let known = self.known(notary).await?;
        let now_ms = self.clock.now_ms();
        if known.valid_until_ms > now_ms {
            return Ok(known);
        }
        let text = self.source.document(notary).await.ok();
        match text.and_then(|text| KeyDocument::read_fresh(&text, notary, now_ms).ok()) {
            Some(document) => self.keep(notary, &document).await,
            None => Ok(known),
        }
    }
}
