//! `/sync`.

mod incremental;
mod membership;
mod model;
