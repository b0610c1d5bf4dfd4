//! What every request passes, from the socket to a handler and back.
//!
//! | file | duty |
//! |---|---|
//! | `serve`, `tls` | accepts connections (HTTP/1.1 and HTTP/2, in clear and with TLS), bounds them, ends them at shutdown |
//! | `trace` | the one middleware: address, request id, span, metrics, panics, CORS |
//! | `address`, `request_id`, `cors`, `metrics`, `health` | its parts |
//! | `ruma`, `extract` | extractors: a ruma request, or a session and raw bytes |
//! | `auth`, `access` | who asks, and what guests, locked and suspended accounts may ask |
//! | `signed`, `x_matrix`, `unverified`, `origins` | which server asks: `X-Matrix` signatures, what is held before they are checked, and how many requests of one are answered at once |
//! | `body`, `json` | bodies read within bounds, JSON checked before it is parsed |
//! | `limit`, `class` | rate limits per account and per address |
//! | `error`, `refusal`, `reply`, `chunks`, `fallback` | answers |

pub mod access;
pub mod address;
pub mod auth;
pub mod body;
pub mod chunks;
pub mod class;
pub mod cors;
pub mod error;
pub mod extract;
pub mod fallback;
pub mod health;
pub mod json;
pub mod limit;
pub mod metrics;
pub mod origins;
pub mod refusal;
pub mod reply;
pub mod request_id;
pub mod ruma;
pub mod serve;
pub mod services;
pub mod signed;
pub mod tls;
pub mod trace;
pub mod unverified;
mod x_matrix;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;

pub use self::{
    address::{ClientAddress, TrustedProxies},
    auth::{Appservice, Authenticate, Credentials, Session},
    body::{BODY_BYTES_MAX, BoundedBody},
    chunks::{ChunkWriter, file_body, json_chunks, json_chunks_holding},
    class::Class,
    error::ApiError,
    extract::{Auth, JsonBody, OptionalAuth, PathArgs, Query},
    fallback::{method_not_allowed, not_found},
    health::Health,
    limit::Limiter,
    metrics::{Metrics, operations},
    origins::{OriginPlace, Origins},
    reply::{JsonBytes, Reply, empty_json, json_stream},
    request_id::RequestId,
    ruma::Ruma,
    serve::{Listener, ServeOptions, serve},
    signed::{Federated, FederationOn, Signed, SignedRaw},
    tls::{Acme, AcmeOptions, CertificateError, CertificateFiles, Tls},
    trace::{Entry, pass},
    unverified::Unverified,
};
