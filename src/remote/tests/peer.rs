//! A server with a certificate, and a client in a world of its own.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, serve::Listener};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ruma::{OwnedServerName, ServerName, owned_server_name};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    clock::Clock,
    config::{Config, ServerPattern},
    event::SigningKey,
    ids::Ids,
    remote::{
        client::{Client, ClientParts, World},
        connect::Ports,
        dns::{Answer, Dns, DnsError, Service},
        egress::Egress,
        tls::provider,
    },
    store::{Durability, Store, StoreOptions},
};

/// Where the servers of tests listen, and the only private address that may be reached.
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ways to write an address of this machine that may not be reached, as names of servers.
pub(super) const INSIDE_NAMES: [&str; 6] =
    ["127.0.0.2", "2130706434", "0x7f000002", "127.2", "0177.0.0.2", "127.0.0.2."];

/// An authority, and its certificate as a file.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// Starts a server with a certificate for these names; it ends with the test's runtime.
    pub(super) async fn serve(&self, names: &[&str], router: Router) -> u16 {
        self.serve_at(HERE, names, router).await
    }

    pub(super) async fn serve_at(&self, address: IpAddr, names: &[&str], router: Router) -> u16 {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = Secure { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(listener, router).await });
        port
    }
}

struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not believe the certificate goes away here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Names as a test says. What it does not name, does not exist.
#[derive(Default)]
pub(super) struct FakeDns {
    pub(super) addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub(super) services: Mutex<HashMap<String, Vec<Service>>>,
    /// How often each name was asked for.
    pub(super) asked: Mutex<HashMap<String, usize>>,
}

impl FakeDns {
    /// A world in which each of these names is here.
    pub(super) fn here(names: &[&str]) -> Arc<Self> {
        let dns = Self::default();
        dns.addresses.lock().extend(names.iter().map(|name| ((*name).to_owned(), vec![HERE])));
        Arc::new(dns)
    }

    pub(super) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.addresses.lock().insert(name.to_owned(), addresses);
    }

    pub(super) fn asked(&self, name: &str) -> usize {
        self.asked.lock().get(name).copied().unwrap_or(0)
    }

    fn find<T: Clone>(&self, records: &Mutex<HashMap<String, Vec<T>>>, name: &str) -> Result<Answer<T>, DnsError> {
        *self.asked.lock().entry(name.to_owned()).or_default() += 1;
        let records = records.lock().get(name).cloned().ok_or(DnsError::NotFound)?;
        Ok(Answer { records, ttl: Duration::from_mins(1) })
    }
}

impl Dns for FakeDns {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        Box::pin(async move { self.find(&self.addresses, host) })
    }

    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Service>, DnsError>> {
        Box::pin(async move { self.find(&self.services, name) })
    }
}

/// The server whose requests are tested: `a.example`.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) dns: Arc<FakeDns>,
    pub(super) store: Store,
    pub(super) folder: TempDir,
}

/// Its key.
pub(super) fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[7; 32], "1", owned_server_name!("a.example")).unwrap())
}

impl Asker {
    /// It finds names by `dns`, and everything that says no port at `port`.
    pub(super) fn new(authority: &Authority, dns: Arc<FakeDns>, port: u16) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), authority, dns, port)
    }

    pub(super) fn in_folder(folder: TempDir, authority: &Authority, dns: Arc<FakeDns>, port: u16) -> Self {
        // 2026-01-01.
        let clock = Clock::test(1_767_225_600_000);
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let store = Store::open(&folder.path().join("db"), &options).unwrap();
        let parts = ClientParts {
            store: store.clone(),
            clock: clock.clone(),
            ids: Ids::seeded(1),
            key: key(),
            config: Arc::new(config(&authority.folder.path().join("ca.pem"))),
        };
        let mut egress = Egress::new(&parts.config.federation);
        egress.exempt = Some(HERE);
        let world = World { dns: dns.clone(), ports: Ports { web: port, matrix: port }, egress };
        let client = Client::within_blocking(parts, world).unwrap();
        Self { client, clock, dns, store, folder }
    }

    /// `b.example` has a number, as if it were in a room.
    pub(super) async fn meet(&self, server: &ServerName) {
        let mut batch = crate::store::Batch::new();
        self.store.mint_server(server, &mut batch).await.unwrap();
        self.store.commit(batch).await.unwrap();
    }
}

fn config(authority: &Path) -> Config {
    let mut config = Config::defaults(owned_server_name!("a.example"));
    config.federation.allow = ["a.example", "b.example", "*.b.example", "127.0.0.1"].map(pattern).to_vec();
    config.federation.allow.extend(INSIDE_NAMES.map(pattern));
    config.federation.trusted_ca = vec![authority.to_owned()];
    config
}

fn pattern(text: &str) -> ServerPattern {
    ServerPattern::parse(text).unwrap()
}

pub(super) fn b() -> OwnedServerName {
    owned_server_name!("b.example")
}
