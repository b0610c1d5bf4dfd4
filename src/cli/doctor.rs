//! `homeroom doctor`: whether disk, permissions, clock and data are sound.

use super::failure::Failure;
use crate::config::Config;

/// Placeholder until the store exists: examines the data folder then, with `deep` every invariant of its tables.
pub(super) fn doctor(config: &Config, deep: bool) -> Result<(), Failure> {
    let what = if deep { "the tables in" } else { "the folder" };
    Err(Failure::Other(format!("this build cannot examine {what} {} yet", config.database.path.display())))
}
