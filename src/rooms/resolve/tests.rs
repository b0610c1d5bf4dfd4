//! Resolution on trees against the plain resolution of whole states, and known cases by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod graph;
mod known;
mod random;
mod room;
mod stored;
