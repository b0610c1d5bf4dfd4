//! TLS over loopback, with an authority that each test makes.

use std::{fs, net::SocketAddr, path::PathBuf};

use axum::{Router, extract::Request, routing::get};
use futures_util::FutureExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    clock::Clock,
    http::serve::{Listener, ServeOptions, serve},
};

mod directory;

/// An authority, and a folder for what it certifies.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for `localhost` and its key; the certificate.
    fn certify(&self) -> CertificateDer {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file("tls.crt"), certificate.pem()).unwrap();
        fs::write(self.file("tls.key"), key.serialize_pem()).unwrap();
        certificate.der().to_vec()
    }

    fn files(&self) -> Result<Arc<CertificateFiles>, CertificateError> {
        CertificateFiles::load(&self.file("tls.crt"), &self.file("tls.key"))
    }

    /// A client that believes this authority only.
    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider());
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
    }

    /// The certificate that a server shows.
    async fn shown(&self, address: SocketAddr) -> CertificateDer {
        self.shown_on(TcpStream::connect(address).await.unwrap()).await
    }

    async fn shown_on(&self, stream: TcpStream) -> CertificateDer {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(self.client()));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

type CertificateDer = Vec<u8>;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(tls: Tls, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let listener = Listener::tls(listener, Arc::new(tls));
        let task = tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
        Self { address, shutdown, task }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn version() -> Router {
    Router::new().route("/", get(|request: Request| async move { format!("{:?}", request.version()) }))
}

#[tokio::test]
async fn clients_choose_between_both_protocols() {
    let authority = Authority::new();
    authority.certify();
    let server = Running::start(Tls::new(authority.files().unwrap()).unwrap(), version()).await;
    for (alpn, spoken) in [(&[HTTP1][..], "HTTP/1.1"), (&[HTTP2, HTTP1], "HTTP/2.0"), (&[], "HTTP/1.1")] {
        let mut config = authority.client();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let mut client = reqwest::Client::builder().tls_backend_preconfigured(config);
        if alpn.is_empty() {
            client = client.http1_only();
        }
        let answer = client.build().unwrap().get(server.url("/")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), spoken);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let first = authority.certify();
    let files = authority.files().unwrap();
    let server = Running::start(Tls::new(files.clone()).unwrap(), version()).await;
    assert_eq!(authority.shown(server.address).await, first);
    assert!(!files.reload().unwrap());

    let second = authority.certify();
    assert!(files.reload().unwrap());
    assert_eq!(authority.shown(server.address).await, second);

    // A key of another certificate, half a file, no file.
    fs::write(authority.file("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(files.reload(), Err(CertificateError::Unusable(_))));
    assert!(!files.reload().unwrap(), "the same broken files are reported once");
    fs::write(authority.file("tls.crt"), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    assert!(matches!(files.reload(), Err(CertificateError::Empty { .. })));
    fs::remove_file(authority.file("tls.crt")).unwrap();
    assert!(matches!(files.reload(), Err(CertificateError::File { .. })));
    assert_eq!(authority.shown(server.address).await, second);

    let third = authority.certify();
    assert!(files.reload().unwrap());
    assert_eq!(authority.shown(server.address).await, third);
    server.stop().await;
}

#[tokio::test]
async fn the_files_are_looked_at_every_minute() {
    let authority = Authority::new();
    authority.certify();
    let files = authority.files().unwrap();
    let clock = Clock::test(0);
    let keeping = tokio::spawn(files.clone().keep_current(clock.clone()));
    clock.until_sleeping(1).await;
    let before = files.seen();
    authority.certify();
    clock.advance(Duration::from_mins(1));
    // It sleeps again once it has read them.
    while files.seen() == before {
        tokio::task::yield_now().await;
    }
    keeping.abort();
}

#[tokio::test]
async fn strangers_to_tls_and_stalling_clients_are_dropped() {
    let authority = Authority::new();
    authority.certify();
    let tls = Tls::new(authority.files().unwrap()).unwrap();
    let tls = Tls { handshake_timeout: Duration::from_millis(50), ..tls };
    let server = Running::start(tls, version()).await;
    // Nothing; the beginning of a handshake; HTTP in clear.
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"));
    }
    server.stop().await;
}

#[tokio::test]
async fn who_begins_many_handshakes_leaves_places_to_other_addresses() {
    let authority = Authority::new();
    let certificate = authority.certify();
    let tls = Tls::new(authority.files().unwrap()).unwrap();
    let tls = Tls { addresses: Places::new(2), waiting: Places::new(3), ..tls };
    let server = Running::start(tls, version()).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    // One more of the same address is cut, long before its handshake's time is over.
    let mut fourth = TcpStream::connect(server.address).await.unwrap();
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, fourth.read_to_end(&mut rest)).await;
    assert!(cut.is_ok() && rest.is_empty(), "{cut:?} {rest:?}");
    let other = connect_from("127.0.0.2", server.address).await;
    let shown = tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, authority.shown_on(other)).await;
    assert_eq!(shown.expect("another address has to wait"), certificate);
    // Those who have given up make room.
    drop(silent);
    assert_eq!(authority.shown(server.address).await, certificate);
    server.stop().await;
}

/// A connection from another address of this machine.
async fn connect_from(address: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

#[tokio::test]
async fn a_few_addresses_that_have_all_places_lose_some_to_others() {
    let authority = Authority::new();
    let certificate = authority.certify();
    let tls = Tls::new(authority.files().unwrap()).unwrap();
    let tls = Tls { addresses: Places::new(2), handshakes: Handshakes::new(4), ..tls };
    let server = Running::start(tls, version()).await;
    let mut silent = Vec::new();
    for address in ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"] {
        silent.push(connect_from(address, server.address).await);
    }
    // Each that comes takes one place, and gives it back.
    for _ in 0..3 {
        let shown = authority.shown(server.address);
        let shown = tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, shown).await;
        assert_eq!(shown.expect("a third address has to wait"), certificate);
    }
    let cut = silent.iter_mut().map(|stream| Box::pin(async move { stream.read_u8().await.is_err() }));
    let cut = futures_util::future::select_all(cut);
    let (cut, _, others) = tokio::time::timeout(HANDSHAKE_TIMEOUT / 2, cut).await.expect("nobody has lost a place");
    assert!(cut);
    assert!(others.into_iter().all(|other| other.now_or_never().is_none()), "more than one has lost a place");
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_does_not_hold_the_shutdown_up() {
    let authority = Authority::new();
    authority.certify();
    let server = Running::start(Tls::new(authority.files().unwrap()).unwrap(), version()).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    // The listener has taken the silent one when it has answered another.
    authority.shown(server.address).await;
    server.stop().await;
}

#[test]
fn a_certificate_needs_files_that_go_together() {
    let authority = Authority::new();
    assert!(matches!(authority.files(), Err(CertificateError::File { .. })));
    authority.certify();
    fs::write(authority.file("tls.key"), "no key").unwrap();
    let error = authority.files().unwrap_err().to_string();
    assert!(error.contains("private key") && error.contains("tls.key"), "{error}");
}
