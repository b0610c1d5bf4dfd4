//! `/sync`.

mod incremental;
mod model;
