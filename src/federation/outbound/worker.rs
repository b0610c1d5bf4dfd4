//! The task of a server: a transaction after the other, until there is nothing more to send or the server fails.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use ruma::OwnedServerName;

use super::{
    behind::Plan,
    destination::{Outgoing, Work},
    service::Inner,
    transaction::{ITEMS_MAX, PDUS_MAX, Transaction},
};
use crate::{
    remote::{RemoteError, Terms},
    store::{Batch, ServerNo, StoreError},
};

/// How long an answer is waited for; from a server that failed the last time, less.
const PATIENCE: Duration = Duration::from_mins(1);
const PATIENCE_FAILING: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a line for each event.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a server is left alone that refuses what it is sent: the first time, and at most, in milliseconds.
const REFUSED_MS: u64 = 60_000;
const REFUSED_MAX_MS: u64 = 3_600_000;
/// How long to wait after the store has failed, in milliseconds.
const STORE_MS: u64 = 30_000;
/// A transaction without an answer is kept to be sent again as it was when it is no longer than this, in bytes, and once
/// only: for a server that is gone its items are worth more than its form.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// The task.
pub(super) struct Worker {
    inner: Arc<Inner>,
    server: ServerNo,
    name: OwnedServerName,
    /// What the server has missed, as far as it is still to be sent.
    plan: Option<Plan>,
    /// Items in the next transaction: fewer after one was refused.
    most: usize,
    /// The board knows that this task ends; the next one may have begun already.
    over: bool,
}

/// What came of a transaction.
enum Outcome {
    /// It has arrived.
    Delivered(Bytes),
    /// There was nothing in it.
    Empty,
    /// The server does not work.
    Down,
    /// The server does not take this transaction.
    Indigestible(RemoteError),
    /// The server does not take anything.
    Refused(RemoteError),
    /// This server does not talk to it.
    NotAllowed,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It was cut, or it panicked.
        if !self.over {
            self.inner.board.ended(self.server);
        }
    }
}

