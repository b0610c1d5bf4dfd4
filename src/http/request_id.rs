//! A name for each request, to find it in the log.

use std::fmt;

use uuid::Uuid;

/// The id of a request; random, and only ever made by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new id.
    #[expect(clippy::new_without_default, reason = "a default that is random each time would surprise")]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}
