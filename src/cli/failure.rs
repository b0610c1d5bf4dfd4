//! Why a command ends badly, for the person who gave it.

use std::{fmt, path::PathBuf};

use crate::config::Problem;

/// Why a command ends badly, with exit code 1 unless it says otherwise.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration is not valid.
    Configuration {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it; never empty.
        problems: Vec<Problem>,
    },
    /// Somebody has to confirm it: why. Exit code 3.
    Held(Vec<String>),
    /// Something else, in a sentence.
    Other(String),
}

impl Failure {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Held(_) => 3,
            Self::Configuration { .. } | Self::Other(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { file, problems } => {
                let (count, noun) = (problems.len(), if problems.len() == 1 { "problem" } else { "problems" });
                write!(f, "{count} {noun} in the configuration {}", file.display())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
            Self::Held(reasons) => {
                f.write_str("nothing is applied; look at it, and give the command again with --confirm:")?;
                reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))
            }
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_shown_with_their_hints() {
        let problems =
            vec![Problem::new("server.name", "it has to be set").hint("set it"), Problem::new("typo", "unknown")];
        let failure = Failure::Configuration { file: "h.toml".into(), problems };
        let expected = "2 problems in the configuration h.toml\n  server.name: it has to be set\n    hint: set it\n  typo: unknown";
        assert_eq!(failure.to_string(), expected);
    }
}
