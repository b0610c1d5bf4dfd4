//! `homeroom user`: accounts.

use super::{args::UserCommand, failure::Failure};
use crate::config::Config;

/// Placeholder until accounts exist: carries out `command` on the running server or on its data folder then.
pub(super) fn user(config: &Config, command: &UserCommand) -> Result<(), Failure> {
    let action = match command {
        UserCommand::Add { name, password_file: _, admin } => {
            format!("make the account {name}{}", if *admin { " of an administrator" } else { "" })
        }
        UserCommand::ResetPassword { user, password_file: _ } => format!("set the password of {user}"),
        UserCommand::Deactivate { user } => format!("deactivate {user}"),
        UserCommand::List { json: _ } => "list accounts".to_owned(),
    };
    Err(Failure::Other(format!("this build cannot {action} on {} yet", config.server.name)))
}
