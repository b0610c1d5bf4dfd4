//! Names to addresses. Short time-outs, as a request waits for them, and "there is none" is remembered too.

mod cache;
mod system;

use std::{net::IpAddr, time::Duration};

use futures_util::future::BoxFuture;

pub(super) use self::{cache::Names, system::SystemDns};

/// Who answers questions about names: the system's name servers, or a test.
pub(super) trait Dns: Send + Sync + 'static {
    /// The addresses of a host.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>>;

    /// The SRV records of a name such as `_matrix-fed._tcp.school.example`.
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Service>, DnsError>>;
}

/// Records, and how long they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer<T> {
    /// The records.
    pub(super) records: Vec<T>,
    /// Their time to live.
    pub(super) ttl: Duration,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Lower ones are tried first.
    pub(super) priority: u16,
    /// How often it is chosen among those of its priority.
    pub(super) weight: u16,
    /// The port.
    pub(super) port: u16,
    /// The host, without a dot at its end.
    pub(super) target: String,
}

/// Why a name has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name servers know no such name, or no such record of it.
    #[error("there is no such name")]
    NotFound,
    /// They did not answer in time.
    #[error("the name servers did not answer")]
    Timeout,
    /// They failed.
    #[error("the look-up failed: {0}")]
    Failed(String),
}
