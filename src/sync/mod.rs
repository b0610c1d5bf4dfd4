//! What `/sync` answers: everything that changed for a user after a position, or everything there is.
//!
//! | file | what |
//! |---|---|
//! | `token` | positions as clients hold them |
//! | `filter` | a client's filter, ready to be asked |
//! | `json` | writing objects and arrays piece by piece |
//! | `timeline` | a room's new events, or its newest |
//! | `state` | the state a client lacks, before or after the timeline; lazily loaded members |
//! | `lazy` | which members a device has been sent |
//! | `summary` | heroes and counts |
//! | `room` | one room's entry: joined, left, invited, knocked |
//! | `outside` | rooms that this server is not in |
//! | `account` | what is not a room: account data, presence, to-device, device lists, key counts |
//! | `key_changes` | device lists for `GET /keys/changes` |
//! | `neighbours` | wakes those who must learn of a changed device list |
//! | `v3` | `GET /sync`: puts the streams together, and waits |
//!
//! Every stream answers "what is in (since, now]" where `now` is one position read at the start: rows of later
//! positions are left for the next answer, so all streams agree without holding a snapshot of the store.

mod account;
mod error;
mod filter;
mod json;
mod key_changes;
mod lazy;
mod neighbours;
mod outside;
mod room;
mod state;
mod summary;
mod timeline;
pub mod token;
mod v3;

pub use error::SyncError;
pub use filter::Filters;
pub use v3::{Answer, Request, Sync, SyncParts};
