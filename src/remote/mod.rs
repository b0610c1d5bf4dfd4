//! Other servers: how they are found, asked and believed.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Remote`], what the rest of the server holds |
//! | `client` | requests: [`Client`] |
//! | `request` | a request's URL, canonical body and signature; [`Terms`], its bounds |
//! | `body` | answers, read up to a bound |
//! | `discovery` | a server name to what is asked: well-known documents, SRV records, ports |
//! | `dns` | names to addresses |
//! | `egress` | which addresses may be reached |
//! | `connect` | the HTTP clients, whose resolvers hand on only addresses that passed |
//! | `tls` | whose certificates are believed |
//! | `destinations`, `backoff` | whether a server works, and when it is tried again |
//! | `keys` | this server's signing keys, and those of others; `key_source` fetches them |
//! | `identity` | identity servers, which know whose e-mail address is whose |
//! | `outbox` | what they are to be told besides events: [`Outbox`] |
//! | `error` | what goes wrong |
//!
//! Every request to another server goes through here, and so does whatever else strangers can make this server fetch.

mod backoff;
mod body;
mod client;
mod connect;
mod destinations;
mod discovery;
mod dns;
mod egress;
mod error;
mod identity;
mod key_source;
pub mod keys;
mod outbox;
mod request;
mod service;
mod tls;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;

pub use self::{
    body::BodyStream,
    client::{Client, ClientError, ClientParts},
    destinations::Destinations,
    dns::DnsError,
    error::{Refused, RemoteError, Unreachable},
    identity::{IdentityRefusal, IdentityServer, NewInvite, StoredInvite},
    keys::KeyRing,
    outbox::{Outbox, OutboxParts, Taken},
    request::Terms,
    service::{Remote, RemoteParts},
    tls::{TlsError, provider},
};
