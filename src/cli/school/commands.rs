//! Every command: its order, and its answers as text or JSON.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    files::{bring, deliver, place},
    text,
};
use crate::{
    cli::{
        args::{RoleCommand, SchoolCommand},
        failure::Failure,
        office::Office,
    },
    config::Config,
    school::{
        PeopleQuery,
        exchange::SOURCE,
        orders::{ImportLine, SchoolAnswer, SchoolOrder},
        roster::SchoolRole,
    },
    secret::Secret,
};

/// Carries out `command` on the running server, or on its data folder when it is stopped.
pub(in crate::cli) fn school(config: &Config, command: &SchoolCommand) -> Result<(), Failure> {
    match command {
        SchoolCommand::Import { path, source, dry_run, confirm, json } => {
            let mut office = Office::reach(config)?;
            let brought = bring(config, &office, path)?;
            // The running server has another working folder.
            let path = std::path::absolute(brought.path()).map_err(|error| error.to_string())?;
            let source = source.clone().unwrap_or_else(|| SOURCE.into());
            let order = SchoolOrder::SchoolImport { path, source, dry_run: *dry_run, confirm: *confirm };
            import(&mut office, &order, *json)
        }
        SchoolCommand::Imports { json } => {
            let mut list = List::new(*json);
            ask(&mut Office::reach(config)?, &SchoolOrder::SchoolImports {}, |answer| match answer {
                SchoolAnswer::Import(line) => list.add(&line, text::import),
                _ => Ok(()),
            })?;
            list.end()
        }
        SchoolCommand::Rollback { source } => {
            let source = source.clone().unwrap_or_else(|| SOURCE.into());
            say(&ask(&mut Office::reach(config)?, &SchoolOrder::SchoolRollback { source }, |_| Ok(()))?)
        }
        SchoolCommand::People { name, role, json } => {
            let role = role.as_deref().map(named_role).transpose()?;
            let query = PeopleQuery { q: name.clone(), role, after: None };
            let mut list = List::new(*json);
            ask(&mut Office::reach(config)?, &SchoolOrder::SchoolPeople { query }, |answer| match answer {
                SchoolAnswer::Person(line) => list.add(&*line, text::person),
                _ => Ok(()),
            })?;
            list.end()
        }
        SchoolCommand::Why { actor, target, verb, json } => {
            let (actor, target, verb) = (actor.clone(), target.clone(), verb.clone());
            ask(&mut Office::reach(config)?, &SchoolOrder::SchoolWhy { actor, target, verb }, |answer| match answer {
                SchoolAnswer::Why(why) if *json => say(&pretty(&why)?),
                SchoolAnswer::Why(why) => say(&text::why(&why)),
                _ => Ok(()),
            })?;
            Ok(())
        }
        SchoolCommand::Export { path, source } => {
            let mut office = Office::reach(config)?;
            let place = place(config, ".zip").map_err(|error| error.to_string())?;
            let to = std::path::absolute(place.path()).map_err(|error| error.to_string())?;
            ask(&mut office, &SchoolOrder::SchoolExport { source: source.clone(), to }, |_| Ok(()))?;
            deliver(place.path(), path)
        }
        SchoolCommand::Rollover { import, confirm } => {
            let order = SchoolOrder::SchoolRollover { import: *import, confirm: *confirm };
            ask(&mut Office::reach(config)?, &order, |answer| match answer {
                SchoolAnswer::Rollover(told) => say(&text::rollover(&told)),
                _ => Ok(()),
            })?;
            if *confirm { Ok(()) } else { say("Nothing is changed: --confirm brings it about.") }
        }
        SchoolCommand::Role(command) => {
            let (RoleCommand::Add { user, role } | RoleCommand::Remove { user, role }) = command;
            let give = matches!(command, RoleCommand::Add { .. });
            let order = SchoolOrder::SchoolRole { user: user.clone(), role: named_role(role)?, give };
            say(&ask(&mut Office::reach(config)?, &order, |_| Ok(()))?)
        }
    }
}

fn named_role(name: &str) -> Result<SchoolRole, Failure> {
    SchoolRole::from_name(name).ok_or_else(|| {
        let known: Vec<_> = SchoolRole::ALL.into_iter().map(SchoolRole::name).collect();
        Failure::Other(format!("there is no role {name:?}; there are {}", known.join(", ")))
    })
}

/// Has an order carried out; what its end says. Progress goes to a terminal's standard error.
fn ask(
    office: &mut Office,
    order: &SchoolOrder,
    mut read: impl FnMut(SchoolAnswer) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut end = String::new();
    let on_terminal = io::stderr().is_terminal();
    office.converse(&Secret::from(order.to_line()), |answer| match answer {
        SchoolAnswer::Done(said) => {
            end = said;
            Ok(true)
        }
        SchoolAnswer::Failed(reason) => Err(Failure::Other(reason)),
        SchoolAnswer::Held(reasons) => Err(Failure::Held(reasons)),
        SchoolAnswer::Progress(said) => {
            if on_terminal {
                // Nothing can be done about a closed output.
                let _ = writeln!(io::stderr(), "{said} …");
            }
            Ok(false)
        }
        other => read(other).map(|()| false),
    })?;
    Ok(end)
}

/// Prints an import as it goes, or as one object at its end, also when it ends badly.
fn import(office: &mut Office, order: &SchoolOrder, as_json: bool) -> Result<(), Failure> {
    let (mut problems, mut planned): (Vec<Value>, Option<ImportLine>) = (Vec::new(), None);
    let ended = ask(office, order, |answer| match answer {
        SchoolAnswer::Problem(problem) if as_json => {
            problems.push(problem);
            Ok(())
        }
        SchoolAnswer::Problem(problem) => say(&text::problem(&problem)),
        SchoolAnswer::Import(line) if as_json => {
            planned = Some(line);
            Ok(())
        }
        SchoolAnswer::Import(line) => say(&text::import(&line)),
        _ => Ok(()),
    });
    if as_json {
        let outcome = match &ended {
            Ok(_) => "done",
            Err(Failure::Held(_)) => "held",
            Err(_) => "refused",
        };
        let end = ended.as_ref().ok();
        say(&pretty(&json!({ "outcome": outcome, "said": end, "import": planned, "problems": problems }))?)?;
        return ended.map(|_| ());
    }
    say(&ended?)
}

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::Other(error.to_string()))
}

fn say(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(|error| Failure::Other(format!("cannot write the answer: {error}")))
}

/// A list, printed line by line, or as a JSON array.
struct List {
    as_json: bool,
    count: usize,
}

impl List {
    fn new(as_json: bool) -> Self {
        Self { as_json, count: 0 }
    }

    fn add<T: Serialize>(&mut self, entry: &T, line: impl Fn(&T) -> String) -> Result<(), Failure> {
        let before = if self.count == 0 { "[\n" } else { ",\n" };
        self.count += 1;
        let cannot = |error: io::Error| Failure::Other(format!("cannot write the answer: {error}"));
        if self.as_json {
            let json = serde_json::to_string(entry).map_err(|error| error.to_string())?;
            return write!(io::stdout(), "{before}{json}").map_err(cannot);
        }
        say(&line(entry))
    }

    fn end(self) -> Result<(), Failure> {
        match (self.as_json, self.count) {
            (true, 0) => say("[]"),
            (true, _) => say("\n]"),
            (false, _) => Ok(()),
        }
    }
}
