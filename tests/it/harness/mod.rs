//! A whole server inside the test, and people who talk to it over HTTP.
//!
//! - `server`: a server on a loopback port with a data folder of its own
//! - `client`: one device of one person
//! - `answer`: what came back, with checks that say what they saw

mod answer;
mod client;
mod server;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, PASSWORD, escape};
pub(crate) use server::Server;
