//! Several servers that talk to each other over TLS on loopback.
//!
//! - `authority`: the certificates they all believe
//! - `pair`: two servers, and how to make a third
//! - `fake`: another server, played by the test
//! - `listeners`: what is served where
//! - `outbound`, `outbound_failures`, `outbound_crash`: what goes to other servers

mod authority;
mod devices;
mod directory;
mod fake;
mod history;
mod listeners;
mod media;
mod outbound;
mod outbound_crash;
mod outbound_failures;
mod pair;
mod profile;
mod reading;
mod restricted;
mod to_device;
mod leave;
mod knock;
mod join;
mod invite;

#[expect(unused_imports, reason = "for the stories")]
pub(crate) use self::{
    fake::{Fake, Received, Reply},
    pair::{Pair, server, server_at},
};
