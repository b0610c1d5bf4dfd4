//! [`Remote`]: what the rest of the server holds.

use std::ops::Deref;

use super::client::{Client, ClientError, RemoteParts};

/// Other servers, as this one asks them. Cheap to clone. Everything of [`Client`] can be called on it.
#[derive(Clone)]
pub struct Remote {
    client: Client,
}

impl Remote {
    /// Reads certificates, blocking.
    ///
    /// # Errors
    /// The certificates of the configuration cannot be read.
    pub fn new_blocking(parts: RemoteParts) -> Result<Self, ClientError> {
        Ok(Self { client: Client::new_blocking(parts)? })
    }

    /// Requests alone.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Asking is what this is for; the rest stands beside it.
impl Deref for Remote {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
