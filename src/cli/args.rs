//! Every command and argument.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A Matrix homeserver for schools.
#[derive(Debug, Parser)]
#[command(name = "homeroom", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "homeroom.toml")]
    pub(super) config: PathBuf,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server until SIGTERM or SIGINT
    Serve,
    /// Check the configuration and list everything that is wrong with it
    Check,
    /// Make, change and list accounts, beside a running server or without one
    #[command(subcommand)]
    User(UserCommand),
    /// Import rosters, look at people, explain decisions, beside a running server or without one
    ///
    /// Exit codes: 0 done, 1 refused, 2 wrong usage, 3 held until somebody confirms it
    #[command(subcommand)]
    School(SchoolCommand),
    /// Look at the conversation with other servers, beside a running server or without one
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Run a server with an invented school until Ctrl-C, to try it out
    Demo {
        /// Where clients connect
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8008")]
        listen: std::net::SocketAddr,
        /// A folder to keep; without it everything is thrown away at the end
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Examine disk, permissions, clock and data
    Doctor {
        /// Also check every invariant of the stored tables, which reads all of them
        #[arg(long)]
        deep: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account
    Add {
        /// The part of the user id before the colon, such as anna
        name: String,
        /// A file with the password on its first line; "-" for standard input
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// Make the account an administrator
        #[arg(long)]
        admin: bool,
    },
    /// Set a new password and sign the account out everywhere
    ResetPassword {
        /// The user id, or its part before the colon
        user: String,
        /// A file with the new password on its first line; "-" for standard input
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// Close an account for good
    Deactivate {
        /// The user id, or its part before the colon
        user: String,
    },
    /// List the accounts
    List {
        /// As JSON: one object in each line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum FederationCommand {
    /// Say of each other server whether it answers and what waits for it
    Status {
        /// Only this one
        server: Option<String>,
        /// As JSON: one object in each line
        #[arg(long)]
        json: bool,
    },
    /// Try a server again at once that is left alone after failures
    Retry {
        /// Its name
        server: String,
    },
    /// Sign with a new key from the next start on; the old one stays good for what it has signed
    RotateKey,
}

#[derive(Debug, Subcommand)]
pub(super) enum SchoolCommand {
    /// Import a roster: OneRoster 1.1 or 1.2 CSV, Microsoft SDS v2.1, or the simple CSV
    Import {
        /// A ZIP, a CSV file, or a folder of them
        path: PathBuf,
        /// Whose rows it touches, if the school has several sources
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only say what it would change
        #[arg(long)]
        dry_run: bool,
        /// Also when it would remove so much that somebody has to confirm it
        #[arg(long)]
        confirm: bool,
        /// As JSON: one object
        #[arg(long)]
        json: bool,
    },
    /// List the imports, newest first
    Imports {
        /// As JSON: a list of objects
        #[arg(long)]
        json: bool,
    },
    /// Undo the newest import in force
    Rollback {
        /// Of this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// List the people
    People {
        /// Only those with this in their name or user id
        name: Option<String>,
        /// Only those with this role
        #[arg(long)]
        role: Option<String>,
        /// As JSON: a list of objects
        #[arg(long)]
        json: bool,
    },
    /// Explain what the contact rules say of two people
    Why {
        /// Who acts: a user id, or its part before the colon
        actor: String,
        /// On whom
        target: String,
        /// What: see, dm, knock, add, call, presence or photo
        #[arg(default_value = "dm")]
        verb: String,
        /// As JSON: one object
        #[arg(long)]
        json: bool,
    },
    /// Write the roster as a OneRoster 1.2 bundle
    Export {
        /// A file that ends in .zip, or a folder
        path: PathBuf,
        /// Which source, if there are several
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// Say what a new school year does to the rooms, or bring it about
    Rollover {
        /// Look at this planned import
        #[arg(long, value_name = "NUMBER", conflicts_with = "confirm")]
        import: Option<u64>,
        /// Bring every room to what the roster says
        #[arg(long)]
        confirm: bool,
    },
    /// Give a role on this server, or take it back
    #[command(subcommand)]
    Role(RoleCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum RoleCommand {
    /// Give a role, such as leadership
    Add {
        /// The user id, or its part before the colon
        user: String,
        /// The role
        role: String,
    },
    /// Take a role back that was given here
    Remove {
        /// The user id, or its part before the colon
        user: String,
        /// The role
        role: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_takes_a_configuration_before_or_after_it() {
        for command in [
            "serve",
            "check",
            "school imports",
            "school why a b see",
            "user list",
            "federation status",
            "federation retry a.example",
            "user add anna --password-file p",
            "user deactivate anna",
            "doctor",
        ] {
            for line in [format!("homeroom {command} --config x.toml"), format!("homeroom --config x.toml {command}")] {
                assert_eq!(parse(&line).unwrap().config, PathBuf::from("x.toml"), "{line}");
            }
            assert_eq!(parse(&format!("homeroom {command}")).unwrap().config, PathBuf::from("homeroom.toml"));
        }
    }

    #[test]
    fn the_options_of_commands_are_read() {
        let Command::User(UserCommand::Add { name, password_file, admin }) =
            parse("homeroom user add anna --password-file - --admin").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!((name.as_str(), password_file, admin), ("anna", PathBuf::from("-"), true));
        assert!(matches!(parse("homeroom doctor --deep").unwrap().command, Command::Doctor { deep: true }));
        assert!(matches!(
            parse("homeroom user list --json").unwrap().command,
            Command::User(UserCommand::List { json: true })
        ));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in
            ["homeroom", "homeroom fly", "homeroom user add anna", "homeroom serve now", "homeroom check --deep"]
        {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("homeroom --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
    }
}
