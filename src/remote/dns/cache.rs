//! Answers of name servers, kept for a while.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use quick_cache::sync::Cache;

use super::{Answer, Dns, DnsError, Service};
use crate::clock::Clock;

/// Names kept, of each kind.
const NAMES: usize = 2_000;
/// The shortest and the longest time that records are kept.
const KEPT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));
/// How long it is remembered that there are none, or that nobody answered: for addresses, and for services, which most
/// servers do not have.
const NONE_KEPT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));
/// Records of one name that are used.
const RECORDS_MAX: usize = 16;

/// The names of the world, one look-up at a time for each.
pub(in crate::remote) struct Names {
    dns: Arc<dyn Dns>,
    clock: Clock,
    addresses: Cache<String, Kept<IpAddr>>,
    services: Cache<String, Kept<Service>>,
}

/// What was found, until when on the clock's monotonic time.
struct Kept<T> {
    found: Result<Arc<[T]>, DnsError>,
    until: Duration,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { found: self.found.clone(), until: self.until }
    }
}

impl Names {
    /// Asks `dns` for what it does not know.
    pub(in crate::remote) fn new(dns: Arc<dyn Dns>, clock: Clock) -> Self {
        Self { dns, clock, addresses: Cache::new(NAMES), services: Cache::new(NAMES) }
    }

    /// The addresses of a host; never an empty list.
    ///
    /// # Errors
    /// There are none, or nobody knows.
    pub(in crate::remote) async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, DnsError> {
        self.kept(&self.addresses, NONE_KEPT.0, host, self.dns.addresses(host)).await
    }

    /// The SRV records of a name; a failed look-up counts as "none".
    pub(in crate::remote) async fn services(&self, name: &str) -> Arc<[Service]> {
        self.kept(&self.services, NONE_KEPT.1, name, self.dns.services(name)).await.unwrap_or_default()
    }

    /// Drops the addresses of a host that could not be reached there: it may have moved.
    pub(in crate::remote) fn forget(&self, host: &str) {
        self.addresses.remove(host);
    }

    async fn kept<T>(
        &self,
        cache: &Cache<String, Kept<T>>,
        none_kept: Duration,
        name: &str,
        look_up: impl Future<Output = Result<Answer<T>, DnsError>>,
    ) -> Result<Arc<[T]>, DnsError> {
        let now = self.clock.elapsed();
        cache.remove_if(name, |kept| kept.until <= now);
        let kept = cache.get_or_insert_async(name, async { Ok(self.keep(none_kept, look_up.await)) });
        let kept: Result<Kept<T>, std::convert::Infallible> = kept.await;
        let Ok(kept) = kept;
        kept.found
    }

    fn keep<T>(&self, none_kept: Duration, answer: Result<Answer<T>, DnsError>) -> Kept<T> {
        let now = self.clock.elapsed();
        match answer {
            Ok(mut answer) if !answer.records.is_empty() => {
                answer.records.truncate(RECORDS_MAX);
                Kept { found: Ok(answer.records.into()), until: now + answer.ttl.clamp(KEPT.0, KEPT.1) }
            }
            Ok(_) => Kept { found: Err(DnsError::NotFound), until: now + none_kept },
            Err(error) => Kept { found: Err(error), until: now + none_kept },
        }
    }
}
