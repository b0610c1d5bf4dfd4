//! TLS on a listener: who is spoken to with which certificate.
//!
//! Only TLS 1.2 and 1.3 with rustls's own choice of ciphers. Certificates come from files ([`CertificateFiles`]) or from
//! an authority that speaks ACME ([`Acme`]); either may change while the server runs.

mod acme;
mod certificate;
mod handshakes;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{Acceptor, ResolvesServerCert},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use self::handshakes::Handshakes;
use crate::{http::address::Source, places::Places};

pub use self::{
    acme::{Acme, AcmeOptions},
    certificate::{CertificateError, CertificateFiles},
};

/// How long a client may take from the connection to the end of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes at one time, of some ten kilobytes each; more wait, within the time above. A whole school whose devices
/// come back at once is a few seconds of signing. When all are taken, addresses that have few take from those with most.
const HANDSHAKES_MAX: usize = 1024;
/// Of these, with one address: a whole school may have the same, but one that begins and does not go on must leave room
/// for others.
const HANDSHAKES_OF_ONE_MAX: usize = 256;
/// Connections of one address that are in their handshake or wait for it; more are cut. They take from the connections
/// that the listener has for all.
const WAITING_OF_ONE_MAX: usize = 2048;

/// The protocols offered, the better one first.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a listener needs to speak TLS.
pub struct Tls {
    ordinary: Arc<ServerConfig>,
    /// For the connections by which an authority makes sure that a domain is ours.
    challenge: Option<Arc<ServerConfig>>,
    handshakes: Arc<Handshakes>,
    addresses: Places<Source>,
    waiting: Places<Source>,
    handshake_timeout: Duration,
}

/// A connection after its handshake.
pub(super) struct Accepted {
    pub(super) stream: TlsStream<TcpStream>,
    /// What the client chose to speak.
    pub(super) http2: bool,
}

impl Tls {
    /// TLS with the certificates of `certificates`.
    ///
    /// # Errors
    /// The provider of cryptography supports no version of TLS, or the system gives no random numbers.
    pub fn new(certificates: Arc<dyn ResolvesServerCert>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Clients that come back prove who they are without a signature of ours, and without a session kept here.
        config.ticketer = ring::Ticketer::new()?;
        Ok(Self {
            ordinary: Arc::new(config),
            challenge: None,
            handshakes: Handshakes::new(HANDSHAKES_MAX),
            addresses: Places::new(HANDSHAKES_OF_ONE_MAX),
            waiting: Places::new(WAITING_OF_ONE_MAX),
            handshake_timeout: HANDSHAKE_TIMEOUT,
        })
    }

    /// Answers an authority's challenges too (RFC 8737).
    #[must_use]
    fn answering(self, challenge: Arc<ServerConfig>) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// Goes through the handshake; `None` if that was all the client came for.
    ///
    /// # Errors
    /// The client broke off, took too long, or agrees on nothing with us; too many of its address are waiting, or have a
    /// place that another address needs.
    pub(super) async fn accept(&self, stream: TcpStream, peer: IpAddr) -> io::Result<Option<Accepted>> {
        let source = Source::of(peer);
        let Some(_waiting) = self.waiting.try_enter(source) else {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many handshakes with one address"));
        };
        let handshake = async {
            let _place = self.addresses.enter(source).await;
            let mut place = self.handshakes.enter(source).await;
            tokio::select! {
                () = place.lost() => Err(io::Error::new(io::ErrorKind::QuotaExceeded, "another address needs the place")),
                done = self.shake_hands(stream) => done,
            }
        };
        tokio::time::timeout(self.handshake_timeout, handshake).await?
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Option<Accepted>> {
        let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        if let Some(challenge) = &self.challenge
            && rustls_acme::is_tls_alpn_challenge(&started.client_hello())
        {
            let mut stream = started.into_stream(challenge.clone()).await?;
            stream.shutdown().await?;
            return Ok(None);
        }
        let stream = started.into_stream(self.ordinary.clone()).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(Some(Accepted { stream, http2 }))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
