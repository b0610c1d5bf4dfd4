//! What can go wrong with a request to another server.

use http::StatusCode;
use ruma::OwnedServerName;
use serde_json::Value;

use crate::store::StoreError;

/// Why a request to another server has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// `[federation] allow` does not name the server.
    #[error("{0} is not a server that this one talks to")]
    NotAllowed(OwnedServerName),
    /// The server is this one.
    #[error("this server does not ask itself")]
    Own,
    /// It failed before and is not tried again yet.
    #[error("it failed before and is not tried again before {until_ms}")]
    Backoff {
        /// Until when, Unix milliseconds.
        until_ms: u64,
    },
    /// No connection, or it broke.
    #[error("it cannot be reached ({kind:?}): {text}")]
    Unreachable {
        /// What failed.
        kind: Unreachable,
        /// How, for logs.
        text: String,
    },
    /// It answered with an error.
    #[error("{0}")]
    Answer(Box<Refused>),
    /// Its answer is not what the specification says.
    #[error("its answer makes no sense: {0}")]
    Malformed(String),
    /// Its answer is longer than what is read.
    #[error("its answer is longer than {limit} bytes")]
    TooLarge {
        /// What would have been read, in bytes.
        limit: usize,
    },
    /// The request cannot be made: a value of ours does not fit the endpoint.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What failed on the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// Its name has no address, or none that may be reached.
    Dns,
    /// Nothing listens there.
    Connect,
    /// Its certificate is not believed, or it speaks no TLS.
    Tls,
    /// It did not answer in time.
    Timeout,
    /// The connection broke.
    Broken,
}

/// An error that another server answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The status; anything from 300.
    pub status: StatusCode,
    /// `errcode`, such as `M_FORBIDDEN`; empty if it gave none.
    pub errcode: String,
    /// `error`, for people; empty if it gave none. Written by a stranger.
    pub error: String,
    /// The whole answer; null if it is not JSON.
    pub body: Value,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a stranger wrote is shortened and keeps to one line.
        let text: String = self.error.chars().filter(|character| !character.is_control()).take(200).collect();
        let code: String = self.errcode.chars().filter(|character| !character.is_control()).take(64).collect();
        write!(formatter, "it answered {} {code} {text}", self.status.as_u16())
    }
}

impl RemoteError {
    /// The error that the server answered with.
    pub fn refused(&self) -> Option<&Refused> {
        if let Self::Answer(refused) = self { Some(refused) } else { None }
    }

    /// The `errcode` that the server answered with.
    pub fn errcode(&self) -> Option<&str> {
        self.refused().map(|refused| refused.errcode.as_str())
    }

    /// The status that the server answered with.
    pub fn status(&self) -> Option<StatusCode> {
        self.refused().map(|refused| refused.status)
    }

    /// Whether the server does not work at the moment: the same request may succeed later. Otherwise asking again gives
    /// the same answer.
    pub fn is_down(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Backoff { .. } => true,
            Self::Answer(refused) => refused.is_down(),
            _ => false,
        }
    }

    pub(super) fn unreachable(kind: Unreachable, text: impl Into<String>) -> Self {
        Self::Unreachable { kind, text: text.into() }
    }
}

impl Refused {
    /// The server has a problem of its own, or is asked too much.
    pub fn is_down(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Reads an answer.
    pub(super) fn read(status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let header = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let field = body.get("retry_after_ms").and_then(Value::as_u64).map(|ms| ms.div_ceil(1_000));
        Self { status, errcode: text("errcode"), error: text("error"), retry_after_s: header.or(field), body }
    }
}
