//! Several servers that talk to each other over TLS on loopback.
//!
//! - `authority`: the certificates they all believe
//! - `pair`: two servers, and how to make a third
//! - `fake`: another server, played by the test
//! - `guest`: somebody of it in a room of ours; `host`: rooms of its own
//! - `ingest`, `security`, `bounds`: what it may do, and is not believed
//! - `early`, `redactions`: what comes the wrong way round
//! - `keys_in_time`: keys of servers that do not answer
//! - `listeners`: what is served where
//! - `history`, `paging`: what was said before, paged back to and read forwards
//! - `partial`: rooms joined before their members are known
//! - `partial_hostile`: the same where somebody means harm; `partial_again`: where somebody leaves and comes
//!   back, in a room of `partial_play`; `partial_killed`, `partial_long`: where the program is killed, and where much is
//!   said meanwhile
//! - `third_party`: people of whom only an e-mail address is known; `identity`: who knows whose it is
//! - `policy_server`: rooms where a server looks at every event first
//! - `faults`, `killed`, `killed_to_device`: what goes wrong there and here
//! - `slow`: who does not read what is answered
//! - `outbound`, `outbound_failures`, `outbound_crash`: what goes to other servers

mod authority;
mod bounds;
mod devices;
mod directory;
mod early;
mod fake;
mod faults;
pub(crate) mod guest;
mod history;
pub(crate) mod host;
pub(crate) mod identity;
mod ingest;
mod invite;
mod join;
mod keys_in_time;
mod killed;
mod killed_to_device;
mod knock;
mod leave;
mod listeners;
mod media;
mod outbound;
mod outbound_crash;
mod outbound_failures;
mod paging;
mod pair;
mod partial;
mod partial_again;
mod partial_hostile;
mod partial_killed;
mod partial_long;
mod partial_play;
mod policy_server;
mod profile;
mod reading;
mod redactions;
mod restricted;
mod retention;
mod review;
mod security;
mod slow;
mod third_party;
mod to_device;

pub(crate) use self::{
    fake::{Fake, Received, Reply},
    pair::{Pair, server, server_at},
};
