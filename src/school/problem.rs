//! What is wrong with a roster's files, in words for the person who made them.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It can be imported; somebody should look at it.
    Warning,
    /// Nothing is imported until it is mended.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it is called in the bundle; empty for the bundle as a whole.
    pub file: String,
    /// The line, from 1, the header included; `None` for the file as a whole.
    pub line: Option<u64>,
    /// The column's header, as the file writes it.
    pub column: Option<String>,
    /// What is wrong, for programs: `snake_case`, such as `dangling_reference`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}
