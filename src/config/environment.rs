//! Options from environment variables: `HOMEROOM__SECTION__KEY` goes before the file.

use std::collections::BTreeMap;

use super::{
    problem::Problem,
    reader::{FILE_SUFFIX, Given},
};

const PREFIX: &str = "HOMEROOM__";

/// The values of each section, by the section's name.
pub(super) type Sections = BTreeMap<String, BTreeMap<String, Given>>;

/// The name of the variable that sets an option.
pub(super) fn variable(table: &str, option: &str) -> String {
    format!("{PREFIX}{}__{}", table.to_uppercase(), option.to_uppercase())
}

/// Puts the options that `environment` sets into `sections`, over what the file says.
pub(super) fn apply(
    sections: &mut Sections,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let path = rest.to_lowercase();
        let Some((table, option)) =
            path.split_once("__").filter(|(table, option)| !table.is_empty() && !option.is_empty())
        else {
            let problem = Problem::new(variable, "the name does not say which option it sets");
            problems.push(problem.hint(format!("write {PREFIX}SECTION__OPTION, such as HOMEROOM__SERVER__NAME")));
            continue;
        };
        let section = sections.entry(table.to_owned()).or_default();
        // The variable wins over either form of a secret in the file, not over another variable.
        let other = match option.strip_suffix(FILE_SUFFIX) {
            Some(secret) => secret.to_owned(),
            None => format!("{option}{FILE_SUFFIX}"),
        };
        if section.get(&other).is_some_and(|given| given.variable.is_none()) {
            section.remove(&other);
        }
        let value = parse(&text);
        section.insert(option.to_owned(), Given { value, variable: Some((variable, text)) });
    }
}

/// The TOML value that `text` is, or else `text` as a string.
fn parse(text: &str) -> toml::Value {
    let table: Option<toml::Table> = toml::from_str(&format!("value = {text}")).ok();
    // A line break in the text could smuggle in a second key.
    let value = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_toml_or_a_string() {
        assert_eq!(parse("true"), toml::Value::from(true));
        assert_eq!(parse("[\"a\"]"), toml::Value::Array(vec![toml::Value::from("a")]));
        assert_eq!(parse("\"quoted\""), toml::Value::from("quoted"));
        assert_eq!(parse("school.example"), toml::Value::from("school.example"));
        assert_eq!(parse("1\nother = 2"), toml::Value::from("1\nother = 2"));
        assert_eq!(parse(""), toml::Value::from(""));
    }

    #[test]
    fn a_variable_is_named_after_its_option() {
        assert_eq!(variable("registration", "shared_secret"), "HOMEROOM__REGISTRATION__SHARED_SECRET");
    }
}
