//! Events as pure values: read, canonicalise, hash, sign, redact, authorise and resolve them.
//!
//! Nothing here is asynchronous, reads a clock, a disk or a socket. Rooms (level 6) decide *what* to build and store;
//! this folder knows what the bytes of an event must look like in each room version, 1 to 12
//! ([`room_version::supported`]).
//!
//! | file | answers |
//! |---|---|
//! | [`room_version`] | which room versions exist for this server, and their rules |
//! | [`canonical`] | is this JSON acceptable, and what is its canonical text |
//! | [`pdu`] | the event every layer above passes around |
//! | [`format`] | may this text be a PDU at all (fields, types, size limits) |
//! | [`build`] | the one way to make a new event of this server |
//! | [`sign`] | the server's signing key; signatures of others |
//! | [`redact`] | what remains of an event after redaction, and what a redaction aims at |
//! | [`auth`] | may this event stand, given this state |
//! | [`power`] | who may do what according to `m.room.power_levels` |
//! | [`content`] | lenient readers for the contents the server itself looks at |
//! | [`client_format`] | the same event as clients see it |
//! | [`stripped`] | what another server says about a room this one is not in |
//! | [`resolve`] | the one state that several states come to |

pub mod auth;
pub mod build;
pub mod canonical;
pub mod client_format;
pub mod content;
pub mod format;
pub mod pdu;
pub mod power;
pub mod redact;
pub mod resolve;
pub mod room_version;
pub mod sign;
pub mod stripped;

#[cfg(test)]
mod tests;

pub use self::{
    build::PduBuilder, canonical::Content, client_format::ClientEvent, pdu::Pdu, power::PowerLevels, sign::SigningKey,
};
