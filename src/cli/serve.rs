//! `homeroom serve`: the server itself.

use super::{failure::Failure, logging};
use crate::config::Config;

/// Runs the server until it is told to stop.
pub(super) fn serve(config: &Config) -> Result<(), Failure> {
    logging::start(&config.logging)?;
    run(config)
}

/// Placeholder until `app` exists: starts the runtime and calls `crate::app::serve(config)` then.
fn run(config: &Config) -> Result<(), Failure> {
    Err(Failure::Other(format!("this build cannot serve {} yet", config.server.name)))
}
