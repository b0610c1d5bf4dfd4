//! Connections to other servers: three HTTP clients that differ in how they find the address of a URL's host.
//!
//! | client | port of a URL without one | redirects |
//! |---|---|---|
//! | `matrix` | by SRV record, else 8448; the certificate is still the host's | not followed |
//! | `direct` | 443 | not followed |
//! | `web` | 443 | up to five, each checked |
//!
//! None uses a proxy from the environment: the filter of addresses must see where a connection goes.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

use super::{
    discovery::{Target, targets},
    dns::Names,
    egress::Egress,
    error::{RemoteError, Unreachable},
};
use crate::ids::Ids;

/// How long a connection may take, with name look-up and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept, and how many for each server: most are asked again at once or not for long.
const IDLE: Duration = Duration::from_mins(1);
const IDLE_MAX: usize = 2;
/// What a server may send of one answer before that is read, and of all answers of a connection, in bytes: an answer that
/// goes to the disk as it comes waits there, not in memory. Enough for 10 MB/s over half a continent.
const ANSWER_AHEAD: u32 = 512 << 10;
const CONNECTION_AHEAD: u32 = 2 << 20;
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// How this server calls itself. No version: it would tell attackers more than it helps others.
const USER_AGENT: &str = "Homeroom";

/// The ports of URLs and names that say none. Tests, which cannot listen there, set others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// Of web addresses; 0 for what the URL's scheme says.
    pub(super) web: u16,
    /// Of server names.
    pub(super) matrix: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { web: 0, matrix: 8448 }
    }
}

/// The clients.
pub(super) struct Connections {
    pub(super) matrix: reqwest::Client,
    pub(super) direct: reqwest::Client,
    pub(super) web: reqwest::Client,
}

impl Connections {
    /// # Errors
    /// The library refused.
    pub(super) fn new(
        tls: &rustls::ClientConfig,
        names: &Arc<Names>,
        egress: Egress,
        ids: &Ids,
        ports: Ports,
    ) -> Result<Self, reqwest::Error> {
        let plain = Arc::new(Plain { names: names.clone(), egress, port: ports.web });
        let matrix = Arc::new(Matrix { names: names.clone(), egress, ids: ids.clone(), port: ports.matrix });
        let none = redirect::Policy::none;
        Ok(Self {
            matrix: base(tls).dns_resolver(matrix).redirect(none()).https_only(true).build()?,
            direct: base(tls).dns_resolver(plain.clone()).redirect(none()).https_only(true).build()?,
            web: base(tls).dns_resolver(plain).redirect(checked(egress)).build()?,
        })
    }
}

fn base(tls: &rustls::ClientConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .no_proxy()
        .referer(false)
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .http2_initial_stream_window_size(ANSWER_AHEAD)
        .http2_initial_connection_window_size(CONNECTION_AHEAD)
}

/// Follows a redirect unless it leads to an address that may not be reached, or from HTTPS to HTTP.
fn checked(egress: Egress) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if was_secure && attempt.url().scheme() != "https" {
            attempt.error("a redirect from HTTPS to HTTP")
        } else if !attempt.url().host_str().is_some_and(|host| egress.allows_host(host)) {
            attempt.error("a redirect to an address that may not be reached")
        } else {
            attempt.follow()
        }
    })
}

/// A host's own addresses.
struct Plain {
    names: Arc<Names>,
    egress: Egress,
    port: u16,
}

impl Resolve for Plain {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, egress, port) = (self.names.clone(), self.egress, self.port);
        Box::pin(async move {
            let target = Target { host: name.as_str().to_owned(), port };
            reachable(&names, egress, &[target]).await
        })
    }
}

/// The addresses of the hosts that serve a server name's host.
struct Matrix {
    names: Arc<Names>,
    egress: Egress,
    ids: Ids,
    port: u16,
}

impl Resolve for Matrix {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, egress, ids, port) = (self.names.clone(), self.egress, self.ids.clone(), self.port);
        Box::pin(async move {
            let targets = targets(&names, name.as_str(), port, &ids).await;
            reachable(&names, egress, &targets).await
        })
    }
}

/// The addresses of the targets that may be reached, in their order. The connection uses exactly these.
async fn reachable(names: &Names, egress: Egress, targets: &[Target]) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let mut problem = None;
    for target in targets {
        match names.addresses(&target.host).await {
            Ok(addresses) => {
                let allowed = addresses.iter().filter(|address| egress.allows(**address));
                found.extend(allowed.map(|address| SocketAddr::new(*address, target.port)));
            }
            Err(error) => problem = Some(error),
        }
    }
    match problem {
        _ if !found.is_empty() => Ok(Box::new(found.into_iter())),
        Some(error) => Err(error.into()),
        None => Err("none of its addresses may be reached".into()),
    }
}

/// What a failure of the HTTP client means. The text says the causes, without the URL.
pub(super) fn failure(error: reqwest::Error) -> RemoteError {
    let mut kind = match &error {
        error if error.is_timeout() => Unreachable::Timeout,
        error if error.is_connect() => Unreachable::Connect,
        _ => Unreachable::Broken,
    };
    let is_builder = error.is_builder();
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        if is_tls(error) {
            kind = Unreachable::Tls;
        } else if error.is::<super::dns::DnsError>() || text.ends_with("may be reached") {
            kind = Unreachable::Dns;
        }
        cause = error.source();
    }
    if is_builder { RemoteError::Request(text) } else { RemoteError::unreachable(kind, text) }
}

/// An error of TLS, also where the layers between have wrapped it into errors of input and output: those do not name
/// what is inside as their source.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = || error.downcast_ref::<std::io::Error>()?.get_ref();
    error.is::<rustls::Error>() || inner().is_some_and(|inner| is_tls(inner))
}
