//! The conversation with other servers: what comes in, and what goes out.

pub mod devices;
mod facade;
pub mod inbound;
pub mod outbound;

pub use self::facade::Federation;
