//! The one committer: it makes batches durable and visible, in order.
//!
//! Writers hand batches over and wait. One thread takes all that wait, gives them stream positions, makes the rows that
//! contain one, writes everything in one engine write (one fsync), publishes, and answers. Positions therefore become
//! visible in order, and a reader of position `n` sees everything up to `n`.
//!
//! After a failed write nothing is acknowledged any more: what is in memory may be ahead of the disk, and only a
//! restart puts that right.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, oneshot};

use super::{Batch, Position, Rows, StoreError, engine::Engine, interner::Counters, schema};

/// Batches that may wait at once; further writers wait for a place.
const WAITING_MAX: usize = 4096;
/// Batches merged into one write at most.
const GROUP_MAX: usize = 512;

type Done = oneshot::Sender<Result<Position, StoreError>>;

/// Whether the store still accepts writes.
#[derive(Default)]
pub struct Health {
    failure: RwLock<Option<String>>,
    failed: Notify,
}

impl Health {
    /// The reason why writing stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure.read().clone()
    }

    /// Waits until writing stops; the reason.
    pub async fn failed(&self) -> String {
        loop {
            let failed = self.failed.notified();
            if let Some(reason) = self.failure() {
                return reason;
            }
            failed.await;
        }
    }

    fn fail(&self, reason: String) {
        *self.failure.write() = Some(reason);
        self.failed.notify_waiters();
    }
}

struct Waiting {
    batches: VecDeque<(Batch, Done)>,
    closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    places: Semaphore,
    position: AtomicU64,
    health: Health,
}

/// Hands batches to the committer's thread; dropping it ends the thread after what waits is written.
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The right to hand over one batch without waiting: taken before a lock, used inside it.
pub struct Place<'a> {
    shared: &'a Arc<Shared>,
}

impl Committer {
    /// Starts the thread. `counters` are written ahead of use, so no id or position is ever given out twice.
    pub(super) fn start(engine: Engine, counters: Arc<Counters>) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting { batches: VecDeque::new(), closed: false }),
            arrived: Condvar::new(),
            places: Semaphore::new(WAITING_MAX),
            position: AtomicU64::new(counters.position()),
            health: Health::default(),
        });
        let worker = Worker { shared: shared.clone(), engine, counters };
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || worker.run())
            .map_err(|e| StoreError::Engine(format!("the committer's thread: {e}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The newest position that readers may see.
    pub(super) fn position(&self) -> Position {
        Position(self.shared.position.load(Ordering::Acquire))
    }

    pub(super) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Waits until a batch may be handed over.
    pub(super) async fn place(&self) -> Result<Place<'_>, StoreError> {
        let permit = self.shared.places.acquire().await.map_err(|_| StoreError::Stopped("shutting down".into()))?;
        permit.forget();
        Ok(Place { shared: &self.shared })
    }
}

impl Place<'_> {
    /// Hands a batch over. Batches are committed in the order of these calls. The answer is the position of the
    /// batch's last row, or the newest position when it took none.
    pub fn commit(self, batch: Batch) -> impl Future<Output = Result<Position, StoreError>> + Send + 'static {
        let (done, answer) = oneshot::channel();
        self.shared.waiting.lock().batches.push_back((batch, done));
        self.shared.arrived.notify_one();
        // The committer frees the place when it takes the batch.
        std::mem::forget(self);
        async move { answer.await.unwrap_or_else(|_| Err(StoreError::Stopped("shutting down".into()))) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.places.add_permits(1);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.waiting.lock().closed = true;
        self.shared.arrived.notify_one();
        // What runs once a batch is visible should not hold the store; if it does, the thread cannot wait for itself.
        let thread = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id());
        if let Some(thread) = thread {
            // A panic in the thread was reported when it happened.
            drop(thread.join());
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    engine: Engine,
    counters: Arc<Counters>,
}

impl Worker {
    fn run(self) {
        loop {
            let group: Vec<_> = {
                let mut waiting = self.shared.waiting.lock();
                while waiting.batches.is_empty() && !waiting.closed {
                    self.shared.arrived.wait(&mut waiting);
                }
                let n = waiting.batches.len().min(GROUP_MAX);
                waiting.batches.drain(..n).collect()
            };
            self.shared.places.add_permits(group.len());
            if group.is_empty() {
                if let Err(error) = self.engine.flush() {
                    tracing::error!(%error, "the last flush failed");
                }
                return;
            }
            self.commit(group);
        }
    }

    fn commit(&self, group: Vec<(Batch, Done)>) {
        let mut rows = Rows::default();
        let mut published = Vec::with_capacity(group.len());
        let mut position = self.shared.position.load(Ordering::Acquire);
        for (batch, done) in group {
            let batch = batch.into_parts();
            rows.0.extend(batch.rows.0);
            for make in batch.late {
                make(&mut rows);
            }
            for stamp in batch.stamps {
                position += 1 + stamp.skip;
                (stamp.make)(Position(position), &mut rows);
            }
            published.push((batch.publish, batch.visible, done, Position(position)));
        }
        if let Some(reserved) = self.counters.reserve(position) {
            rows.put(&schema::COUNTERS, &(), &reserved);
        }
        match self.write(rows) {
            Ok(()) => {
                let mut answers = Vec::with_capacity(published.len());
                let mut visible = Vec::new();
                for (publish, then, done, at) in published {
                    for run in publish {
                        run(at);
                    }
                    visible.extend(then);
                    answers.push((done, at));
                }
                self.shared.position.store(position, Ordering::Release);
                // The answer before the news: matrix-js-sdk loses track of a reply in a thread when the sender's own
                // `/sync` tells of it before the request that sent it has been answered.
                for (done, at) in answers {
                    // The writer may have gone away; what it wrote stays.
                    drop(done.send(Ok(at)));
                }
                for run in visible {
                    run();
                }
            }
            Err(error) => {
                for (_, _, done, _) in published {
                    drop(done.send(Err(error.clone())));
                }
            }
        }
    }

    fn write(&self, rows: Rows) -> Result<(), StoreError> {
        if let Some(reason) = self.shared.health.failure() {
            return Err(StoreError::Stopped(reason));
        }
        if rows.0.is_empty() {
            return Ok(());
        }
        self.engine.write(rows.0.into_iter()).inspect_err(|error| {
            tracing::error!(%error, "writing failed: nothing is acknowledged until the server is restarted");
            self.shared.health.fail(error.to_string());
        })
    }
}
