//! `[logging]`: what is logged, and how.

use super::{
    problem::{Refusal, did_you_mean},
    section::section,
    value::{Value, quoted, string, words},
};

section! {
    /// What is logged (to standard error), and how.
    pub struct Logging in "logging" {
        /// "human" for people, "json" for machines: one object in each line.
        pub format: LogFormat = LogFormat::Human;

        /// "error", "warn", "info", "debug", "trace" or "off", and after commas other levels for parts of the
        /// program, such as `info,homeroom::sync=debug`.
        pub level: LogFilter = LogFilter("info".to_owned());
    }
}

words! {
    /// The form of a log line.
    pub enum LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object in each line.
        Json = "json",
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Levels for the program and its parts, in the notation of `tracing`'s filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter's text: levels, and `target=level`, between commas.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogFilter {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "a level")?;
        for part in text.split(',').map(str::trim) {
            let level = match part.split_once('=') {
                Some((target, level)) if is_target(target) => level,
                Some((target, _)) => return Err(Refusal::new(format!("{target:?} is not a part of a program"))),
                None => part,
            };
            if !LEVELS.contains(&level) {
                let refusal = Refusal::new(format!("{level:?} is not a level"));
                let hint =
                    did_you_mean(level, LEVELS).unwrap_or_else(|| format!("the levels are {}", LEVELS.join(", ")));
                return Err(refusal.hint(hint));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Whether `text` can be the path of a module.
fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_one_by_one() {
        let read = |text: &str| LogFilter::read(&toml::Value::from(text));
        for text in ["info", "off", "warn,homeroom::sync=trace", "info, hyper=error"] {
            assert_eq!(read(text).unwrap().as_str(), text);
        }
        for text in ["", "loud", "info,", "info,homeroom=loud", "=info", "a b=info", "INFO"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("inf").unwrap_err().hint.as_deref(), Some("did you mean `info`?"));
    }
}
