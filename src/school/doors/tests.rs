//! Pure parts of the doors; the walk over all of them is in `tests/it/school`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