impl Worker {
    pub(super) fn new(inner: Arc<Inner>, server: ServerNo, name: OwnedServerName) -> Self {
        Self { inner, server, name, plan: None, most: ITEMS_MAX, over: false }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(server = %self.name, %error, "nothing could be sent");
                    self.inner.board.with(self.server, |d| d.news = true);
                    self.inner.board.pause(self.server, self.now_ms() + STORE_MS);
                    break;
                }
            }
        }
        self.over = true;
    }

    /// One transaction. Whether the task goes on.
    async fn step(&mut self) -> Result<bool, StoreError> {
        let (events, in_order, again) = match &self.plan {
            Some(plan) => (plan.events.iter().take(PDUS_MAX).copied().collect(), plan.in_order, None),
            None => match self.inner.board.next(self.server, PDUS_MAX) {
                None => return Ok(false),
                Some(Work::Again(transaction)) => (Vec::new(), true, Some(transaction)),
                Some(Work::Live(events)) => (events, true, None),
                Some(Work::CatchUp(sent)) => {
                    let plan = self.inner.plan(self.server, sent).await?;
                    tracing::debug!(server = %self.name, events = plan.events.len(), "telling a server what it missed");
                    self.plan = Some(plan);
                    self.end_plan();
                    return Ok(true);
                }
            },
        };
        let destinations = self.inner.parts.remote.destinations();
        let anyway = self.inner.board.with(self.server, |d| std::mem::take(&mut d.anyway)).unwrap_or_default();
        if let Some(until_ms) = destinations.pausing(&self.name).await?.filter(|_| !anyway) {
            if let Some(transaction) = again {
                self.inner.board.with(self.server, |d| d.unanswered = Some(transaction));
            }
            return Ok(self.give_up(until_ms));
        }
        let failing = destinations.get(&self.name).await?.failures > 0;
        let inner = self.inner.clone();
        let terms = Terms { anyway, ..Terms::default() }.at_most(ANSWER_BYTES_MAX);
        let terms = terms.within(if failing { PATIENCE_FAILING } else { PATIENCE });
        let retried = again.is_some();
        // A request takes some 40 KiB: none for those that wait for a place.
        let send = || Box::pin(self.send((events, in_order), again, terms));
        let (transaction, outcome) = inner.lanes.pass(failing, send).await?;
        self.take_note(transaction, outcome, retried).await
    }

    async fn send(
        &self,
        (events, in_order): (Vec<Outgoing>, bool),
        again: Option<Box<Transaction>>,
        terms: Terms,
    ) -> Result<(Box<Transaction>, Outcome), StoreError> {
        let transaction = match again {
            Some(transaction) => transaction,
            None => Box::new(Transaction::compose(&self.inner, self.server, &events, in_order, self.most).await?),
        };
        let Some(request) = transaction.request().filter(|_| transaction.items > 0) else {
            return Ok((transaction, Outcome::Empty));
        };
        let answer = self.inner.parts.remote.send_raw(&self.name, request, terms).await;
        let outcome = match answer {
            Ok(answer) => Outcome::Delivered(answer.into_body()),
            // It was taken; of its answer nothing is needed.
            Err(RemoteError::Malformed(_) | RemoteError::TooLarge { .. }) => Outcome::Delivered(Bytes::new()),
            Err(RemoteError::NotAllowed(_) | RemoteError::Own) => Outcome::NotAllowed,
            Err(RemoteError::Store(error)) => return Err(error),
            Err(error) if error.is_down() => Outcome::Down,
            Err(error @ RemoteError::Request(_)) => Outcome::Indigestible(error),
            Err(error) => match error.status() {
                Some(StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE) => Outcome::Indigestible(error),
                _ => Outcome::Refused(error),
            },
        };
        Ok((transaction, outcome))
    }

    /// Whether the task goes on.
    async fn take_note(
        &mut self,
        mut transaction: Box<Transaction>,
        outcome: Outcome,
        retried: bool,
    ) -> Result<bool, StoreError> {
        match outcome {
            Outcome::Delivered(answer) => {
                Transaction::log_answer(&self.name, &answer);
                self.inner.parts.outbox.set_down(self.server, false);
                self.most = (self.most * 2).min(ITEMS_MAX);
                self.done(&transaction).await?;
                Ok(true)
            }
            Outcome::Empty => {
                self.done(&transaction).await?;
                Ok(true)
            }
            Outcome::Indigestible(error) if transaction.items <= 1 => {
                tracing::warn!(server = %self.name, %error, "an item that another server does not take was dropped");
                self.done(&transaction).await?;
                Ok(true)
            }
            Outcome::Indigestible(error) => {
                tracing::debug!(server = %self.name, %error, items = transaction.items, "dividing a transaction");
                self.most = (transaction.items / 2).max(1);
                self.take_back(&mut transaction);
                Ok(true)
            }
            Outcome::Down => {
                let until_ms = self.inner.parts.remote.destinations().get(&self.name).await?.retry_at_ms;
                let keep = !retried && transaction.bytes() <= KEPT_BYTES_MAX;
                if keep {
                    self.inner.board.with(self.server, |d| d.unanswered = Some(transaction));
                } else {
                    self.take_back(&mut transaction);
                }
                self.inner.parts.outbox.set_down(self.server, true);
                // 0 if it was heard from meanwhile.
                Ok(self.give_up(if until_ms > 0 { until_ms } else { self.now_ms() + STORE_MS }))
            }
            Outcome::Refused(error) => {
                self.take_back(&mut transaction);
                let refusals = self.inner.board.with(self.server, |d| {
                    d.refusals = d.refusals.saturating_add(1);
                    d.refusals
                });
                let pause_ms = (REFUSED_MS << refusals.unwrap_or(1).saturating_sub(1).min(10)).min(REFUSED_MAX_MS);
                tracing::warn!(server = %self.name, %error, pause_ms, "another server takes nothing from this one");
                self.inner.parts.outbox.set_down(self.server, true);
                Ok(self.give_up(self.now_ms() + pause_ms))
            }
            Outcome::NotAllowed => {
                self.inner.parts.outbox.forget(self.server);
                self.inner.board.forget(self.server);
                Ok(false)
            }
        }
    }

    /// The server has what was in a transaction, or is never to have it.
    async fn done(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        if !transaction.durable.is_empty() {
            let mut batch = Batch::new();
            self.inner.parts.outbox.delivered(self.server, &transaction.durable, &mut batch);
            self.inner.parts.store.commit(batch).await?;
        }
        self.inner.board.with(self.server, |d| {
            d.refusals = 0;
            d.news |= transaction.more;
            if let Some(last) = transaction.last.filter(|_| transaction.in_order) {
                d.reached(last);
            }
        });
        if let Some(plan) = &mut self.plan {
            plan.events.drain(..transaction.used.min(plan.events.len()));
            self.end_plan();
        }
        Ok(())
    }

    fn end_plan(&mut self) {
        if let Some(plan) = self.plan.take_if(|plan| plan.events.is_empty()) {
            self.inner.board.with(self.server, |d| d.caught_up(plan.upto));
        }
    }

    /// What was in a transaction waits again.
    fn take_back(&self, transaction: &mut Transaction) {
        let taken = std::mem::take(&mut transaction.taken);
        self.inner.parts.outbox.put_back(self.server, taken);
        self.inner.board.with(self.server, |d| d.news = true);
    }

    /// Leaves the server alone until then. Whether the task goes on nevertheless.
    fn give_up(&mut self, until_ms: u64) -> bool {
        // What it held is found again.
        self.plan = None;
        self.inner.board.with(self.server, |d| d.news = true);
        !self.inner.board.pause_unless_wanted(self.server, until_ms)
    }

    fn now_ms(&self) -> u64 {
        self.inner.parts.clock.now_ms()
    }
}
