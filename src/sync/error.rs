//! What can go wrong while syncing: only what goes wrong below.

use crate::{rooms::RoomsError, store::StoreError, users::UsersError};

/// A failure of a service that syncing asks.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Rooms.
    #[error(transparent)]
    Rooms(#[from] RoomsError),
    /// Accounts.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client has closed the connection.
    #[error("the client has closed the connection")]
    ReaderGone,
}
