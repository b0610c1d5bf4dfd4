//! Signing keys: this server's own, and those of others (spec v1.19, Server-Server API "Retrieving server keys",
//! "Request Authentication", "Validating hashes and signatures on received events").
//!
//! | file | duty |
//! |---|---|
//! | `ring` | [`KeyRing`], what the rest of the server holds: keys by server, from memory, disk or network |
//! | `own` | this server's key, the ones it used before, and how one follows the other |
//! | `document` | key documents of others: checked, and read into keys |
//! | `known` | the keys of one server, and what each is good for |
//! | `fetch` | gets documents: one fetch at a time for a server, pauses after failures, notaries |
//! | `keep` | which keys are kept over restarts |
//! | `source` | where documents come from; [`KeySource`] |
//! | `pdu` | signatures and hashes of events, many at a time |
//! | `request` | `X-Matrix` signatures of requests, and signatures of other JSON |
//! | `notary` | this server's document, and those of others signed again |
//! | `error` | why something does not verify |

mod document;
mod error;
mod fetch;
mod keep;
mod known;
mod notary;
mod own;
mod pdu;
mod request;
mod ring;
mod source;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
pub(crate) mod tests;

pub use self::{
    error::{OwnKeyError, VerifyError},
    notary::NOTARY_SERVERS_MAX,
    own::OwnKeys,
    request::SignedRequest,
    ring::{KeyRing, KeyRingParts},
    source::{FetchFailure, KeySource},
};
