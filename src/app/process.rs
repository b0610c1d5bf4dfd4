//! The server as a process: its runtime, its signals, its end.

use std::{num::NonZero, sync::Arc, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Addresses, App, StartError};
use crate::{
    clock::Clock,
    config::Config,
    http::{ServeOptions, services::Services},
    ids::Ids,
};

/// Threads for work that waits for the disk or hashes passwords. Each kind is bounded on its own already; this is
/// the bound of their sum.
const BLOCKING_THREADS_MAX: usize = 64;

/// Open files besides connections: the database's, content that is sent or received, requests to other servers.
const OTHER_FILES: u64 = 4_000;

/// How long such work may go on when everything else has ended.
const BLOCKING_END: Duration = Duration::from_millis(200);

/// Runs the server until SIGTERM or SIGINT, then ends it, as a rule within five seconds; a second signal ends it at once.
///
/// # Errors
/// What keeps it from starting.
pub fn serve(config: Config) -> Result<(), StartError> {
    serve_prepared(config, |_, _| async { Ok(()) })
}

/// The same, with something to be done once the server listens. If that fails, the server ends.
///
/// # Errors
/// What keeps it from starting.
pub fn serve_prepared<F>(config: Config, prepare: impl FnOnce(Arc<Services>, Addresses) -> F) -> Result<(), StartError>
where
    F: Future<Output = Result<(), StartError>>,
{
    spare_memory();
    allow_files();
    let workers = std::thread::available_parallelism().map_or(2, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .map_err(|error| StartError::System { what: "the runtime", error })?;
    let served = runtime.block_on(run(config, prepare));
    runtime.shutdown_timeout(BLOCKING_END);
    served
}

/// Refuses pages of 2 MiB: the allocator touches a little of many regions, and each would count whole. An empty server
/// takes a third less without them.
fn spare_memory() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

/// Takes all the open files that the system grants: systemd and most shells allow 1,024 to who does not ask for more, and
/// every connection is one.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
        match setrlimit(Resource::Nofile, all) {
            Ok(()) => limit = all,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    let needed = ServeOptions::default().connections_max as u64 + OTHER_FILES;
    match limit.current {
        Some(files) if files < needed => {
            tracing::warn!(files, needed, "few files may be open at once; raise the limit (LimitNOFILE, ulimit -n)");
        }
        files => tracing::debug!(?files, "files that may be open at once"),
    }
}

async fn run<F>(config: Config, prepare: impl FnOnce(Arc<Services>, Addresses) -> F) -> Result<(), StartError>
where
    F: Future<Output = Result<(), StartError>>,
{
    // Before the start, so that a signal during it is not lost.
    let mut signals = Signals::new().map_err(|error| StartError::System { what: "waiting for signals", error })?;
    let name = config.server.name.clone();
    let app = Box::pin(App::start(config, Clock::system(), Ids::system())).await?;
    let addresses = app.addresses();
    let Addresses { client, federation, metrics } = addresses;
    tracing::info!(server = %name, %client, ?federation, ?metrics, "ready");

    let received = tokio::select! {
        failed = prepared(prepare(app.services().clone(), addresses)) => {
            app.stop().await;
            return Err(failed);
        }
        received = signals.end(&app) => received,
    };
    tracing::info!(signal = received, "stopping");
    tokio::select! {
        () = app.stop() => tracing::info!("stopped"),
        again = signals.next() => tracing::warn!(signal = again, "stopped at once"),
    }
    Ok(())
}

/// Waits for ever once all is prepared; comes back with a failure only.
async fn prepared(work: impl Future<Output = Result<(), StartError>>) -> StartError {
    match work.await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// The signals that end the server, and the one after which it reads its certificate again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next one that ends the server; obeys the other one until then.
    async fn end(&mut self, app: &App) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => app.reload_certificate().await,
            }
        }
    }

    /// The name of the next one that ends the server.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
