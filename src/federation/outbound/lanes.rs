//! How many transactions are on their way at the same time.
//!
//! Servers that work and servers that fail have lanes of their own. In the lane of those that work a slow one gives its
//! place up after a moment, though its transaction goes on: it has only one, so it cannot have many. So neither a server
//! that hangs nor hundreds that are gone delay the others.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::Clock;

/// Transactions to servers that work.
const WORKING_MAX: usize = 100;
/// Attempts at servers that have failed.
const FAILING_MAX: usize = 50;
/// How long a server that works may hold its place: hundreds that begin to hang at the same moment delay the others by
/// this for each full lane, once.
const HELD: Duration = Duration::from_millis(200);

/// The lanes. A place is given to who has waited for longest.
pub(super) struct Lanes {
    working: Semaphore,
    failing: Semaphore,
    clock: Clock,
}

impl Lanes {
    pub(super) fn new(clock: Clock) -> Self {
        Self { working: Semaphore::new(WORKING_MAX), failing: Semaphore::new(FAILING_MAX), clock }
    }

    /// Sends when there is a place. The request is made only then.
    pub(super) async fn pass<F: Future + Unpin>(&self, failing: bool, send: impl FnOnce() -> F) -> F::Output {
        if failing {
            let _place = self.failing.acquire().await;
            return send().await;
        }
        let place = self.working.acquire().await;
        let mut send = send();
        let done = self.clock.timeout(HELD, &mut send).await;
        drop(place);
        match done {
            Some(done) => done,
            None => send.await,
        }
    }
}
