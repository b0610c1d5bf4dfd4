//! The authority whose certificates the servers of all tests believe.

use std::{fs, path::Path, sync::LazyLock};

use homeroom::config::Config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};

static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    // Not the name that its certificates bear by default: OpenSSL takes those for self-signed then.
    params.distinguished_name.push(DnType::CommonName, "Authority of Homeroom's tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// Writes the authority's certificate, and one for this machine with its key, into a folder: `ca.pem`, `tls.crt` and
/// `tls.key`.
pub(super) fn certify(folder: &Path) {
    certify_as(folder, &["localhost", "127.0.0.1", "::1"]);
}

/// The same for a machine with these names and addresses.
pub(super) fn certify_as(folder: &Path, names: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &*AUTHORITY).unwrap();
    fs::write(folder.join("ca.pem"), AUTHORITY.pem()).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

/// Makes a server use the files of [`certify`].
pub(super) fn use_files(folder: &Path, config: &mut Config) {
    config.listen.tls_certificate = Some(folder.join("tls.crt"));
    config.listen.tls_key = Some(folder.join("tls.key"));
    config.federation.trusted_ca = vec![folder.join("ca.pem")];
}

/// TLS of a client that believes the authority.
pub(super) fn client_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.der().clone()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// An HTTP client that believes the authority.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder().tls_backend_preconfigured(client_config()).no_proxy().build().unwrap()
}
