//! `homeroom check`: whether the configuration is valid.

use std::{
    io::{self, Write},
    path::Path,
};

use super::failure::Failure;
use crate::config::Config;

/// Says that the configuration, which has been read without a problem, is valid, and what it comes to.
pub(super) fn check(file: &Path, config: &Config) -> Result<(), Failure> {
    let text = format!(
        "{} is valid: server {}, clients on http://{}, data in {}\n",
        file.display(),
        config.server.name,
        config.listen.client,
        config.database.path.display(),
    );
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write the answer: {error}").into())
}
