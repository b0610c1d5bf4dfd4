//! [`Outbound`]: what the rest of the server holds, and its tasks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ruma::OwnedServerName;
use tokio::{
    sync::{
        Notify,
        broadcast::{Receiver, error::RecvError},
    },
    task::JoinSet,
};

use super::{
    board::Board,
    lanes::Lanes,
    retention::{Kept, SWEEPS_BETWEEN_TIDYING, SWEPT},
    worker::Worker,
};
use crate::{
    clock::Clock,
    ids::Ids,
    remote::{Outbox, Remote},
    rooms::Rooms,
    store::{Batch, Position, ServerNo, Store, StoreError},
};

/// Other servers that are looked at, at the start and for the command line.
pub(super) const SERVERS_MAX: usize = 1_000_000;
/// How long how far servers have been told may stay in memory only.
const FLUSHED: Duration = Duration::from_secs(1);
/// Servers of which that is written at once.
const FLUSH_PAGE: usize = 500;
/// How long to wait after the store has failed.
const RETRY: Duration = Duration::from_secs(30);
/// The longest wait when nobody is left alone.
const LONG: Duration = Duration::from_hours(24);

/// What the outbound side is made of.
pub struct OutboundParts {
    /// Tables and the committer.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Transaction ids.
    pub ids: Ids,
    /// Rooms and their events.
    pub rooms: Rooms,
    /// Other servers.
    pub remote: Remote,
    /// What is sent besides events.
    pub outbox: Outbox,
    /// This server's name.
    pub server_name: OwnedServerName,
    /// Told whenever an event that others are to have is visible.
    pub outgoing: Arc<Notify>,
}

/// Sends to other servers. Cheap to clone.
#[derive(Clone)]
pub struct Outbound(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: OutboundParts,
    pub(super) board: Board,
    pub(super) lanes: Lanes,
    pub(super) kept: Kept,
    /// The dispatcher has handed out everything up to here.
    dispatched: AtomicU64,
}

impl Outbound {
    /// Over these parts. Nothing is sent before [`Outbound::run`].
    pub fn new(parts: OutboundParts) -> Self {
        let lanes = Lanes::new(parts.clock.clone());
        let (board, kept, dispatched) = (Board::default(), Kept::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { parts, board, lanes, kept, dispatched }))
    }

    /// Sends, until it is dropped. What has not arrived then is sent after the next start.
    pub async fn run(self) {
        let inner = &self.0;
        let mut at = inner.parts.store.position();
        inner.dispatched.store(at.0, Ordering::Release);
        let returned = inner.parts.remote.destinations().returned();
        while let Err(error) = inner.find_behind(at).await {
            tracing::warn!(%error, "it could not be found out what other servers have missed");
            inner.parts.clock.sleep(RETRY).await;
        }
        let (flushing, sweeping) = (inner.keep_flushed(), inner.keep_swept());
        tokio::join!(inner.keep_dispatching(&mut at, returned), flushing, sweeping);
    }

    /// Makes durable how far each server has been told: at shutdown, lest it is told again.
    pub async fn flush(&self) {
        self.0.flush().await;
    }
}

impl Inner {
    /// Finds the servers that have missed something up to `at`, or for which the outbox has something.
    async fn find_behind(&self, at: Position) -> Result<(), StoreError> {
        for server in self.servers_with_rooms(SERVERS_MAX).await? {
            let Some(name) = self.allowed(server).await? else { continue };
            let sent = self.parts.remote.destinations().get(&name).await?.sent;
            if self.is_behind(server, sent).await? {
                self.board.add_behind(server, &name, sent);
            }
        }
        for server in self.parts.outbox.servers_waiting().await? {
            if let Some(name) = self.allowed(server).await? {
                self.board.add_news(server, &name, at);
            }
        }
        Ok(())
    }

    async fn keep_dispatching(self: &Arc<Self>, at: &mut Position, mut returned: Receiver<OwnedServerName>) {
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            if let Err(error) = self.hand_out_all(at).await {
                tracing::warn!(%error, "events could not be handed out to other servers");
                self.parts.clock.sleep(RETRY).await;
                continue;
            }
            for (server, name) in self.board.take_starting() {
                tasks.spawn(Worker::new(self.clone(), server, name).run());
            }
            let now_ms = self.parts.clock.now_ms();
            let wait = self.board.next_due().map_or(LONG, |due| Duration::from_millis(due.saturating_sub(now_ms)));
            tokio::select! {
                () = self.parts.outgoing.notified() => {}
                () = self.parts.outbox.woken() => {}
                () = self.board.changed.notified() => {}
                name = returned.recv() => self.let_go_on(name).await,
                () = self.parts.clock.sleep(wait) => self.board.release_due(self.parts.clock.now_ms()),
            }
        }
    }

    async fn hand_out_all(&self, at: &mut Position) -> Result<(), StoreError> {
        self.kept.add(self.dispatch(at).await?);
        self.dispatched.store(at.0, Ordering::Release);
        for server in self.parts.outbox.take_woken() {
            match self.allowed(server).await? {
                Some(name) => self.board.add_news(server, &name, *at),
                None => self.parts.outbox.forget(server),
            }
        }
        Ok(())
    }

    /// A server works again.
    async fn let_go_on(&self, name: Result<OwnedServerName, RecvError>) {
        match name {
            Ok(name) => match self.parts.store.server(&name).await {
                Ok(Some(server)) => drop(self.board.release(server, false)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a server that works again is tried later"),
            },
            // Some names were lost. Those that are still to be left alone will be.
            Err(RecvError::Lagged(_)) => self.board.release_all(),
            // This holds the sender.
            Err(RecvError::Closed) => {}
        }
    }

    async fn keep_flushed(&self) {
        loop {
            self.board.dirty.notified().await;
            self.parts.clock.sleep(FLUSHED).await;
            self.flush().await;
        }
    }

    async fn flush(&self) {
        loop {
            let dirty = self.board.take_dirty(FLUSH_PAGE);
            if dirty.is_empty() {
                return;
            }
            if let Err(error) = self.write(&dirty).await {
                // After the next start they are told some events again, which they know to handle.
                tracing::warn!(%error, "how far other servers have been told could not be kept");
            }
            self.board.flushed(dirty.iter().map(|(server, ..)| *server));
        }
    }

    async fn write(&self, dirty: &[(ServerNo, OwnedServerName, Position)]) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (_, name, sent) in dirty {
            self.parts.remote.destinations().stage_sent(name, *sent, &mut batch).await?;
        }
        self.parts.store.commit(batch).await?;
        Ok(())
    }

    async fn keep_swept(self: &Arc<Self>) {
        let inner = self.clone();
        let counted = tokio::task::spawn_blocking(move || inner.count_kept_blocking()).await;
        if let Ok(Err(error)) = counted {
            tracing::warn!(%error, "the events for other servers could not be counted");
        }
        let mut sweeps = 0;
        loop {
            let dispatched = Position(self.dispatched.load(Ordering::Acquire));
            if let Err(error) = self.sweep(dispatched).await {
                tracing::warn!(%error, "old rows of the federation could not be swept out");
            }
            if sweeps % SWEEPS_BETWEEN_TIDYING == 0
                && let Err(error) = self.tidy_outbox().await
            {
                tracing::warn!(%error, "what waits for other servers could not be tidied");
            }
            sweeps += 1;
            self.parts.clock.sleep(SWEPT).await;
        }
    }
}
