//! Certificates from an authority that speaks ACME (RFC 8555), which makes sure of our domains by connecting to them
//! (TLS-ALPN-01, RFC 8737). `rustls-acme` does the talking; here are its folder, its log and its hand-over.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt as _, future::BoxFuture};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_acme::{AccountCache, AcmeConfig, AcmeState, CertCache, EventOk};
use sha2::{Digest as _, Sha256};

use super::{CertificateError, Tls, provider};

/// What to ask for, and whom.
#[derive(Debug, Clone)]
pub struct AcmeOptions {
    /// The domains of the certificate.
    pub domains: Vec<String>,
    /// The e-mail address for the authority.
    pub contact: Option<String>,
    /// The address of the authority's directory.
    pub directory: String,
    /// Where account and certificates are kept. It is made if it is missing.
    pub folder: PathBuf,
    /// Authorities believed besides the system's when talking to the directory, as PEM files.
    pub trusted_ca: Vec<PathBuf>,
}

/// The conversation with the authority. It goes on while [`Acme::keep_current`] runs.
pub struct Acme {
    state: AcmeState<io::Error>,
}

impl Acme {
    /// Prepares the conversation, and the listener that takes part in it. Waits for the disk.
    ///
    /// # Errors
    /// A file of `trusted_ca` is unusable, or the system gives no certificates at all.
    pub fn new(options: AcmeOptions) -> Result<(Self, Tls), CertificateError> {
        let client = Arc::new(client_config(&options.trusted_ca)?);
        let state = AcmeConfig::new_with_client_config(&options.domains, client)
            .contact(options.contact.iter().map(|address| format!("mailto:{address}")))
            .directory(&options.directory)
            .cache(Folder(options.folder))
            .state();
        let challenge = state.challenge_rustls_config_with_provider(provider());
        let tls = Tls::new(state.resolver())?.answering(challenge);
        Ok((Self { state }, tls))
    }

    /// Gets the certificate, and a new one when two thirds of its time are over, for ever. After a failure it is tried
    /// again, from a second on to most of a day.
    pub async fn keep_current(mut self) {
        while let Some(event) = self.state.next().await {
            match event {
                Ok(EventOk::DeployedNewCert) => tracing::info!("the authority gave a new certificate"),
                Ok(EventOk::DeployedCachedCert) => tracing::info!("took the authority's certificate of before"),
                Ok(EventOk::CertCacheStore | EventOk::AccountCacheStore) => {}
                Err(error) => tracing::error!(%error, "no certificate from the authority; it is tried again"),
            }
        }
    }
}

/// How the directory is talked to. It is the administrator's choice, so its address is not filtered.
fn client_config(trusted_ca: &[PathBuf]) -> Result<ClientConfig, CertificateError> {
    let mut extra = Vec::new();
    for path in trusted_ca {
        let bytes = fs::read(path).map_err(|error| CertificateError::File { path: path.clone(), error })?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        extra.extend(found.map_err(|_| CertificateError::Empty { what: "certificate", path: path.clone() })?);
    }
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider())?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Where account and certificates are kept: a file for each, which only we may read.
struct Folder(PathBuf);

impl Folder {
    /// The file of a kind, for these names and this directory.
    fn file(&self, kind: &str, names: &[String], directory: &str) -> PathBuf {
        let mut hash = Sha256::new();
        for text in names.iter().map(String::as_str).chain([directory]) {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        self.0.join(format!("{kind}-{}", URL_SAFE_NO_PAD.encode(hash.finalize())))
    }

    fn load<'a>(file: PathBuf) -> BoxFuture<'a, io::Result<Option<Vec<u8>>>> {
        Box::pin(blocking(move || match fs::read(file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }))
    }

    fn store<'a>(&self, file: PathBuf, bytes: &[u8]) -> BoxFuture<'a, io::Result<()>> {
        let (folder, bytes) = (self.0.clone(), bytes.to_vec());
        Box::pin(blocking(move || write(&folder, &file, &bytes)))
    }
}

/// One of the two traits by which `rustls-acme` keeps things: they differ in their names only.
macro_rules! keeps {
    ($trait:ident, $error:ident, $load:ident, $store:ident, $kind:literal) => {
        impl $trait for Folder {
            type $error = io::Error;

            fn $load<'a, 'b, 'c, 'd>(
                &'a self,
                names: &'b [String],
                directory: &'c str,
            ) -> BoxFuture<'d, io::Result<Option<Vec<u8>>>>
            where
                'a: 'd,
                'b: 'd,
                'c: 'd,
                Self: 'd,
            {
                Self::load(self.file($kind, names, directory))
            }

            fn $store<'a, 'b, 'c, 'd, 'e>(
                &'a self,
                names: &'b [String],
                directory: &'c str,
                kept: &'d [u8],
            ) -> BoxFuture<'e, io::Result<()>>
            where
                'a: 'e,
                'b: 'e,
                'c: 'e,
                'd: 'e,
                Self: 'e,
            {
                self.store(self.file($kind, names, directory), kept)
            }
        }
    };
}

keeps!(CertCache, EC, load_cert, store_cert, "certificate");
keeps!(AccountCache, EA, load_account, store_account, "account");

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Writes a file beside its place first, so that a crash leaves the old one or the new one.
fn write(folder: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = file.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    fs::File::open(folder)?.sync_all()
}
