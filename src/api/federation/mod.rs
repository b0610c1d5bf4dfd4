//! The server-server API of the specification v1.19, a file per group of endpoints.
//!
//! Handlers take [`Signed`](crate::http::Signed): the sender's signature is checked before they run, and they see who it
//! is in `origin`. What asks about a room goes through `room_access` first.

pub mod devices;
pub mod directory;
mod errors;
pub mod event;
pub mod hierarchy;
pub mod history;
pub mod invite;
pub mod join;
pub mod keys;
pub mod keys_of_users;
pub mod knock;
pub mod leave;
pub mod media;
pub mod openid;
pub mod query;
mod room_access;
pub mod send;
pub mod state;
pub mod third_party;
pub mod version;
mod written;
