//! `homeroom user`: accounts, beside a running server or without one.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read, Write as _},
    path::Path,
};

use super::{args::UserCommand, failure::Failure, office::Office};
use crate::{
    config::Config,
    secret::Secret,
    users::{AccountLine, AdminAnswer, AdminOrder},
};

/// The longest file that can hold a password, in bytes.
const PASSWORD_FILE_BYTES_MAX: u64 = 4096;

/// Carries out `command` on the running server, or on its data folder when it is stopped.
pub(super) fn user(config: &Config, command: &UserCommand) -> Result<(), Failure> {
    let said = match command {
        UserCommand::Add { name, password_file, admin } => {
            let password = read_password(password_file)?;
            let order = AdminOrder::Add { name: name.clone(), password, admin: *admin };
            done(Office::reach(config)?.order(&order)?, "made the account")?
        }
        UserCommand::ResetPassword { user, password_file } => {
            let password = read_password(password_file)?;
            let order = AdminOrder::ResetPassword { user: user.clone(), password };
            done(Office::reach(config)?.order(&order)?, "set a new password and signed out everywhere:")?
        }
        UserCommand::Deactivate { user } => {
            let order = AdminOrder::Deactivate { user: user.clone() };
            done(Office::reach(config)?.order(&order)?, "closed the account")?
        }
        UserCommand::List { json } => list(&mut Office::reach(config)?, *json)?,
    };
    io::stdout().write_all(said.as_bytes()).map_err(|error| Failure::Other(format!("cannot write the answer: {error}")))
}

fn done(answer: AdminAnswer, what: &str) -> Result<String, Failure> {
    match answer {
        AdminAnswer::Done(user_id) => Ok(format!("{what} {user_id}\n")),
        AdminAnswer::Failed(reason) => Err(Failure::Other(reason)),
        AdminAnswer::Accounts { .. } => Err(Failure::Other("the server gave another answer than was asked for".into())),
    }
}

fn list(office: &mut Office, json: bool) -> Result<String, Failure> {
    let mut text = String::new();
    let mut after = None;
    loop {
        let (accounts, next) = match office.order(&AdminOrder::List { after })? {
            AdminAnswer::Accounts { accounts, next } => (accounts, next),
            other => return done(other, ""),
        };
        for account in &accounts {
            let line =
                if json { serde_json::to_string(account).map_err(|error| error.to_string())? } else { row(account) };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
        match next {
            Some(_) => after = next,
            None => return Ok(text),
        }
    }
}

/// An account for people: its id, when it was made, and what is special about it.
fn row(account: &AccountLine) -> String {
    let facts = [
        (account.admin, "administrator"),
        (account.guest, "guest"),
        (account.deactivated, "closed"),
        (account.locked, "locked"),
        (account.suspended, "suspended"),
    ];
    let facts: Vec<&str> = facts.into_iter().filter(|(holds, _)| *holds).map(|(_, fact)| fact).collect();
    let created_ms = i64::try_from(account.created_ts).unwrap_or(i64::MAX);
    let created = chrono::DateTime::from_timestamp_millis(created_ms);
    let created = created.map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d").to_string());
    format!("{:<40} {created:<10} {}", account.user_id, facts.join(", ")).trim_end().to_owned()
}

/// The first line of a file, or of standard input for "-".
fn read_password(path: &Path) -> Result<Secret, Failure> {
    let refuse = |reason: String| Failure::Other(format!("cannot read the password from {}: {reason}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| refuse(error.to_string()))?)
    };
    let mut text = String::new();
    let read = source.take(PASSWORD_FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    let length = read.map_err(|error| refuse(error.to_string()))?;
    if length as u64 > PASSWORD_FILE_BYTES_MAX {
        return Err(refuse(format!("it holds more than {PASSWORD_FILE_BYTES_MAX} bytes")));
    }
    match text.expose().lines().next() {
        None | Some("") => Err(refuse("its first line is empty".to_owned())),
        Some(password) => Ok(password.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests may fail loudly")]
mod tests {
    use std::path::PathBuf;

    use ruma::owned_server_name;

    use super::*;
    use crate::config::Size;

    fn fixture() -> (tempfile::TempDir, Config, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(owned_server_name!("school.example"));
        config.database.path = folder.path().join("data");
        config.database.memory = Size::mib(16);
        config.passwords.memory = Size::kib(8);
        let password = folder.path().join("password");
        std::fs::write(&password, "correct horse\nsecond line\n").unwrap();
        (folder, config, password)
    }

    fn listed(config: &Config) -> String {
        list(&mut Office::reach(config).unwrap(), false).unwrap()
    }

    #[test]
    fn accounts_are_made_and_closed_without_a_server() {
        let (_folder, config, password_file) = fixture();
        let add = UserCommand::Add { name: "anna".into(), password_file: password_file.clone(), admin: true };
        user(&config, &add).unwrap();
        assert!(user(&config, &add).unwrap_err().to_string().contains("taken"));
        user(&config, &UserCommand::ResetPassword { user: "anna".into(), password_file }).unwrap();
        assert!(listed(&config).starts_with("@anna:school.example"));
        assert!(listed(&config).contains("administrator"));
        user(&config, &UserCommand::Deactivate { user: "@anna:school.example".into() }).unwrap();
        assert!(listed(&config).contains("closed"));
        let unknown = user(&config, &UserCommand::Deactivate { user: "nobody".into() });
        assert!(unknown.unwrap_err().to_string().contains("no open account"));
        let json = list(&mut Office::reach(&config).unwrap(), true).unwrap();
        assert_eq!(serde_json::from_str::<AccountLine>(&json).unwrap().user_id, "@anna:school.example");
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let (folder, _, password_file) = fixture();
        assert_eq!(read_password(&password_file).unwrap(), Secret::from("correct horse"));
        for content in ["", "\nx"] {
            std::fs::write(&password_file, content).unwrap();
            assert!(read_password(&password_file).is_err());
        }
        std::fs::write(&password_file, "x".repeat(5000)).unwrap();
        assert!(read_password(&password_file).is_err());
        assert!(read_password(&folder.path().join("missing")).is_err());
    }
}
