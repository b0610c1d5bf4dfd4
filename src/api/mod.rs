//! Thin handlers: parse, one service call, reply.
//!
//! - `client`: the client-server API, a file per group of endpoints
//! - `school`: `/_homeroom/v1`, the school's own interface

pub mod client;
pub mod school;
