//! | file | what |
//! |---|---|
//! | `files` | columns, rows, and the two ways to write them |
//! | `round_trip` | what is written is read again, also when it is dirty |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod files;
mod round_trip;
