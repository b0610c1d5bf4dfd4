//! Rate limits per account, address and name.
//!
//! A school sits behind one address, so limits per address are wide and serve against floods only; guessing a password
//! is slowed per account name ([`Limiter::check_name`]).

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use crate::{
    config::{Limits, Rate},
    http::{address::Source, class::Class, error::ApiError},
    store::UserNo,
};

/// How many keys one class may hold before unknown ones share buckets. A key costs about 50 bytes.
const KEYS_MAX: usize = 20_000;

/// The buckets that keys share once there are too many.
const SHARED_BUCKETS: u64 = 4096;

/// After so many checks of a class its idle keys are dropped.
const CHECKS_BETWEEN_SWEEPS: u32 = 4096;

/// The rates of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Per account, or per name where there is no session yet.
    pub user: Rate,
    /// Per address, for requests without a session.
    pub address: Rate,
}

impl Rates {
    /// The rates of a class as the configuration sets them.
    pub fn of(limits: &Limits, class: Class) -> Self {
        let user = match class {
            Class::Login | Class::Password => limits.login_per_account,
            Class::Register => limits.register_per_address,
            Class::Send | Class::Redact => limits.send_per_account,
            Class::Invite => limits.invite_per_account,
            Class::Join => limits.join_per_account,
            Class::CreateRoom => limits.create_per_account,
            Class::Media => limits.media_per_account,
            Class::Report => limits.report_per_account,
            Class::Search => limits.search_per_account,
            Class::Device | Class::Ephemeral => limits.other,
            Class::Federation => limits.federation_per_server,
        };
        let address = match class {
            Class::Login | Class::Password => limits.login_per_address,
            Class::Register => limits.register_per_address,
            Class::Federation => limits.federation_per_address,
            _ => limits.other,
        };
        Self { user, address }
    }
}

fn quota(rate: Rate) -> Quota {
    // The interval is never zero; if it were, the burst each second is still a limit.
    Quota::with_period(rate.interval()).unwrap_or(Quota::per_second(rate.burst())).allow_burst(rate.burst())
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    User(UserNo),
    Address(Source),
    /// A keyed hash of the name.
    Name(u64),
    Shared(u64),
}

type Buckets<C> = RateLimiter<Key, DefaultKeyedStateStore<Key>, C, NoOpMiddleware<<C as Clock>::Instant>>;

struct Counter<C: Clock> {
    buckets: Buckets<C>,
    checks: AtomicU32,
    full: AtomicBool,
}

/// Counts requests and refuses those above the rate. Its memory is bounded.
pub struct Limiter<C: Clock = DefaultClock> {
    clock: C,
    enabled: bool,
    keys_max: usize,
    hasher: RandomState,
    /// For each class one counter of accounts and names, and one of addresses.
    counters: Vec<(Counter<C>, Counter<C>)>,
}

impl Limiter {
    /// Limits as the configuration sets them.
    pub fn new(limits: &Limits) -> Self {
        Self::with(&DefaultClock::default(), limits.enabled, KEYS_MAX, |class| Rates::of(limits, class))
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// Limits at any rates.
    pub fn with(clock: &C, enabled: bool, keys_max: usize, rates: impl Fn(Class) -> Rates) -> Self {
        let counter = |rate: Rate| Counter {
            buckets: RateLimiter::new(quota(rate), DefaultKeyedStateStore::default(), clock.clone()),
            checks: AtomicU32::new(0),
            full: AtomicBool::new(false),
        };
        let counters = Class::ALL.map(&rates).map(|rates| (counter(rates.user), counter(rates.address))).into();
        Self { clock: clock.clone(), enabled, keys_max, hasher: RandomState::new(), counters }
    }

    /// Counts a request of an account, by its number.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn check_user(&self, class: Class, user: UserNo) -> Result<(), ApiError> {
        self.check(self.counters.get(class.index()).map(|pair| &pair.0), Key::User(user))
    }

