//! What all tables share: an id, a state, and references to rows of other tables.

use super::{
    super::{
        problems::{Fault, Problems},
        read::{Ids, Reading, Target},
        source::Source,
        table::{Column, Table, cut},
    },
    manifest::Mode,
};
use crate::school::roster::ObjectKind;

/// A table whose rows are objects.
pub(super) struct Rows<'t> {
    pub(super) table: Table<'t>,
    kind: ObjectKind,
    mode: Mode,
    id: Column,
    status: Column,
    ids: Ids,
}

impl<'t> Rows<'t> {
    /// Opens the table of a kind. `own_ids` is false where the format gives its rows none.
    pub(super) fn open(
        source: &'t mut Source,
        reading: &mut Reading<'_>,
        (file, mode): (&str, Mode),
        kind: ObjectKind,
        own_ids: bool,
    ) -> Option<Self> {
        if mode == Mode::Absent {
            return None;
        }
        if mode == Mode::Bulk {
            reading.bundle.complete.insert(kind);
        }
        let mut table = reading.open(source, file)?;
        let id = if own_ids {
            table.required_column("sourcedId", &["sourceid", "id"], &mut reading.problems)?
        } else {
            table.column(&["sourcedid"])
        };
        let status = table.column(&["status"]);
        Some(Self { table, kind, mode, id, status, ids: Ids::default() })
    }

    /// A column that must be there.
    pub(super) fn need(&mut self, reading: &mut Reading<'_>, name: &str, others: &[&str]) -> Option<Column> {
        self.table.required_column(name, others, &mut reading.problems)
    }

    /// Goes to the next row that is in force, and gives its id; an empty one where the format has none.
    pub(super) fn next(&mut self, reading: &mut Reading<'_>) -> Option<String> {
        while self.table.next(&mut reading.problems) {
            let id = if self.id.is_there() {
                let Some(id) = self.table.id(self.id, &mut reading.problems) else { continue };
                id.to_owned()
            } else {
                String::new()
            };
            let Some(active) = self.is_active(&mut reading.problems) else { continue };
            if !active {
                self.remove(reading, id);
            } else if id.is_empty() || self.ids.claim(&id, &self.table, self.id, &mut reading.problems) {
                return Some(id);
            }
        }
        None
    }

    /// `inactive` is what `OneRoster` 1.0 called `tobedeleted`.
    fn is_active(&self, problems: &mut Problems) -> Option<bool> {
        let status = self.table.cell(self.status);
        if status.is_empty() {
            if self.mode == Mode::Delta {
                let fault = Fault::new(
                    "missing_status",
                    "the row has no status, and counts as active",
                    "In a delta, every row has a status.",
                );
                self.table.warn_once(problems, self.status, fault);
            }
            return Some(true);
        }
        match status.to_ascii_lowercase().as_str() {
            "active" => Some(true),
            "tobedeleted" | "inactive" => Some(false),
            _ => {
                let message = format!("\"{}\" is no status", cut(status));
                self.table.error(
                    problems,
                    self.status,
                    Fault::new("unknown_status", message, "Write active or tobedeleted."),
                );
                None
            }
        }
    }

    fn remove(&self, reading: &mut Reading<'_>, id: String) {
        if id.is_empty() {
            return;
        }
        if self.mode == Mode::Delta {
            reading.bundle.removed.insert((self.kind, id.clone()));
        }
        reading.left_out.entry(self.kind).or_default().insert(id);
    }

    /// Leaves out a row because of one that is removed.
    pub(super) fn leave_out(&self, reading: &mut Reading<'_>, id: &str) {
        reading.left_out.entry(self.kind).or_default().insert(id.to_owned());
    }

    /// Whether what a row cannot be without is there. What is wrong with it is among the problems.
    pub(super) fn refers(&self, reading: &mut Reading<'_>, column: Column, kind: ObjectKind, id: &str) -> bool {
        let name = kind.name();
        match reading.target(kind, id) {
            Target::There => true,
            Target::NotTold => {
                let message = format!("the files do not tell of the {name} {}", cut(id));
                let fault = Fault::new("unchecked_reference", message, "It must be known from an earlier import.");
                self.table.warn_once(&mut reading.problems, column, fault);
                true
            }
            Target::Removed => {
                let message = format!("the {name} {} is to be removed, so this row is left out", cut(id));
                self.table.warn(
                    &mut reading.problems,
                    column,
                    Fault::new("reference_to_removed", message, "Remove this row too."),
                );
                false
            }
            Target::Missing => {
                let message = format!("there is no {name} {}", cut(id));
                let hint = format!("Add the {name} to the export, or leave this row out.");
                self.table.error(&mut reading.problems, column, Fault::new("dangling_reference", message, hint));
                false
            }
        }
    }

    /// Whether something a row can be without is there; if not, it is left out with a warning.
    pub(super) fn may_refer(&self, reading: &mut Reading<'_>, column: Column, kind: ObjectKind, id: &str) -> bool {
        let name = kind.name();
        let target = reading.target(kind, id);
        if target == Target::There || (target == Target::NotTold && self.mode == Mode::Delta) {
            return true;
        }
        let message = format!("there is no {name} {}; the reference is left out", cut(id));
        let fault = Fault::new("dropped_reference", message, "Add it to the export if it matters.");
        if target == Target::NotTold {
            self.table.warn_once(&mut reading.problems, column, fault);
        } else {
            self.table.warn(&mut reading.problems, column, fault);
        }
        false
    }

    /// Ends reading. What a delta both sets and removes is set.
    pub(super) fn end(self, reading: &mut Reading<'_>) {
        if reading.bundle.removed.is_empty() {
            return;
        }
        for (id, line) in self.ids.into_lines() {
            if reading.bundle.removed.remove(&(self.kind, id.clone())) {
                let message = format!("{} is both set and removed; it is set", cut(&id));
                let fault = Fault::new("set_and_removed", message, "Leave one of the rows out.");
                super::manifest::warn_line(&mut reading.problems, self.table.file(), line, "status", fault);
            }
        }
    }
}
