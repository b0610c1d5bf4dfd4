//! `/sync`.

mod incremental;
mod membership;
mod model;
mod pieces;
