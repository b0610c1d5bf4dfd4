//! `manifest.csv`: what the other files are (`OneRoster` 1.2 CSV binding, section "manifest.csv"), or what they seem to be
//! where it is missing.

use std::collections::BTreeMap;

use encoding_rs::UTF_8;

use super::super::{
    problems::{Fault, Problems},
    read::Reading,
    source::Source,
    table::{Table, cut},
};
use crate::school::problem::Severity;

/// How much a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything of its kind.
    Bulk,
    /// What changed.
    Delta,
    /// Nothing: it is not there.
    Absent,
}

/// The format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `OneRoster` 1.1.
    V11,
    /// `OneRoster` 1.2.
    V12,
    /// Microsoft School Data Sync v2.1.
    Sds,
}

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V11 => "oneroster-1.1",
            Self::V12 => "oneroster-1.2",
            Self::Sds => "sds-2.1",
        }
    }
}

/// Files that are read.
pub(super) const READ: [&str; 10] = [
    "orgs.csv",
    "academicsessions.csv",
    "courses.csv",
    "classes.csv",
    "users.csv",
    "demographics.csv",
    "roles.csv",
    "enrollments.csv",
    "relationships.csv",
    "metadata.homeroom.groups.csv",
];

/// Files of the formats that hold nothing a school's chat needs. `userProfiles` has passwords.
const NOT_READ: [&str; 16] = [
    "manifest.csv",
    "categories.csv",
    "classresources.csv",
    "courseresources.csv",
    "lineitems.csv",
    "lineitemlearningobjectiveids.csv",
    "lineitemscorescales.csv",
    "resources.csv",
    "results.csv",
    "resultlearningobjectiveids.csv",
    "resultscorescales.csv",
    "scorescales.csv",
    "userprofiles.csv",
    "userresources.csv",
    "userflags.csv",
    "sessions.csv",
];

/// What is to be read.
pub(super) struct Manifest {
    pub(super) dialect: Dialect,
    modes: BTreeMap<&'static str, Mode>,
}

impl Manifest {
    /// Reads it, or concludes it from the files.
    pub(super) fn read(source: &mut Source, reading: &mut Reading<'_>) -> Self {
        let (mut version, mut told) = (None, BTreeMap::new());
        let there = source.has("manifest.csv");
        if there {
            (version, told) = properties(source, reading);
        }
        let dialect = version.unwrap_or_else(|| guess(source));
        if !there && dialect != Dialect::Sds {
            let hint = "Every file is taken to tell everything of its kind.";
            reading.problems.warn("manifest.csv", Fault::new("missing_manifest", "there is no manifest.csv", hint));
        }
        let delta = told.values().any(|mode| *mode == Mode::Delta);
        let mut modes = BTreeMap::new();
        for name in READ {
            modes.insert(name, mode(source, &mut reading.problems, name, told.get(name).copied(), (there, delta)));
        }
        let bulk = modes.values().all(|mode| *mode != Mode::Delta);
        for name in ["orgs.csv", "users.csv"] {
            if bulk && !source.has(name) && !told.contains_key(name) {
                let fault = Fault::new("missing_file", format!("there is no {name}"), "Add it to the export.");
                reading.problems.error(name, fault);
            }
        }
        let unknown = |name: &&str| !READ.contains(name) && !NOT_READ.contains(name);
        for name in source.files().filter(unknown).map(str::to_owned).collect::<Vec<_>>() {
            let fault = Fault::new(
                "unknown_file",
                "no such file is known, and it is not read",
                "Look whether its name is right.",
            );
            reading.problems.warn(&source.written(&name), fault);
        }
        Self { dialect, modes }
    }

    /// How much a file tells.
    pub(super) fn mode(&self, name: &str) -> Mode {
        self.modes.get(name).copied().unwrap_or(Mode::Absent)
    }
}

