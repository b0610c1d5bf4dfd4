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
mod request;
mod service;
mod tls;

pub use self::{
    client::{Client, ClientError, RemoteParts},
    destinations::Destinations,
    dns::DnsError,
    error::{Refused, RemoteError, Unreachable},
    request::Terms,
    service::Remote,
    tls::{TlsError, provider},
};
