//! The system's name servers and hosts file.

use std::{
    future::Future,
    net::IpAddr,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};

use super::{Answer, Dns, DnsError, Service};

/// How long one name server is waited for.
const TRY: Duration = Duration::from_secs(1);
/// Tries after the first.
const RETRIES: usize = 1;
/// How long a look-up takes at most. Some networks (Docker's, guest Wi-Fi) never answer questions for SRV records.
const WHOLE: Duration = Duration::from_secs(2);

/// Asks the name servers of `/etc/resolv.conf`, after `/etc/hosts`.
pub(in crate::remote) struct SystemDns(TokioResolver);

impl SystemDns {
    /// Reads the system's settings. Where there are none, only the hosts file is asked.
    ///
    /// # Errors
    /// The resolver cannot be built.
    pub(in crate::remote) fn new() -> Result<Self, DnsError> {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "the system names no name servers; other servers are found by the hosts file only");
            let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(nobody, TokioRuntimeProvider::default())
        });
        let mut builder = builder;
        tighten(builder.options_mut());
        builder.build().map(Self).map_err(|error| DnsError::Failed(error.to_string()))
    }
}

fn tighten(options: &mut ResolverOpts) {
    options.timeout = TRY;
    options.attempts = RETRIES;
    // Answers are kept in `cache`, which can forget.
    options.cache_size = 0;
}

/// The name as it stands, without the search list of this machine's network.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

async fn within<T>(look_up: impl Future<Output = Result<T, NetError>>) -> Result<T, DnsError> {
    match tokio::time::timeout(WHOLE, look_up).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => Err(DnsError::NotFound),
        Ok(Err(NetError::Timeout)) | Err(_) => Err(DnsError::Timeout),
        Ok(Err(error)) => Err(DnsError::Failed(error.to_string())),
    }
}

fn ttl(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

impl Dns for SystemDns {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        Box::pin(async move {
            let found = within(self.0.lookup_ip(absolute(host))).await?;
            Ok(Answer { records: found.iter().collect(), ttl: ttl(found.valid_until()) })
        })
    }

    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Service>, DnsError>> {
        Box::pin(async move {
            let found = within(self.0.lookup(absolute(name), RecordType::SRV)).await?;
            let services = found.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(service) => Some(Service {
                    priority: service.priority,
                    weight: service.weight,
                    port: service.port,
                    target: service.target.to_utf8().trim_end_matches('.').to_owned(),
                }),
                _ => None,
            });
            Ok(Answer { records: services.collect(), ttl: ttl(found.valid_until()) })
        })
    }
}