/// How much a file tells, from what is told of it and whether it is there.
fn mode(
    source: &Source,
    problems: &mut Problems,
    name: &'static str,
    told: Option<Mode>,
    manifest: (bool, bool),
) -> Mode {
    let written = source.written(name);
    match (told, source.has(name)) {
        (None | Some(Mode::Absent), false) => Mode::Absent,
        (Some(Mode::Absent), true) => {
            let fault = Fault::new(
                "unexpected_file",
                "manifest.csv says that there is no such file; it is not read",
                "Correct the manifest.",
            );
            problems.warn(&written, fault);
            Mode::Absent
        }
        (Some(_), false) => {
            let fault = Fault::new(
                "missing_file",
                "manifest.csv tells of the file, but it is not there",
                "Add it to the export.",
            );
            problems.error(name, fault);
            Mode::Absent
        }
        (Some(mode), true) => mode,
        (None, true) => {
            let (there, delta) = manifest;
            if there && !name.starts_with("metadata.") {
                let fault = Fault::new(
                    "unexpected_file",
                    "manifest.csv does not tell of the file; it is read like the others",
                    "Correct the manifest.",
                );
                problems.warn(&written, fault);
            }
            if delta { Mode::Delta } else { Mode::Bulk }
        }
    }
}

type Properties = (Option<Dialect>, BTreeMap<String, Mode>);

fn properties(source: &mut Source, reading: &mut Reading<'_>) -> Properties {
    let (mut version, mut told) = (None, BTreeMap::new());
    let Some(mut table) = reading.open(source, "manifest.csv") else { return (version, told) };
    let problems = &mut reading.problems;
    let name = table.required_column("propertyName", &["property", "name"], problems);
    let value = table.required_column("value", &[], problems);
    let (Some(name), Some(value)) = (name, value) else { return (version, told) };
    while table.next(problems) {
        let property = table.cell(name).to_lowercase();
        let text = table.cell(value);
        if property == "oneroster.version" {
            version = match text.trim_start_matches(['v', 'V']) {
                "1.1" => Some(Dialect::V11),
                text if text == "1.2" || text.starts_with("1.2.") => Some(Dialect::V12),
                _ => {
                    let message =
                        format!("the version \"{}\" is not known; the files tell which it is like", cut(text));
                    table.warn(problems, value, Fault::new("unknown_version", message, "Export OneRoster 1.1 or 1.2."));
                    None
                }
            };
        } else if let Some(file) = property.strip_prefix("file.") {
            let mode = match text.to_lowercase().as_str() {
                "bulk" => Mode::Bulk,
                "delta" => Mode::Delta,
                "absent" | "" => Mode::Absent,
                _ => {
                    let message = format!("\"{}\" is none of bulk, delta and absent", cut(text));
                    let fault = Fault::new("bad_mode", message, "Correct the manifest.");
                    table.error(problems, value, fault);
                    continue;
                }
            };
            told.insert(format!("{}.csv", file.trim_end_matches(".csv")), mode);
        }
    }
    (version, told)
}

/// What the files are like: School Data Sync has no ids of enrolments and roles, `OneRoster` 1.1 has roles in `users.csv`.
fn guess(source: &mut Source) -> Dialect {
    let lacks_ids =
        |headers: Option<Vec<String>>| headers.is_some_and(|headers| !headers.iter().any(|name| name == "sourcedid"));
    if source.has("relationships.csv")
        || lacks_ids(headers(source, "enrollments.csv"))
        || lacks_ids(headers(source, "roles.csv"))
    {
        Dialect::Sds
    } else if source.has("roles.csv") {
        Dialect::V12
    } else {
        Dialect::V11
    }
}

/// The columns of a file in lower case, without any judgement on them.
fn headers(source: &mut Source, name: &str) -> Option<Vec<String>> {
    let limits = source.limits;
    let stream = source.stream(name).ok()?;
    let mut problems = Problems::default();
    let table = Table::open(name.to_owned(), stream, UTF_8, limits, &mut problems)?;
    Some(table.headers().iter().map(|header| header.to_lowercase()).collect())
}

/// A warning about a row that has been left behind already.
pub(super) fn warn_line(problems: &mut Problems, file: &str, line: u64, column: &str, fault: Fault) {
    problems.push(fault.at(Severity::Warning, file, Some(line), Some(column)));
}
