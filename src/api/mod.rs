//! Thin handlers: parse, one service call, reply.
//!
//! - `client`: the client-server API, a file per group of endpoints
//! - `federation`: the server-server API
//! - `school`: `/_homeroom/v1`, the school's own interface

pub mod client;
pub mod federation;
pub mod school;
