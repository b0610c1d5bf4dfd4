//! `GET https://<host>/.well-known/matrix/server`: the name that a server delegates to.

use std::time::Duration;

use http::StatusCode;
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;

use super::freshness::{ABSENT, FAILED, lifetime};
use crate::{
    clock::Clock,
    remote::body::{self, BodyStream},
};

/// Names whose documents are remembered.
const NAMES: usize = 5_000;
/// The longest document that is read, in bytes: the specification's bound.
const BYTES_MAX: usize = 50 * 1024;
/// How long it may take.
const WITHIN: Duration = Duration::from_secs(10);

/// The documents, one request at a time for each name.
pub(in crate::remote) struct WellKnown {
    clock: Clock,
    known: Cache<String, Known>,
}

/// What a document says, until when on the clock's monotonic time.
#[derive(Clone)]
struct Known {
    delegate: Option<OwnedServerName>,
    until: Duration,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "m.server")]
    server: OwnedServerName,
}

impl WellKnown {
    pub(in crate::remote) fn new(clock: Clock) -> Self {
        Self { clock, known: Cache::new(NAMES) }
    }

    /// The name that `server` delegates to; `None` where it does not, or its document cannot be had.
    pub(in crate::remote) async fn delegate(
        &self,
        server: &ServerName,
        web: &reqwest::Client,
    ) -> Option<OwnedServerName> {
        let now = self.clock.elapsed();
        let host = server.host();
        self.known.remove_if(host, |known| known.until <= now);
        let known = self.known.get_or_insert_async(host, async {
            let (delegate, kept) = self.ask(host, web).await;
            Ok::<_, std::convert::Infallible>(Known { delegate, until: self.clock.elapsed() + kept })
        });
        let Ok(known) = known.await;
        known.delegate
    }

    async fn ask(&self, host: &str, web: &reqwest::Client) -> (Option<OwnedServerName>, Duration) {
        match self.clock.timeout(WITHIN, self.document(host, web)).await {
            Some(Some(found)) => found,
            _ => (None, FAILED),
        }
    }

    /// What the document says and how long that holds; `None` where nobody answered.
    async fn document(&self, host: &str, web: &reqwest::Client) -> Option<(Option<OwnedServerName>, Duration)> {
        let url = format!("https://{host}/.well-known/matrix/server");
        let answer = web.get(url).header(http::header::ACCEPT, "application/json").send().await.ok()?;
        if answer.status().is_server_error() {
            return None;
        }
        if answer.status() != StatusCode::OK {
            return Some((None, ABSENT));
        }
        let kept = lifetime(answer.headers(), self.clock.now_ms());
        let bytes = body::collect(BodyStream::new(answer, BYTES_MAX).ok()?).await.ok()?;
        match serde_json::from_slice::<Document>(&bytes) {
            Ok(document) => Some((Some(document.server), kept)),
            Err(_) => Some((None, ABSENT)),
        }
    }
}
