//! What a check found.

use std::fmt;

/// Findings kept with their text; more are only counted.
const KEPT: usize = 200;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The table with the row.
    pub table: &'static str,
    /// Which row, and what is wrong. It holds numbers and ids, never contents.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.what)
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The first findings, in the order of the tables.
    pub findings: Vec<Finding>,
    /// All findings, also those that are not kept.
    pub findings_total: u64,
    /// Rows looked at.
    pub rows: u64,
}

impl Report {
    /// Notes that `what` is wrong with a row of `table`.
    pub(super) fn find(&mut self, table: &'static str, what: impl FnOnce() -> String) {
        self.findings_total += 1;
        if self.findings.len() < KEPT {
            self.findings.push(Finding { table, what: what() });
        }
    }
}
