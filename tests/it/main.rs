//! Tests through the public interface: one binary, so that RocksDB is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::needless_pass_by_value, reason = "JSON is made for the call")]
#![allow(
    clippy::assigning_clones,
    clippy::format_collect,
    clippy::format_push_string,
    reason = "nothing here is in a hurry"
)]
#![allow(clippy::items_after_statements, reason = "a type for one list stands by it")]

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
