//! Why something does not verify.

use ruma::OwnedServerName;

use crate::store::StoreError;

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// What is signed cannot be read.
    #[error("not verifiable: {0}")]
    Malformed(String),
    /// There is no signature of this server that could be checked.
    #[error("no signature of {0}")]
    NoSignature(OwnedServerName),
    /// The key that signed is not known and cannot be had now. Later it may be.
    #[error("the key of {0} is not known")]
    UnknownKey(OwnedServerName),
    /// The key is known, but was not valid then, or is no longer in use.
    #[error("the key of {0} is not valid for this time")]
    KeyNotValid(OwnedServerName),
    /// The signature is wrong.
    #[error("the signature of {0} is wrong")]
    BadSignature(OwnedServerName),
    /// The request was meant for another server.
    #[error("the request was meant for another server")]
    Destination,
    /// The store or a thread failed here; it says nothing about the signature.
    #[error("keys cannot be read now")]
    Unavailable,
}

impl VerifyError {
    /// Whether the same may verify when it is tried again later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::Unavailable)
    }
}

/// Why this server's own key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnKeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored key cannot be read.
    #[error("the stored signing key is damaged: {0}")]
    Damaged(String),
}
