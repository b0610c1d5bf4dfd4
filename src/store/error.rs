//! What can go wrong in the store.

use std::path::PathBuf;

/// A failure of the store. Callers treat it as internal: a client only ever sees "Internal server error".
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine refused a read or a write.
    #[error("storage engine: {0}")]
    Engine(String),
    /// A row does not decode: its table and what was wrong.
    #[error("damaged row in table {table}: {what}")]
    Corrupt {
        /// The table's name in the schema.
        table: &'static str,
        /// What did not fit.
        what: &'static str,
    },
    /// Writing has failed before; nothing is acknowledged until the server is restarted.
    #[error("the store stopped accepting writes: {0}")]
    Stopped(String),
    /// The data folder is not one this server may open.
    #[error("{path}: {problem}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what the administrator can do.
        problem: String,
    },
}

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Engine(error.into_string())
    }
}
