//! Tests through the public interface: one binary, so that RocksDB is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod account;
mod crash;
mod ephemeral;
mod federation;
mod full_disk;
mod harness;
mod history;
mod keys;
mod media;
mod rooms;
mod routes;
mod school;
mod smoke;
mod sync;
mod tidy;
