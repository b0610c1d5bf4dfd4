//! From a path to a bundle: which format it is, and what all formats share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{
    bounded::{Limits, fault_of},
    encoding::survey,
    oneroster,
    problems::{Fault, Problems},
    references, simple,
    source::Source,
    table::{Column, Table},
};
use crate::school::{
    problem::Problem,
    roster::{Bundle, ObjectKind, Roster, SourceId},
};

/// What the reader cannot know from the files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// The school's name, for the simple CSV, which has none.
    pub school: Option<&'a str>,
    /// What is stored of this source: what a delta may refer to. Without it, what a delta refers to is not checked.
    pub stored: Option<&'a Roster>,
    /// Bounds.
    pub limits: Limits,
}

/// What came of reading.
#[derive(Debug, Clone)]
pub struct ReadOutcome {
    /// What the files tell; `None` if they have an error.
    pub bundle: Option<Bundle>,
    /// What is wrong with them, errors first: the first 1,000 errors and the first 1,000 warnings.
    pub problems: Vec<Problem>,
    /// How many errors there are.
    pub errors: u64,
    /// How many warnings there are.
    pub warnings: u64,
}

/// Reads a school's files: a ZIP, a folder, or a single CSV. Blocks; nothing is written anywhere.
///
/// `OneRoster` 1.1 and 1.2 CSV (1EdTech), Microsoft School Data Sync v2.1 CSV, or the simple CSV of one line a person.
pub fn read(path: &Path, hints: &Hints<'_>) -> ReadOutcome {
    let mut reading = Reading::new(*hints);
    if let Some(mut source) = Source::open(path, hints.limits, &mut reading.problems) {
        let names: Vec<String> = source.files().map(str::to_owned).collect();
        let is_bundle =
            names.iter().any(|name| matches!(name.as_str(), "manifest.csv" | "orgs.csv" | "enrollments.csv"));
        match names.as_slice() {
            _ if is_bundle => oneroster::read(&mut source, &mut reading),
            [only] => simple::read(&mut source, only, &mut reading),
            [] => reading.problems.error("", no_files()),
            _ => {
                let message = format!("{} tables, but neither a manifest.csv nor an orgs.csv among them", names.len());
                let hint = "A OneRoster bundle has a manifest.csv; the simple format is a single file.";
                reading.problems.error("", Fault::new("unknown_format", message, hint));
            }
        }
    }
    references::check(&mut reading);
    reading.finish()
}

fn no_files() -> Fault {
    Fault::new("no_files", "there is no CSV file", "The files are at the top of the ZIP, or in one folder of it.")
}

/// What has been read so far, and what is needed to go on.
pub(super) struct Reading<'a> {
    pub(super) problems: Problems,
    pub(super) bundle: Bundle,
    pub(super) hints: Hints<'a>,
    /// Rows of complete files that say they are to be removed.
    pub(super) left_out: BTreeMap<ObjectKind, HashSet<SourceId>>,
    /// Where things of a kind that refers to its own kind stand: file and line.
    pub(super) lines: HashMap<(ObjectKind, SourceId), u64>,
    hashes: BTreeMap<String, [u8; 32]>,
}

/// What a reference leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Something that is there, or that nobody can check here.
    There,
    /// A row that is to be removed.
    Removed,
    /// Nothing, though the file tells of all.
    Missing,
    /// The files do not tell of this kind at all.
    NotTold,
}

impl<'a> Reading<'a> {
    fn new(hints: Hints<'a>) -> Self {
        Self {
            problems: Problems::default(),
            bundle: Bundle::default(),
            hints,
            left_out: BTreeMap::new(),
            lines: HashMap::new(),
            hashes: BTreeMap::new(),
        }
    }

