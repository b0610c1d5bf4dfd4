//! What is known of one other server.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::watch;

use crate::{
    remote::backoff::pause,
    store::{Position, schema::federation::DestinationRecord},
};

/// Successes one after the other are written at most this often, in milliseconds.
const SUCCESS_WRITTEN_MS: u64 = 3_600_000;
/// A server that asks, but does not answer, ends its pause at most this often, in milliseconds.
const HEARD_MS: u64 = 60_000;
/// An outage that lasts longer than this ends soon for nobody who waits: requests for them are spared then, but for one
/// in [`SPARED_MS`]. In milliseconds.
const HOPE_MS: u64 = 3_600_000;
/// How long they are spared after a failure, in milliseconds.
const SPARED_MS: u64 = 30_000;
/// No pause is longer, in milliseconds; what says so was written before the wall clock was set back.
const PAUSE_MAX_MS: u64 = 30 * 3_600 * 1_000;

/// A server.
pub(super) struct Entry {
    name: OwnedServerName,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

struct State {
    record: DestinationRecord,
    /// `last_success_ms` of the row.
    written_success_ms: u64,
    /// When a request to it last failed, Unix milliseconds; 0 before the first since the start.
    failed_ms: u64,
    /// When a request of it last ended a pause, Unix milliseconds.
    heard_ms: Option<u64>,
}

/// A request on its way.
pub(in crate::remote) struct Attempt {
    pub(super) entry: Arc<Entry>,
    /// Failures when it began: one that was counted meanwhile is the same outage.
    pub(super) failures: u32,
    /// Until when the server is to be left alone, Unix milliseconds.
    pub(in crate::remote) pausing: Option<u64>,
    /// The same for requests that somebody waits for.
    pub(in crate::remote) sparing: Option<u64>,
}

impl Attempt {
    pub(super) fn new(entry: Arc<Entry>, now_ms: u64) -> Self {
        let (failures, pausing) = (entry.record().failures, entry.pausing(now_ms));
        let sparing = entry.sparing(now_ms);
        Self { entry, failures, pausing, sparing }
    }
}

/// What a success changes.
pub(super) struct Changed {
    /// The server had failed before.
    pub(super) returned: bool,
    /// The row is to be written.
    pub(super) write: bool,
}

impl Entry {
    pub(super) fn new(name: OwnedServerName, record: DestinationRecord) -> Self {
        let written_success_ms = record.last_success_ms;
        let state = Mutex::new(State { record, written_success_ms, failed_ms: 0, heard_ms: None });
        Self { name, state, changes: watch::Sender::new(()) }
    }

    pub(super) fn name(&self) -> &ServerName {
        &self.name
    }

    pub(super) fn record(&self) -> DestinationRecord {
        self.state.lock().record.clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn wake(&self) {
        self.changes.send_replace(());
    }

    pub(super) fn pausing(&self, now_ms: u64) -> Option<u64> {
        let until_ms = self.state.lock().record.retry_at_ms;
        (now_ms < until_ms && until_ms - now_ms <= PAUSE_MAX_MS).then_some(until_ms)
    }

    /// Until when even those who wait are spared the attempt.
    fn sparing(&self, now_ms: u64) -> Option<u64> {
        let state = self.state.lock();
        let hopeless = state.record.failures > 0 && now_ms.saturating_sub(state.record.failing_since_ms) > HOPE_MS;
        let until_ms = state.failed_ms.saturating_add(SPARED_MS);
        (hopeless && (state.failed_ms..until_ms).contains(&now_ms)).then_some(until_ms)
    }

    pub(super) fn succeeded(&self, now_ms: u64) -> Changed {
        let mut state = self.state.lock();
        let returned = state.record.failures > 0;
        state.record.last_success_ms = now_ms;
        state.heard_ms = None;
        state.record.forget_failures();
        let write = returned || now_ms.saturating_sub(state.written_success_ms) >= SUCCESS_WRITTEN_MS;
        if write {
            state.written_success_ms = now_ms;
        }
        Changed { returned, write }
    }

    /// Whether it counts: not if another failure did since the request began.
    pub(super) fn failed(&self, before: u32, now_ms: u64, asked: Option<Duration>, chance: u32) -> bool {
        let mut state = self.state.lock();
        if state.record.failures != before {
            return false;
        }
        state.failed_ms = now_ms;
        let record = &mut state.record;
        if record.failures == 0 {
            record.failing_since_ms = now_ms;
        }
        record.failures = record.failures.saturating_add(1);
        let failing = Duration::from_millis(now_ms.saturating_sub(record.failing_since_ms));
        let pause = pause(record.failures, failing, asked, chance);
        record.retry_at_ms = now_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        true
    }

    /// Whether that ended a pause.
    pub(super) fn heard_from(&self, now_ms: u64) -> bool {
        let mut state = self.state.lock();
        let too_soon = state.heard_ms.is_some_and(|heard_ms| now_ms.saturating_sub(heard_ms) < HEARD_MS);
        if state.record.failures == 0 || too_soon {
            return false;
        }
        state.heard_ms = Some(now_ms);
        state.record.forget_failures();
        true
    }

    /// Notes how far it was told, and gives the row to write.
    pub(super) fn set_sent(&self, sent: Position) -> DestinationRecord {
        let mut state = self.state.lock();
        state.record.sent = state.record.sent.max(sent);
        state.record.clone()
    }
}

impl DestinationRecord {
    fn forget_failures(&mut self) {
        self.failures = 0;
        self.failing_since_ms = 0;
        self.retry_at_ms = 0;
    }
}
