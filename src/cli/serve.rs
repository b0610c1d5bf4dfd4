//! `homeroom serve`: the server itself.

use super::{failure::Failure, logging};
use crate::{app, config::Config};

/// Runs the server until it is told to stop.
pub(super) fn serve(config: &Config) -> Result<(), Failure> {
    logging::start(&config.logging)?;
    app::serve(config.clone()).map_err(|error| Failure::Other(error.to_string()))
}
