//! What can go wrong with the school.

use crate::{rooms::RoomsError, store::StoreError, users::UsersError};

/// A refusal or failure of an operation of the school.
#[derive(Debug, thiserror::Error)]
pub enum SchoolError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something with accounts.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Something with rooms, the contact rules' refusals among it.
    #[error(transparent)]
    Rooms(#[from] RoomsError),
    /// There is no such object, or who asks may not know of it.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The request contradicts itself or the state of things.
    #[error("{0}")]
    Invalid(String),
    /// Another work of this kind is going on, or what the request was made against has changed.
    #[error("{0}")]
    Conflict(String),
    /// Who asks is not allowed to.
    #[error("{0}")]
    Forbidden(String),
    /// A file of the system could not be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A part of the server ended before its time.
    #[error("{0}")]
    Failed(String),
}

impl SchoolError {
    /// A task that panicked or was cut at shutdown.
    #[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
    pub(super) fn task(error: tokio::task::JoinError) -> Self {
        Self::Failed(error.to_string())
    }
}
