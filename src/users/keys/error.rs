//! Why keys are refused.

use crate::store::StoreError;

/// A refused upload of keys, signatures or backups. What does not exist is `None` when reading.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not the JSON that the specification describes (`M_BAD_JSON`).
    #[error("{0}")]
    Malformed(&'static str),
    /// For another user or device, or of a wrong kind (`M_INVALID_PARAM`).
    #[error("{0}")]
    Invalid(&'static str),
    /// A signature that does not fit its key (`M_INVALID_SIGNATURE`).
    #[error("{0}")]
    InvalidSignature(&'static str),
    /// There is no master key to sign with (`M_MISSING_PARAM`).
    #[error("there is no master key")]
    NoMasterKey,
    /// The public key is the id of a device (`M_FORBIDDEN`).
    #[error("the key is the id of a device")]
    KeyIsDeviceId,
    /// Another one-time key has this id. Clients know this sentence.
    #[error("One time key {0} already exists")]
    OneTimeKeyExists(String),
    /// More than is kept (`M_TOO_LARGE`).
    #[error("{0}")]
    TooMany(&'static str),
    /// The backup or session to change does not exist (`M_NOT_FOUND`).
    #[error("{0}")]
    NotFound(&'static str),
    /// Not the current backup (`M_WRONG_ROOM_KEYS_VERSION`).
    #[error("this is not the current backup")]
    WrongVersion {
        /// The current one.
        current: u64,
    },
}
