//! The lines of the file.

use super::{
    super::{
        problems::{Fault, Problems},
        table::{Column, Table, cut},
    },
    words::{Meaning, meaning, role},
};
use crate::school::roster::{Relation, SchoolRole};

/// The columns that the file has.
pub(super) struct Columns {
    pub(super) id: Column,
    pub(super) given: Column,
    pub(super) family: Column,
    pub(super) name: Column,
    pub(super) role: Column,
    pub(super) classes: Column,
    pub(super) tutor: Column,
    pub(super) grade: Column,
    pub(super) email: Column,
    pub(super) children: Column,
    pub(super) guardians: Column,
    pub(super) birth_year: Column,
}

/// A person's line.
pub(super) struct Row {
    pub(super) line: u64,
    /// As it is written; empty where it is to be made.
    pub(super) id: String,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) roles: Vec<(SchoolRole, Option<&'static str>, Relation)>,
    pub(super) classes: Vec<ClassName>,
    pub(super) grade: Option<String>,
    pub(super) email: Option<String>,
    pub(super) children: String,
    pub(super) guardians: String,
    pub(super) birth_year: Option<u16>,
}

/// A class in a cell.
pub(super) struct ClassName {
    /// The same for all ways to write it.
    pub(super) key: String,
    pub(super) title: String,
    pub(super) tutor: bool,
}

impl Columns {
    /// Finds them by their headers. `None` when the file cannot be what it is taken for.
    pub(super) fn find(table: &mut Table<'_>, problems: &mut Problems) -> Option<Self> {
        let headers: Vec<(Option<Meaning>, String)> =
            table.headers().iter().map(|header| (meaning(header), header.to_lowercase())).collect();
        let mut column = |wanted: Meaning| {
            let names: Vec<&str> =
                headers.iter().filter(|(meaning, _)| *meaning == Some(wanted)).map(|(_, name)| name.as_str()).collect();
            table.list_column(&names)
        };
        let mut columns = Self {
            id: column(Meaning::Id),
            given: column(Meaning::Given),
            family: column(Meaning::Family),
            name: column(Meaning::Name),
            role: column(Meaning::Role),
            classes: column(Meaning::Classes),
            tutor: column(Meaning::Tutor),
            grade: column(Meaning::Grade),
            email: column(Meaning::Email),
            children: column(Meaning::Children),
            guardians: column(Meaning::Guardians),
            birth_year: column(Meaning::BirthYear),
        };
        // Beside a column of given names, "Name" is the family's.
        if columns.given.is_there() && !columns.family.is_there() {
            columns.family = columns.name;
        }
        let named = columns.name.is_there() || (columns.given.is_there() && columns.family.is_there());
        if !columns.given.is_there() && !named {
            table.required_column("given", &[], problems)?;
        } else if !named {
            table.required_column("family", &[], problems)?;
        }
        if !columns.role.is_there() {
            table.required_column("role", &[], problems)?;
        }
        Some(columns)
    }

    /// The person of the row.
    pub(super) fn row(&self, table: &Table<'_>, problems: &mut Problems) -> Option<Row> {
        let (mut given, mut family) =
            (table.text(self.given).unwrap_or_default(), table.text(self.family).unwrap_or_default());
        if !self.given.is_there() {
            (given, family) = split_name(&table.text(self.name).unwrap_or_default());
        }
        if given.is_empty() && family.is_empty() {
            table.error(
                problems,
                self.given,
                Fault::new("missing_value", "the person has no name", "Fill in the name."),
            );
            return None;
        }
        let id = if table.cell(self.id).is_empty() { "" } else { table.id(self.id, problems)? };
        let mut roles = Vec::new();
        for word in
            table.cell(self.role).split([',', ';', '|', '+', '&']).map(str::trim).filter(|word| !word.is_empty())
        {
            if let Some(role) = role(word) {
                roles.push(role);
            } else {
                let message = format!("the role \"{}\" is not known", cut(word));
                let hint = "Write student, guardian, teacher, staff or leadership (Schüler, Eltern, Lehrkraft, Personal, Schulleitung).";
                table.error(problems, self.role, Fault::new("unknown_role", message, hint));
                return None;
            }
        }
        if roles.is_empty() {
            table.error(
                problems,
                self.role,
                Fault::new("missing_value", "the person has no role", "Such as student, guardian, teacher."),
            );
            return None;
        }
        let mut classes: Vec<ClassName> = parts(table.cell(self.classes)).map(|part| class_name(part, false)).collect();
        for tutored in parts(table.cell(self.tutor)).map(|part| class_name(part, true)) {
            match classes.iter_mut().find(|class| class.key == tutored.key) {
                Some(class) => class.tutor = true,
                None => classes.push(tutored),
            }
        }
        let year = table.cell(self.birth_year).parse().ok().filter(|year| (1900..2200).contains(year));
        Some(Row {
            line: table.line(),
            id: id.to_owned(),
            given,
            family,
            roles,
            classes,
            grade: table.text(self.grade),
            email: table.text(self.email),
            children: table.cell(self.children).to_owned(),
            guardians: table.cell(self.guardians).to_owned(),
            birth_year: year,
        })
    }
}

impl Row {
    /// Whether they have a role.
    pub(super) fn is(&self, wanted: SchoolRole) -> bool {
        self.roles.iter().any(|(role, ..)| *role == wanted)
    }

    /// Whether they have any role but that of a pupil.
    pub(super) fn is_adult(&self) -> bool {
        self.roles.iter().any(|(role, ..)| *role != SchoolRole::Student)
    }
}

fn parts(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([',', ';', '|', '\n']).map(str::trim).filter(|part| !part.is_empty())
}

fn class_name(text: &str, tutor: bool) -> ClassName {
    let (mut title, mut is_tutor) = (text.trim(), tutor);
    if let Some(before) = title.strip_suffix('*') {
        (title, is_tutor) = (before.trim(), true);
    }
    if let Some((before, mark)) = title.strip_suffix(')').and_then(|text| text.rsplit_once('('))
        && (mark.eq_ignore_ascii_case("KL") || super::words::meaning(mark) == Some(Meaning::Tutor))
    {
        (title, is_tutor) = (before.trim(), true);
    }
    ClassName { key: class_key(title), title: title.to_owned(), tutor: is_tutor }
}

/// `5 A` and `5a` are one class, `5/1` and `51` are two.
pub(super) fn class_key(title: &str) -> String {
    title.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// `Family, Given`, or the last word as the family name.
fn split_name(name: &str) -> (String, String) {
    let parts = name.split_once(',').map(|(family, given)| (given, family)).or_else(|| name.rsplit_once(' '));
    parts.map_or_else(
        || (String::new(), name.to_owned()),
        |(given, family)| (given.trim().to_owned(), family.trim().to_owned()),
    )
}
