//! Collects what is wrong, without growing with the files.

use crate::school::problem::{Problem, Severity};

/// Errors that are kept, and as many warnings: a file of another format has one in every row.
const KEPT_MAX: usize = 1_000;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    kept: [Vec<Problem>; 2],
    counts: [u64; 2],
}

/// What is wrong, without where: a code for programs, a sentence for people, and what to do.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// `snake_case`.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
}

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }

    /// The fault of a place in a file.
    pub(super) fn at(self, severity: Severity, file: &str, line: Option<u64>, column: Option<&str>) -> Problem {
        let Self { code, message, hint } = self;
        Problem { severity, file: file.to_owned(), line, column: column.map(str::to_owned), code, message, hint }
    }
}

impl Problems {
    /// Takes note of one.
    pub(super) fn push(&mut self, problem: Problem) {
        let place = usize::from(problem.severity == Severity::Error);
        if let (Some(kept), Some(count)) = (self.kept.get_mut(place), self.counts.get_mut(place)) {
            *count += 1;
            if kept.len() < KEPT_MAX {
                kept.push(problem);
            }
        }
    }

    /// An error about a whole file, or about the bundle when `file` is empty.
    pub(super) fn error(&mut self, file: &str, fault: Fault) {
        self.push(fault.at(Severity::Error, file, None, None));
    }

    /// A warning about a whole file, or about the bundle when `file` is empty.
    pub(super) fn warn(&mut self, file: &str, fault: Fault) {
        self.push(fault.at(Severity::Warning, file, None, None));
    }

    /// How many errors there are, kept or not.
    pub(super) fn errors(&self) -> u64 {
        self.counts[1]
    }

    /// How many warnings there are, kept or not.
    pub(super) fn warnings(&self) -> u64 {
        self.counts[0]
    }

    /// All that were kept, errors first, and a line for those that were not.
    pub(super) fn finish(self) -> Vec<Problem> {
        let [warnings, errors] = self.kept;
        let mut all = Vec::with_capacity(errors.len() + warnings.len());
        for (kept, count, severity, name) in [
            (errors, self.counts[1], Severity::Error, "errors"),
            (warnings, self.counts[0], Severity::Warning, "warnings"),
        ] {
            let more = count - kept.len() as u64;
            all.extend(kept);
            if more > 0 {
                let message = format!("{more} more {name} are not listed");
                let fault =
                    Fault::new("more_problems", message, "Mend those that are listed, then read the files again.");
                all.push(fault.at(severity, "", None, None));
            }
        }
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_warnings_does_not_hide_an_error_and_is_counted() {
        let mut problems = Problems::default();
        for _ in 0..5_000 {
            problems.warn("a.csv", Fault::new("w", "w", ""));
        }
        problems.error("a.csv", Fault::new("e", "e", ""));
        assert_eq!((problems.errors(), problems.warnings()), (1, 5_000));
        let all = problems.finish();
        assert_eq!(all[0].code, "e");
        assert_eq!(all.len(), 1_002);
        assert_eq!(all[1_001].message, "4000 more warnings are not listed");
    }
}
