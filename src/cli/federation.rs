//! `homeroom federation`: the conversation with other servers, beside a running server or without one.

use std::io::{self, Write as _};

use super::{args::FederationCommand, failure::Failure, office::Office};
use crate::{
    config::Config,
    federation::outbound::{FederationAnswer, FederationOrder, ServerLine},
    secret::Secret,
};

/// Carries out `command` on the running server, or on its data folder when it is stopped.
pub(super) fn federation(config: &Config, command: &FederationCommand) -> Result<(), Failure> {
    match command {
        FederationCommand::Status { server, json } => {
            let order = FederationOrder::FederationStatus { server: server.clone() };
            ask(config, &order, |line| if *json { as_json(line) } else { Ok(as_text(line)) })
        }
        FederationCommand::Retry { server } => {
            let order = FederationOrder::FederationRetry { server: server.clone() };
            ask(config, &order, |line| Ok(as_text(line)))
        }
        FederationCommand::RotateKey => ask(config, &FederationOrder::FederationRotateKey {}, |line| Ok(as_text(line))),
    }
}

fn ask(
    config: &Config,
    order: &FederationOrder,
    show: impl Fn(&ServerLine) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let mut office = Office::reach(config)?;
    office.converse(&Secret::new(order.to_line()), |answer| match answer {
        FederationAnswer::Server(line) => {
            say(&show(&line)?)?;
            Ok(false)
        }
        FederationAnswer::Done(text) => {
            if !text.is_empty() {
                say(&text)?;
            }
            Ok(true)
        }
        FederationAnswer::Failed(reason) => Err(Failure::Other(reason)),
    })
}

fn say(text: &str) -> Result<(), Failure> {
    let said = writeln!(io::stdout(), "{text}");
    said.map_err(|error| Failure::Other(format!("cannot write the answer: {error}")))
}

fn as_json(line: &ServerLine) -> Result<String, Failure> {
    serde_json::to_string(line).map_err(|error| error.to_string().into())
}

/// A server for people: its name, whether it answers, and what waits for it.
fn as_text(line: &ServerLine) -> String {
    let state = match line {
        ServerLine { allowed: false, .. } => "not allowed".to_owned(),
        ServerLine { failing_since_ms, retry_at_ms, .. } if *failing_since_ms > 0 => {
            let next = if *retry_at_ms > 0 { format!(", next try {}", time(*retry_at_ms)) } else { String::new() };
            format!("failing since {} ({} times){next}", time(*failing_since_ms), line.failures)
        }
        ServerLine { retry_at_ms, .. } if *retry_at_ms > 0 => {
            format!("refuses what it is sent, next try {}", time(*retry_at_ms))
        }
        ServerLine { last_success_ms: 0, .. } => "not asked yet".to_owned(),
        _ => "works".to_owned(),
    };
    let answered = if line.last_success_ms > 0 { time(line.last_success_ms) } else { "never".to_owned() };
    let mut facts = vec![state, format!("last answer {answered}"), format!("{} rooms shared", line.rooms)];
    if line.events_behind > 0 || line.rooms_behind > 0 {
        facts.push(format!("{} events behind in {} rooms", line.events_behind, line.rooms_behind));
    }
    if line.edus_waiting > 0 {
        facts.push(format!("{} other items waiting", line.edus_waiting));
    }
    format!("{:<40} {}", line.server, facts.join("; "))
}

fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
    time.map_or_else(|| "?".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs, reason = "tests may fail loudly")]
mod tests {
    use ruma::owned_server_name;

    use super::*;
    use crate::config::Size;

    fn line() -> ServerLine {
        ServerLine {
            server: "b.example".to_owned(),
            allowed: true,
            last_success_ms: 1_700_000_000_000,
            failing_since_ms: 0,
            failures: 0,
            retry_at_ms: 0,
            rooms: 3,
            rooms_behind: 0,
            events_behind: 0,
            edus_waiting: 0,
        }
    }

    #[test]
    fn a_server_is_described() {
        let works = as_text(&line());
        assert!(works.contains("works; last answer 2023-11-14 22:13:20 UTC; 3 rooms shared"), "{works}");
        let failing = ServerLine {
            failing_since_ms: 1_700_000_000_000,
            failures: 4,
            retry_at_ms: 1_700_000_360_000,
            rooms_behind: 2,
            events_behind: 7,
            edus_waiting: 1,
            ..line()
        };
        let failing = as_text(&failing);
        assert!(failing.contains("failing since 2023-11-14 22:13:20 UTC (4 times), next try 2023-11-14 22:19:20 UTC"));
        assert!(failing.ends_with("7 events behind in 2 rooms; 1 other items waiting"), "{failing}");
        assert!(as_text(&ServerLine { allowed: false, ..line() }).contains("not allowed"));
        assert!(as_text(&ServerLine { last_success_ms: 0, ..line() }).contains("not asked yet; last answer never"));
    }

    #[test]
    fn a_stopped_server_can_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(owned_server_name!("school.example"));
        config.database.path = folder.path().join("data");
        config.database.memory = Size::mib(16);
        federation(&config, &FederationCommand::Status { server: None, json: false }).unwrap();
        let unknown = federation(&config, &FederationCommand::Retry { server: "b.example".to_owned() });
        assert!(unknown.unwrap_err().to_string().contains("has not met"));
    }
}
