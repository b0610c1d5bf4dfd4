//! The conversation with other servers: what comes in, and what goes out.

pub mod inbound;