    /// Opens a table: looks at the whole file once, then begins again.
    pub(super) fn open<'s>(&mut self, source: &'s mut Source, name: &str) -> Option<Table<'s>> {
        let file = source.written(name);
        let surveyed = source.stream(name).and_then(|mut stream| survey(&mut *stream));
        let survey = match surveyed {
            Ok(survey) => survey,
            Err(error) => {
                self.problems.error(&file, fault_of(&error));
                return None;
            }
        };
        if survey.bytes > source.total_left {
            let message = format!("all files together have more than {} bytes", source.limits.total_bytes);
            self.problems.error(&file, Fault::new("file_too_large", message, "Export a school at a time."));
            return None;
        }
        source.total_left -= survey.bytes;
        self.hashes.insert(name.to_owned(), survey.sha256);
        let encoding = match survey.encoding {
            Ok(encoding) => encoding,
            Err(line) => {
                let fault = Fault::new(
                    "bad_encoding",
                    "the line is in no encoding that can be read",
                    "Save the file as UTF-8.",
                );
                self.problems.push(fault.at(crate::school::problem::Severity::Error, &file, Some(line), None));
                return None;
            }
        };
        if encoding != encoding_rs::UTF_8 {
            let message = format!("the file is read as {}", encoding.name());
            self.problems
                .warn(&file, Fault::new("encoding", message, "Look whether names are right, or save it as UTF-8."));
        }
        let limits = source.limits;
        match source.stream(name) {
            Ok(stream) => Table::open(file, stream, encoding, limits, &mut self.problems),
            Err(error) => {
                self.problems.error(&file, fault_of(&error));
                None
            }
        }
    }

    /// What a reference leads to.
    pub(super) fn target(&self, kind: ObjectKind, id: &str) -> Target {
        if has(&self.bundle.roster, kind, id) {
            return Target::There;
        }
        if self.left_out.get(&kind).is_some_and(|ids| ids.contains(id)) {
            return Target::Removed;
        }
        if self.bundle.complete.contains(&kind) {
            return Target::Missing;
        }
        match self.hints.stored {
            Some(stored) if has(stored, kind, id) => Target::There,
            Some(_) => Target::Missing,
            None => Target::NotTold,
        }
    }

    fn finish(mut self) -> ReadOutcome {
        let mut hash = Sha256::new();
        for (name, sha256) in &self.hashes {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_bytes());
            hash.update(sha256);
        }
        self.bundle.sha256 = hash.finalize().into();
        let (errors, warnings) = (self.problems.errors(), self.problems.warnings());
        let bundle = (errors == 0).then_some(self.bundle);
        ReadOutcome { bundle, problems: self.problems.finish(), errors, warnings }
    }
}

/// The ids of a file's rows, to tell those that come twice.
#[derive(Default)]
pub(super) struct Ids {
    lines: HashMap<String, u64>,
}

impl Ids {
    /// Whether an id is new in its file; if not, that is among the problems.
    pub(super) fn claim(&mut self, id: &str, table: &Table<'_>, column: Column, problems: &mut Problems) -> bool {
        if let Some(line) = self.lines.get(id) {
            let message = format!("the id {} is that of line {line} already", super::table::cut(id));
            let hint = "Every row has an id of its own: leave one row out, or give it another id.";
            table.error(problems, column, Fault::new("duplicate_id", message, hint));
            return false;
        }
        self.lines.insert(id.to_owned(), table.line());
        true
    }

    /// Every id with its line.
    pub(super) fn into_lines(self) -> HashMap<String, u64> {
        self.lines
    }
}

/// Whether a roster has an object.
pub(super) fn has(roster: &Roster, kind: ObjectKind, id: &str) -> bool {
    match kind {
        ObjectKind::Org => roster.orgs.contains_key(id),
        ObjectKind::Session => roster.sessions.contains_key(id),
        ObjectKind::Course => roster.courses.contains_key(id),
        ObjectKind::Class => roster.classes.contains_key(id),
        ObjectKind::Person => roster.people.contains_key(id),
        ObjectKind::Role => roster.roles.contains_key(id),
        ObjectKind::Enrollment => roster.enrollments.contains_key(id),
        ObjectKind::Link => roster.links.contains_key(id),
        ObjectKind::Group => roster.groups.contains_key(id),
    }
}

/// All kinds: what a file tells that tells everything.
pub(super) fn every_kind() -> BTreeSet<ObjectKind> {
    ObjectKind::ALL.into_iter().collect()
}