    /// Counts a request from an address.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn check_address(&self, class: Class, address: IpAddr) -> Result<(), ApiError> {
        let key = Key::Address(Source::of(address));
        self.check(self.counters.get(class.index()).map(|pair| &pair.1), key)
    }

    /// Counts an attempt on a name that need not exist, such as the user name of a login.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`.
    pub fn check_name(&self, class: Class, name: &str) -> Result<(), ApiError> {
        let key = Key::Name(self.hasher.hash_one(name));
        self.check(self.counters.get(class.index()).map(|pair| &pair.0), key)
    }

    /// Drops the keys that have been idle long enough to be as good as new. To be called every minute or so.
    pub fn sweep(&self) {
        for (users, addresses) in &self.counters {
            self.sweep_counter(users);
            self.sweep_counter(addresses);
        }
    }

    fn check(&self, counter: Option<&Counter<C>>, key: Key) -> Result<(), ApiError> {
        let Some(counter) = counter.filter(|_| self.enabled) else { return Ok(()) };
        // Floods of new keys fill the table faster than the periodic sweep empties it.
        let interval = u32::try_from(self.keys_max).unwrap_or(u32::MAX).clamp(1, CHECKS_BETWEEN_SWEEPS);
        if counter.checks.fetch_add(1, Ordering::Relaxed) % interval == interval - 1 {
            self.sweep_counter(counter);
        }
        let key = if counter.full.load(Ordering::Relaxed) {
            Key::Shared(self.hasher.hash_one(key) % SHARED_BUCKETS)
        } else {
            key
        };
        counter
            .buckets
            .check_key(&key)
            .map_err(|refused| ApiError::limit_exceeded(refused.wait_time_from(self.clock.now())))
    }

    fn sweep_counter(&self, counter: &Counter<C>) {
        counter.buckets.retain_recent();
        counter.buckets.shrink_to_fit();
        counter.full.store(counter.buckets.len() >= self.keys_max, Ordering::Relaxed);
    }
}

impl<C: Clock> std::fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use std::{net::Ipv6Addr, time::Duration};

    use axum::response::IntoResponse as _;
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(enabled: bool, keys_max: usize) -> (FakeRelativeClock, Limiter<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(3, 6);
        (clock.clone(), Limiter::with(&clock, enabled, keys_max, |_| Rates { user: rate, address: rate }))
    }

    fn check_user<C: Clock + Clone>(limiter: &Limiter<C>, class: Class, user: u64) -> Result<(), ApiError> {
        limiter.check_user(class, UserNo(user))
    }

    #[test]
    fn a_burst_and_then_one_for_each_period() {
        let (clock, limiter) = limiter(true, 100);
        for _ in 0..3 {
            check_user(&limiter, Class::Send, 1).unwrap();
        }
        let response = check_user(&limiter, Class::Send, 1).unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        // Other accounts and classes are not affected.
        check_user(&limiter, Class::Send, 2).unwrap();
        check_user(&limiter, Class::Invite, 1).unwrap();
        clock.advance(Duration::from_millis(1999));
        check_user(&limiter, Class::Send, 1).unwrap_err();
        clock.advance(Duration::from_millis(1));
        check_user(&limiter, Class::Send, 1).unwrap();
        check_user(&limiter, Class::Send, 1).unwrap_err();
    }

    #[test]
    fn disabled_limits_nothing() {
        let (_, limiter) = limiter(false, 100);
        for _ in 0..100 {
            check_user(&limiter, Class::Send, 1).unwrap();
            limiter.check_name(Class::Login, "anna").unwrap();
        }
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let (_, limiter) = limiter(true, 100);
        let address = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        for host in 0..3 {
            limiter.check_address(Class::Login, address(host)).unwrap();
        }
        limiter.check_address(Class::Login, address(9)).unwrap_err();
        limiter.check_address(Class::Login, "192.0.2.1".parse().unwrap()).unwrap();
    }

    #[test]
    fn keys_are_bounded_and_forgotten() {
        let (clock, limiter) = limiter(true, 50);
        for user in 0..50_000 {
            let _ = check_user(&limiter, Class::Send, user);
        }
        let held = limiter.counters[Class::Send.index()].0.buckets.len();
        assert!(held <= 100 + usize::try_from(SHARED_BUCKETS).unwrap(), "{held}");
        clock.advance(Duration::from_mins(1));
        limiter.sweep();
        assert_eq!(limiter.counters[Class::Send.index()].0.buckets.len(), 0);
        check_user(&limiter, Class::Send, 1).unwrap();
    }

    #[test]
    fn names_are_counted_apart() {
        let (_, limiter) = limiter(true, 100);
        for _ in 0..3 {
            limiter.check_name(Class::Login, "anna").unwrap();
        }
        limiter.check_name(Class::Login, "anna").unwrap_err();
        limiter.check_name(Class::Login, "ben").unwrap();
    }

    #[test]
    fn every_class_has_rates_that_let_something_through() {
        let limiter = Limiter::new(&crate::http::tests::fixture::limits());
        for class in Class::ALL {
            check_user(&limiter, class, 1).unwrap();
            limiter.check_address(class, "192.0.2.1".parse().unwrap()).unwrap();
        }
    }
}
