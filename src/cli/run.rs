//! From arguments to an exit code.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;

use super::{
    args::{Args, Command},
    check, demo, doctor,
    failure::Failure,
    federation, school, serve, user,
};
use crate::config::{self, Config};

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    ExitCode::from(run_with(std::env::args_os()))
}

/// Runs a command line, the program's name first; the exit code.
fn run_with(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(usage) => {
            // Help and version go to standard output with code 0, mistakes to standard error with code 2. Nothing
            // can be done about a closed output.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).unwrap_or(2);
        }
    };
    match dispatch(&args) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "homeroom: {failure}");
            failure.code()
        }
    }
}

fn dispatch(args: &Args) -> Result<(), Failure> {
    if let Command::Demo { listen, data } = &args.command {
        // It has a configuration of its own.
        return demo::demo(*listen, data.as_deref());
    }
    let config = load(&args.config)?;
    match &args.command {
        Command::Check => check::check(&args.config, &config),
        Command::Serve => serve::serve(&config),
        Command::School(command) => school::school(&config, command),
        Command::Federation(command) => federation::federation(&config, command),
        Command::Demo { .. } => Ok(()),
        Command::User(command) => user::user(&config, command),
        Command::Doctor { deep } => doctor::doctor(&config, *deep),
    }
}

fn load(file: &Path) -> Result<Config, Failure> {
    config::load(file).map_err(|problems| Failure::Configuration { file: file.to_owned(), problems })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    fn code(line: &[&str]) -> u8 {
        run_with(line.iter().map(OsString::from))
    }

    #[test]
    fn exit_codes_tell_success_problems_and_usage_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("homeroom.toml");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "[server]\nname = \"a.example\"\n").unwrap();
        assert_eq!(code(&["homeroom", "check", "--config", path]), 0);
        assert_eq!(code(&["homeroom", "--version"]), 0);
        std::fs::write(&file, "[server]\nnme = \"a.example\"\n").unwrap();
        assert_eq!(code(&["homeroom", "check", "--config", path]), 1);
        assert_eq!(code(&["homeroom", "check", "--config", "no/such/file"]), 1);
        assert_eq!(code(&["homeroom", "chekc"]), 2);
    }
}
