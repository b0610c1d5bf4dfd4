//! The sockets of a server, and what is served on each.
//!
//! | listener | serves |
//! |---|---|
//! | client | what clients call, in clear |
//! | federation | what other servers call, and where everything is; with TLS if there is a certificate |
//! | both on one address | all of it; with TLS if there is a certificate |
//! | metrics | `/metrics` and `/health` |

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{DRAIN, StartError};
use crate::{
    config::{Config, Listen},
    http::{
        Acme, AcmeOptions, CertificateError, CertificateFiles, Entry, Listener, ServeOptions, Tls, TrustedProxies,
        operations, services::Services,
    },
    routes,
};

/// Where a running server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// For clients.
    pub client: SocketAddr,
    /// For other servers, if configured; the same as `client` if one listener serves both.
    pub federation: Option<SocketAddr>,
    /// For `/metrics` and `/health`, if configured.
    pub metrics: Option<SocketAddr>,
}

/// Sockets that listen already.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub client: TcpListener,
    /// For other servers. Without it, and with one address for both in the configuration, `client` serves them.
    pub federation: Option<TcpListener>,
    /// For `/metrics` and `/health`.
    pub metrics: Option<TcpListener>,
}

impl Listeners {
    /// Opens every socket that the configuration names.
    ///
    /// # Errors
    /// An address cannot be had.
    pub async fn bind(listen: &Listen) -> Result<Self, StartError> {
        let federation = listen.federation.filter(|_| !listen.is_one_port());
        Ok(Self {
            client: bind("client", listen.client).await?,
            federation: bind_one("federation", federation).await?,
            metrics: bind_one("metrics", listen.metrics).await?,
        })
    }

    /// Where they listen.
    pub(super) fn addresses(&self, listen: &Listen) -> Result<Addresses, StartError> {
        let client = local(&self.client)?;
        let federation = self.federation.as_ref().map(local).transpose()?;
        Ok(Addresses {
            client,
            federation: federation.or(listen.is_one_port().then_some(client)),
            metrics: self.metrics.as_ref().map(local).transpose()?,
        })
    }

    /// Serves on each of them what belongs there, until the server stops.
    pub(super) fn serve(self, services: &Arc<Services>, tls: Option<&Arc<Tls>>, tasks: &TaskTracker) {
        let listen = &services.config.listen;
        let options = ServeOptions { drain: DRAIN, ..ServeOptions::default() };
        let entry = Entry {
            metrics: services.metrics.clone(),
            proxies: Arc::new(TrustedProxies::new(listen.trusted_proxies.clone())),
        };
        let start = |listener: Listener, router| {
            tasks.spawn(crate::http::serve(listener, router, options, services.stopping.clone()));
        };
        let guarded = |table: routes::Table| entry.clone().guard(table.router()).with_state(services.clone());
        let secure = |socket| match tls {
            Some(tls) => Listener::tls(socket, tls.clone()),
            None => Listener::from(socket),
        };
        // A reverse proxy for clients may well be where other servers come in too.
        let client =
            if listen.is_one_port() && self.federation.is_none() { secure(self.client) } else { self.client.into() };
        start(client, guarded(routes::all()));
        if let Some(federation) = self.federation {
            start(secure(federation), guarded(routes::federation()));
        }
        if let Some(metrics) = self.metrics {
            start(metrics.into(), operations(services.metrics.clone(), services.health.clone()));
        }
    }
}

/// How a listener speaks TLS, if it does, and what keeps its certificate current.
#[derive(Default)]
pub(super) struct Security {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) files: Option<Arc<CertificateFiles>>,
    pub(super) acme: Option<Acme>,
}

impl Security {
    /// Reads what the configuration names; `acme` is the folder of an authority's certificates.
    pub(super) async fn open(config: &Config, acme: PathBuf) -> Result<Self, StartError> {
        let (listen, trusted_ca) = (config.listen.clone(), config.federation.trusted_ca.clone());
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&listen, trusted_ca, acme)).await;
        let failed = |error| StartError::System { what: "TLS", error: std::io::Error::other(error) };
        Ok(opened.map_err(failed)??)
    }

    fn open_blocking(listen: &Listen, trusted_ca: Vec<PathBuf>, acme: PathBuf) -> Result<Self, CertificateError> {
        if let (Some(chain), Some(key)) = (&listen.tls_certificate, &listen.tls_key) {
            let files = CertificateFiles::load(chain, key)?;
            let tls = Tls::new(files.clone())?;
            return Ok(Self { tls: Some(Arc::new(tls)), files: Some(files), acme: None });
        }
        if listen.acme_domains.is_empty() {
            return Ok(Self::default());
        }
        let (acme, tls) = Acme::new(AcmeOptions {
            domains: listen.acme_domains.iter().map(ToString::to_string).collect(),
            contact: listen.acme_contact.as_ref().map(|contact| contact.as_str().to_owned()),
            directory: listen.acme_directory.as_str().to_owned(),
            folder: acme,
            trusted_ca,
        })?;
        Ok(Self { tls: Some(Arc::new(tls)), files: None, acme: Some(acme) })
    }
}

async fn bind_one(option: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    match address {
        Some(address) => bind(option, address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(option: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { option, address, error })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::System { what: "a listener", error })
}
