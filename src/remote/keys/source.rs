//! Where key documents come from.

use std::error::Error;

use futures_util::future::BoxFuture;
use ruma::ServerName;

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FetchFailure(Box<dyn Error + Send + Sync>);

impl FetchFailure {
    /// Wraps a cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Gets key documents of other servers over the network. Nothing about them is checked by it; it keeps to the allow
/// list, and bounds the size and time of an answer.
pub trait KeySource: Send + Sync + 'static {
    /// `GET /_matrix/key/v2/server` of `server`: the JSON as it came.
    fn document<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Result<String, FetchFailure>>;

    /// `GET /_matrix/key/v2/query/{server}` of `notary`: each document as it came.
    fn ask_notary<'a>(
        &'a self,
        notary: &'a ServerName,
        server: &'a ServerName,
        valid_until_ms_min: u64,
    ) -> BoxFuture<'a, Result<Vec<String>, FetchFailure>>;
}
