//! A certificate in files, read again when it changes.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::provider;
use crate::clock::Clock;

/// How often the files are looked at.
const LOOKED_AT: Duration = Duration::from_mins(1);

/// A chain of certificates, or a key: a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file holds nothing of what it should.
    #[error("there is no {what} in {path}")]
    Empty {
        /// A certificate, or a private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The two do not go together, or one is of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate of two PEM files.
pub struct CertificateFiles {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// The hash of both files when they were last looked at, so that a broken pair is reported once.
    seen: Mutex<[u8; 32]>,
}

impl CertificateFiles {
    /// Reads both files. Waits for the disk.
    ///
    /// # Errors
    /// They cannot be read, or are no certificate with its key.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, CertificateError> {
        let texts = Texts::read(chain, key)?;
        let certificate = texts.parse(chain, key)?;
        Ok(Arc::new(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            current: ArcSwap::from_pointee(certificate),
            seen: Mutex::new(texts.hash()),
        }))
    }

    /// Takes what the files hold now, if that has changed since they were last looked at; whether it did. Connections
    /// that are open go on with what they began with. Waits for the disk.
    ///
    /// # Errors
    /// What the files hold now is unusable: the certificate before stays.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let texts = Texts::read(&self.chain, &self.key)?;
        let hash = texts.hash();
        if std::mem::replace(&mut *self.seen.lock(), hash) == hash {
            return Ok(false);
        }
        self.current.store(Arc::new(texts.parse(&self.chain, &self.key)?));
        Ok(true)
    }

    /// The same, with what came of it in the log.
    pub async fn reload_now(self: Arc<Self>) {
        let chain = self.chain.clone();
        match tokio::task::spawn_blocking(move || self.reload()).await {
            Ok(Ok(true)) => tracing::info!(file = %chain.display(), "took the new certificate"),
            Ok(Err(error)) => tracing::error!(%error, "the new certificate is not taken, the one before stays"),
            // Nothing new, or a panic in there, which was reported when it happened.
            Ok(Ok(false)) | Err(_) => {}
        }
    }

    /// Looks at the files every minute, for ever.
    pub async fn keep_current(self: Arc<Self>, clock: Clock) {
        loop {
            clock.sleep(LOOKED_AT).await;
            self.clone().reload_now().await;
        }
    }
}

#[cfg(test)]
impl CertificateFiles {
    /// The hash of what was last looked at.
    pub(super) fn seen(&self) -> [u8; 32] {
        *self.seen.lock()
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CertificateFiles").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// What both files hold.
struct Texts {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Texts {
    fn read(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        Ok(Self { chain: read(chain)?, key: Zeroizing::new(read(key)?) })
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.chain.len().to_be_bytes());
        hash.update(&self.chain);
        hash.update(self.key.as_slice());
        hash.finalize().into()
    }

    fn parse(&self, chain: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
        let empty = |what, path: &Path| CertificateError::Empty { what, path: path.to_owned() };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let certificates = certificates.ok().filter(|chain| !chain.is_empty());
        let certificates = certificates.ok_or_else(|| empty("certificate", chain))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| empty("private key", key))?;
        // This also makes sure that the key is the certificate's.
        Ok(CertifiedKey::from_der(certificates, key, &provider())?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| CertificateError::File { path: path.to_owned(), error })?;
    Ok(bytes)
}
