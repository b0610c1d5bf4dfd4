//! Devices and their keys across servers.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Devices`]: what the rest of the server holds, and its tasks |
//! | `tell` | tells other servers what has changed of this one's users |
//! | `fetch` | fetches the lists of other servers' users: in the background, one of a user at a time |
//! | `arrive` | what other servers tell: lists, cross-signing keys, messages |
//! | `ask` | keys that a client of this server wants of other servers' users |
//!
//! Lists of other servers' users are kept while a room is shared with them. Whether that was so without a break is read
//! from the memberships whenever a list is used, so nothing has to be undone when somebody leaves.

mod arrive;
mod ask;
mod fetch;
mod service;
mod tell;

pub use self::{
    ask::{Claimed, Found},
    service::{Devices, DevicesParts},
};
