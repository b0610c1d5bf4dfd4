//! An authority that speaks just enough ACME (RFC 8555) to see a whole order through, without looking at signatures.

use std::{os::unix::fs::PermissionsExt as _, sync::Mutex as StdMutex};

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse as _,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;

const DOMAIN: &str = "school.example";

/// What stands before the point of a P-256 key in its `SubjectPublicKeyInfo`.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// The state of the only order.
struct Order {
    authority: Authority,
    /// Where the domain is really served.
    domain: SocketAddr,
    contact: StdMutex<Value>,
    validated: StdMutex<Option<bool>>,
    certificate: StdMutex<Option<String>>,
}

/// The key of a certificate request.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// Believes everybody: a challenge's certificate is signed by itself.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_tls13_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A connection by which an authority makes sure of a domain: whether the certificate shown holds a proof.
async fn holds_challenge(address: SocketAddr) -> bool {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let Ok(stream) = connector.connect(DOMAIN.try_into().unwrap(), stream).await else { return false };
    // The extension id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31.
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    shown.windows(8).any(|bytes| bytes == [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f])
}

impl Order {
    /// Signs the key of a certificate request.
    fn certify(&self, request: &[u8]) -> String {
        let at = request.windows(P256.len()).position(|bytes| bytes == P256).unwrap();
        // The point: a byte 4, which ends the pattern, and two coordinates.
        let key = Point(request[at + P256.len() - 1..][..65].to_vec());
        let params = CertificateParams::new(vec![DOMAIN.to_owned(), "localhost".to_owned()]).unwrap();
        params.signed_by(&key, &self.authority.issuer).unwrap().pem()
    }

    async fn answer(&self, host: &str, path: &str, body: &Bytes) -> (Value, Option<String>) {
        let url = |path: &str| format!("https://{host}{path}");
        let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(envelope["payload"].as_str().unwrap_or_default()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let status = |order: &Self| {
            if order.certificate.lock().unwrap().is_some() {
                "valid"
            } else if *order.validated.lock().unwrap() == Some(true) {
                "ready"
            } else {
                "pending"
            }
        };
        let order = |order: &Self| {
            json!({
                "status": status(order),
                "authorizations": [url("/authorization")],
                "finalize": url("/finalize"),
                "certificate": url("/certificate"),
            })
        };
        match path {
            "/directory" => {
                let urls = json!({
                    "newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/order"),
                });
                (urls, None)
            }
            "/account" => {
                *self.contact.lock().unwrap() = payload["contact"].clone();
                (json!({ "status": "valid" }), Some(url("/account/1")))
            }
            "/order" => (order(self), Some(url("/order/1"))),
            "/order/1" => (order(self), None),
            "/authorization" => {
                let status = match *self.validated.lock().unwrap() {
                    None => "pending",
                    Some(true) => "valid",
                    Some(false) => "invalid",
                };
                let challenge = json!({ "type": "tls-alpn-01", "url": url("/challenge"), "token": "token" });
                let identifier = json!({ "type": "dns", "value": DOMAIN });
                (json!({ "status": status, "identifier": identifier, "challenges": [challenge] }), None)
            }
            "/challenge" => {
                let holds = holds_challenge(self.domain).await;
                *self.validated.lock().unwrap() = Some(holds);
                (json!({}), None)
            }
            "/finalize" => {
                let request = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
                *self.certificate.lock().unwrap() = Some(self.certify(&request));
                (order(self), None)
            }
            other => panic!("{other}"),
        }
    }

    async fn handle(self: Arc<Self>, uri: Uri, headers: HeaderMap, body: Bytes) -> axum::response::Response {
        let nonce = [("replay-nonce", "nonce")];
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap().to_owned();
        match uri.path() {
            "/nonce" => (StatusCode::OK, nonce).into_response(),
            "/certificate" => (nonce, self.certificate.lock().unwrap().clone().unwrap()).into_response(),
            path => {
                let (answer, location) = self.answer(&host, path, &body).await;
                match location {
                    Some(location) => (nonce, [("location", location)], Json(answer)).into_response(),
                    None => (nonce, Json(answer)).into_response(),
                }
            }
        }
    }
}

fn options(authority: &Authority, directory: &Running) -> AcmeOptions {
    AcmeOptions {
        domains: vec![DOMAIN.to_owned()],
        contact: Some("it@school.example".to_owned()),
        directory: directory.url("/directory"),
        folder: authority.file("acme"),
        trusted_ca: vec![authority.file("ca.pem")],
    }
}

/// Tries once a moment until the server shows a certificate.
async fn shown(authority: &Authority, address: SocketAddr) -> CertificateDer {
    loop {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(authority.client()));
        if let Ok(stream) = connector.connect(DOMAIN.try_into().unwrap(), stream).await {
            return stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_authority_gives_a_certificate_that_outlives_a_restart() {
    // The directory has to have an address before the order knows where the domain is served, and the other way round.
    let authority = Authority::new();
    authority.certify();
    let (send_order, order) = oneshot::channel::<Arc<Order>>();
    let order = futures_util::FutureExt::shared(async move { order.await.unwrap() });
    let waiting = order.clone();
    let router = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
        let order = waiting.clone();
        async move { order.await.handle(uri, headers, body).await }
    });
    let directory = Running::start(Tls::new(authority.files().unwrap()).unwrap(), router).await;
    let options = options(&authority, &directory);

    let (acme, tls) = Acme::new(options.clone()).unwrap();
    let server = Running::start(tls, version()).await;
    let keeping = tokio::spawn(acme.keep_current());
    let made = Order {
        authority,
        domain: server.address,
        contact: StdMutex::default(),
        validated: StdMutex::default(),
        certificate: StdMutex::default(),
    };
    assert!(send_order.send(Arc::new(made)).is_ok());
    let order = order.await;
    let first = shown(&order.authority, server.address).await;
    assert_eq!(*order.validated.lock().unwrap(), Some(true));
    assert_eq!(*order.contact.lock().unwrap(), json!(["mailto:it@school.example"]));
    assert!(!holds_challenge(server.address).await, "the proof is gone when it has served");

    // The certificate is shown before it is written; two files, and nobody else may read them.
    let folder = options.folder.clone();
    let files = || -> Vec<_> { fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    while files().iter().filter(|file| file.extension().is_none()).count() < 2 {
        tokio::task::yield_now().await;
    }
    for file in files() {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    keeping.abort();
    server.stop().await;

    directory.stop().await;
    let (acme, tls) = Acme::new(options).unwrap();
    let server = Running::start(tls, version()).await;
    let keeping = tokio::spawn(acme.keep_current());
    assert_eq!(shown(&order.authority, server.address).await, first, "kept, although the authority is away");
    keeping.abort();
    server.stop().await;
}
