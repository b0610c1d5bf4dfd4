//! Thin handlers: parse, one service call, reply.
//!
//! - `client`: the client-server API, a file per group of endpoints

pub mod client;
