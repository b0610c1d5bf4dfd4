//! Which certificates of other servers are believed: those of the system's authorities and of `trusted_ca`.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of `[federation] trusted_ca` holds no certificate.
    #[error("federation.trusted_ca: {file} holds no certificate in PEM ({reason})")]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library refused.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// The provider of cryptography, named wherever one is needed: there is no default to rely upon.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS as a client, for HTTP/2 and HTTP/1.1. Reads the files, blocking.
///
/// # Errors
/// A file without a certificate.
pub(super) fn client_config_blocking(trusted_ca: &[PathBuf]) -> Result<ClientConfig, TlsError> {
    let extra = authorities_blocking(trusted_ca)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = match Verifier::new_with_extra_roots(extra.iter().cloned(), provider()) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        // A machine without any authority: nobody is believed, but whoever needs no federation can work.
        Err(error) if extra.is_empty() => {
            tracing::warn!(%error, "the system knows no authorities: no other server's certificate will be believed");
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
        Err(error) => return Err(error.into()),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities_blocking(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    for file in files {
        let refused = |reason: String| TlsError::Authority { file: file.clone(), reason };
        let before = found.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refused(error.to_string()))? {
            found.push(certificate.map_err(|error| refused(error.to_string()))?);
        }
        if found.len() == before {
            return Err(refused("it is empty".to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(client_config_blocking(&[file]), Err(TlsError::Authority { .. })));
    }

    #[test]
    fn the_systems_authorities_are_enough() {
        assert_eq!(client_config_blocking(&[]).unwrap().alpn_protocols.len(), 2);
    }
}
