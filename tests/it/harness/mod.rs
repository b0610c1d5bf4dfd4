//! A whole server inside the test, and people who talk to it over HTTP.
//!
//! - `server`: a server on a loopback port with a data folder of its own
//! - `process`: the program in a process of its own, to be killed
//! - `client`: one device of one person
//! - `answer`: what came back, with checks that say what they saw

mod answer;
mod client;
mod process;
mod server;

pub(crate) use answer::Answer;
pub(crate) use client::{Client, PASSWORD, escape};
pub(crate) use process::{Process, write_config};
pub(crate) use server::Server;

/// What `reqwest` needs before it makes its first client; a second time does nothing.
pub(crate) fn install_provider() {
    if let Ok(filter) = std::env::var("HOMEROOM_TEST_LOG") {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
}
