//! Imports, problems, people and decisions for people to read.

use std::fmt::Write as _;

use serde_json::Value;

use crate::school::{Explained, PersonLine, orders::ImportLine};

/// A problem as compilers say it: file, line and column first.
pub(super) fn problem(problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut said = text("file").to_owned();
    if let Some(line) = problem.get("line").and_then(Value::as_u64) {
        let _ = write!(said, ":{line}");
    }
    if !text("column").is_empty() {
        let _ = write!(said, ":{}", text("column"));
    }
    if !said.is_empty() {
        said.push_str(": ");
    }
    let _ = write!(said, "{} {}: {}", text("severity"), text("code"), text("message"));
    if !text("hint").is_empty() {
        let _ = write!(said, "\n    hint: {}", text("hint"));
    }
    printable(&said)
}

/// An import with its plan.
pub(super) fn import(line: &ImportLine) -> String {
    let counts = line.counts;
    let mut said = format!(
        "import {} of {} ({}): {}, {} new, {} changed, {} removed, {} errors, {} warnings",
        line.id,
        line.source,
        if line.format.is_empty() { "unknown format" } else { &line.format },
        line.state.name(),
        counts.created,
        counts.updated,
        counts.removed,
        counts.errors,
        counts.warnings,
    );
    for line in &line.summary {
        let _ = write!(said, "\n  {line}");
    }
    for hold in &line.holds {
        let _ = write!(said, "\n  to be confirmed: {hold}");
    }
    printable(&said)
}

/// A person in one line.
pub(super) fn person(line: &PersonLine) -> String {
    let classes: Vec<_> = line.classes.iter().map(|class| class.title.as_str()).collect();
    let roles = if line.gone { "left".to_owned() } else { line.roles.join(", ") };
    let id = line.source_id.as_deref().unwrap_or("-");
    let said = format!("{:<40} {:<28} {:<20} {:<16} {}", line.user_id, line.name, roles, id, classes.join(", "));
    printable(said.trim_end())
}

/// A decision with everything that led to it.
pub(super) fn why(why: &Explained) -> String {
    let mut said = format!("{} may {} {}: {}", why.actor, why.verb, why.target, why.outcome);
    if let Some(adults) = why.adults {
        let _ = write!(said, ", with {adults} adults in the room at least");
    }
    let _ = write!(said, "\n  rule: {}", why.rule);
    for (what, list) in
        [("roles", &why.actor_roles), ("roles of the other", &why.target_roles), ("relations", &why.relations)]
    {
        let _ = write!(said, "\n  {what}: {}", if list.is_empty() { "none".to_owned() } else { list.join(", ") });
    }
    if why.hidden {
        said.push_str("\n  hidden: to the one, the other does not exist");
    }
    if !why.message.is_empty() {
        let _ = write!(said, "\n  told: {}", why.message);
    }
    said.push_str("\n  looked at:");
    for step in &why.steps {
        let _ = write!(said, "\n    {} ({}): {}", step.rule, step.verb, step.outcome.as_deref().unwrap_or("-"));
    }
    let _ = write!(said, "\n  settings: version {}", why.policy_version);
    printable(&said)
}

/// What would become of the rooms, or became of them.
pub(super) fn rollover(told: &Value) -> String {
    let mut said = String::from("rooms:");
    for (name, value) in told.as_object().into_iter().flatten() {
        match value {
            Value::Number(count) => {
                let _ = write!(said, "\n  {}: {count}", name.replace('_', " "));
            }
            Value::Array(examples) => {
                for example in examples {
                    let name = example.get("name").and_then(Value::as_str).unwrap_or_default();
                    let kind = example.get("kind").and_then(Value::as_str).unwrap_or_default();
                    let _ = write!(said, "\n    {kind} {name}");
                }
            }
            _ => {}
        }
    }
    printable(&said)
}

/// Without what could move a terminal's cursor: names come from strangers' files.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() || *character == '\n').collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_says_where_it_is() {
        let told = json!({
            "severity": "error", "file": "users.csv", "line": 7, "column": "role", "code": "unknown_role",
            "message": "there is no role \u{1b}[31mwizard", "hint": "Use student.",
        });
        let expected = "users.csv:7:role: error unknown_role: there is no role [31mwizard\n    hint: Use student.";
        assert_eq!(problem(&told), expected);
        let whole =
            json!({ "severity": "error", "file": "", "code": "no_files", "message": "there is nothing", "hint": "" });
        assert_eq!(problem(&whole), "error no_files: there is nothing");
    }
}
