//! Time: the only place that reads the wall clock.
//!
//! Every part that needs the time is given a [`Clock`]. Tests pass [`Clock::test`], which stands still until
//! [`Clock::advance`] moves it, so no test ever waits for real time to pass.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, NaiveDate};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};
use tokio::sync::watch;

/// A source of time. Clones share it.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// The operating system's time; durations count from `started`.
    System { started: Instant },
    /// A time that only [`Clock::advance`] moves.
    Test(Arc<TestTime>),
}

struct TestTime {
    /// Unix time of the clock's creation, in milliseconds.
    start_ms: u64,
    /// How far the clock has been moved since. A watch, so that sleepers hear of every move.
    elapsed: watch::Sender<Duration>,
    /// How many calls of [`Clock::sleep`] are waiting.
    sleepers: watch::Sender<usize>,
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System { started: Instant::now() })
    }

    /// A clock for tests that shows `start_ms` (Unix time in milliseconds) until it is moved.
    pub fn test(start_ms: u64) -> Self {
        Self(Source::Test(Arc::new(TestTime {
            start_ms,
            elapsed: watch::Sender::new(Duration::ZERO),
            sleepers: watch::Sender::new(0),
        })))
    }

    /// Milliseconds since the Unix epoch; 0 if the system's clock stands before it.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System { .. } => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, whole_ms),
            Source::Test(time) => time.start_ms.saturating_add(whole_ms(*time.elapsed.borrow())),
        }
    }

    /// The time in the form that events and replies carry.
    pub fn now(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.now_ms()))
    }

    /// The day, where the machine stands. A test clock stands in Greenwich.
    pub fn today(&self) -> NaiveDate {
        match &self.0 {
            Source::System { .. } => chrono::Local::now().date_naive(),
            Source::Test(_) => {
                let now = i64::try_from(self.now_ms()).ok().and_then(DateTime::from_timestamp_millis);
                now.unwrap_or_default().date_naive()
            }
        }
    }

    /// The time since this clock was made. It never goes backwards, whatever happens to the wall clock:
    /// intervals, deadlines and rate limits are measured with it.
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Test(time) => *time.elapsed.borrow(),
        }
    }

    /// Waits until `duration` has passed on this clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System { .. } => tokio::time::sleep(duration).await,
            Source::Test(time) => {
                let mut elapsed = time.elapsed.subscribe();
                let deadline = elapsed.borrow().saturating_add(duration);
                let _sleeper = Sleeper::enter(&time.sleepers);
                // An error means that the sender is gone; `self` holds it, so it cannot be.
                let _ = elapsed.wait_for(|now| *now >= deadline).await;
            }
        }
    }

    /// Runs `future`, giving up after `duration`: `None` then.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(duration) => None,
        }
    }

    /// Moves a test clock forward and wakes every sleeper whose time has come. The system's clock is not moved.
    pub fn advance(&self, duration: Duration) {
        if let Source::Test(time) = &self.0 {
            time.elapsed.send_modify(|elapsed| *elapsed = elapsed.saturating_add(duration));
        }
    }

    /// On a test clock, waits until at least `count` calls of [`Clock::sleep`] are waiting: a test that advances
    /// the time for another task makes sure with it that the task sleeps already. Returns at once otherwise.
    pub async fn until_sleeping(&self, count: usize) {
        if let Source::Test(time) = &self.0 {
            let _ = time.sleepers.subscribe().wait_for(|sleepers| *sleepers >= count).await;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Source::System { .. } => "system",
            Source::Test(_) => "test",
        };
        write!(f, "Clock({kind}, {} ms)", self.now_ms())
    }
}

/// Counts one sleeping call, also when that call is cancelled.
struct Sleeper<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeper<'a> {
    fn enter(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|sleepers| *sleepers += 1);
        Self(count)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|sleepers| *sleepers = sleepers.saturating_sub(1));
    }
}

/// The whole milliseconds of a duration; the largest number where it does not fit.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_system_clock_shows_a_plausible_time() {
        let clock = Clock::system();
        // 2025-01-01; anything before means seconds or micro-seconds were taken for milliseconds.
        assert!(clock.now_ms() > 1_735_689_600_000);
        assert!(clock.now_ms() < 10_000_000_000_000);
        let before = clock.elapsed();
        clock.advance(Duration::from_hours(24));
        assert!(clock.elapsed().saturating_sub(before) < Duration::from_hours(1), "the system's clock was moved");
    }

    #[test]
    fn a_test_clock_moves_only_when_told() {
        let clock = Clock::test(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        clock.clone().advance(Duration::from_millis(1_500));
        assert_eq!(clock.now_ms(), 2_500);
        assert_eq!(clock.now().get(), ruma::uint!(2_500));
        assert_eq!(clock.elapsed(), Duration::from_millis(1_500));
    }

    #[tokio::test]
    async fn sleepers_wake_when_their_time_has_come() {
        let clock = Clock::test(0);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(SECOND * 10).await;
                clock.now_ms()
            }
        });
        clock.until_sleeping(1).await;
        clock.advance(SECOND * 9);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(SECOND);
        assert_eq!(sleeper.await.unwrap(), 10_000);
    }

    #[tokio::test]
    async fn a_timeout_gives_the_output_or_nothing() {
        let clock = Clock::test(0);
        assert_eq!(clock.timeout(SECOND, async { 7 }).await, Some(7));
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.timeout(SECOND, std::future::pending::<()>()).await }
        });
        clock.until_sleeping(1).await;
        clock.advance(SECOND);
        assert_eq!(waiting.await.unwrap(), None);
    }
}
