//! What people are, and where.

use super::{
    super::{
        problems::{Fault, Problems},
        read::Reading,
        source::Source,
        table::{Column, Table, cut},
    },
    manifest::{Dialect, Mode},
    rows::Rows,
};
use crate::school::roster::{ObjectKind, Period, RoleGrant, SchoolRole};

/// The columns that tell a role; the last two are of our own export, for roles that the format has no word for.
pub(super) struct RoleColumns {
    pub(super) role: Column,
    own_role: Column,
    own_title: Column,
}

impl RoleColumns {
    pub(super) fn of(table: &mut Table<'_>, role: Column) -> Self {
        let own_role = table.column(&["metadata.homeroom.role"]);
        Self { role, own_role, own_title: table.column(&["metadata.homeroom.title"]) }
    }

    /// The role of a word, and the title if it says more than the role. `None` for one that is left out or wrong.
    pub(super) fn read(
        &self,
        table: &Table<'_>,
        word: &str,
        lenient: bool,
        problems: &mut Problems,
    ) -> Option<(SchoolRole, Option<String>)> {
        let own = table.cell(self.own_role);
        if !own.is_empty() {
            // Who answers for the children's safety is decided on the server, never by a file.
            let role = SchoolRole::from_name(own).filter(|role| *role != SchoolRole::SafeguardingLead);
            if role.is_none() {
                let message = format!("\"{}\" is no role that a roster can give", cut(own));
                table.error(problems, self.own_role, Fault::new("unknown_role", message, "Leave the cell empty."));
            }
            return role.map(|role| (role, table.text(self.own_title)));
        }
        if let Some((role, title)) = school_role(word) {
            let title = table.text(self.own_title).or_else(|| title.map(str::to_owned));
            return Some((role, title));
        }
        let message = format!("the role \"{}\" is not known", cut(word));
        if lenient || word.starts_with("ext:") {
            let fault = Fault::new(
                "unknown_role",
                format!("{message}, and is left out"),
                "Such as student, teacher, guardian, aide.",
            );
            table.warn(problems, self.role, fault);
        } else {
            table.error(
                problems,
                self.role,
                Fault::new("unknown_role", message, "Such as student, teacher, guardian, aide."),
            );
        }
        None
    }
}

/// A grant.
pub(super) fn grant(person: &str, org: String, role: SchoolRole, title: Option<String>, period: Period) -> RoleGrant {
    RoleGrant { person: person.to_owned(), org, role, title, period }
}

/// `roles.csv`
pub(super) fn roles(source: &mut Source, reading: &mut Reading<'_>, mode: Mode, dialect: Dialect) {
    let sds = dialect == Dialect::Sds;
    let Some(mut rows) = Rows::open(source, reading, ("roles.csv", mode), ObjectKind::Role, !sds) else { return };
    let person = rows.need(reading, "userSourcedId", &["usersourceid"]);
    let org = rows.need(reading, "orgSourcedId", &["orgsourceid", "schoolsourcedid"]);
    let role = rows.need(reading, "role", &[]);
    let (Some(person), Some(org), Some(role)) = (person, org, role) else { return };
    let table = &mut rows.table;
    let columns = RoleColumns::of(table, role);
    let begin = table.column(&["begindate", "rolestartdate", "startdate"]);
    let end = table.column(&["enddate", "roleenddate"]);
    let grade = table.column(&["grade"]);
    while let Some(mut id) = rows.next(reading) {
        let table = &rows.table;
        let user = table.required(person, &mut reading.problems);
        let place = table.required(org, &mut reading.problems);
        let word = table.required(role, &mut reading.problems);
        let (Some(user), Some(place), Some(word)) = (user, place, word) else { continue };
        let there = rows.refers(reading, person, ObjectKind::Person, user);
        if !(rows.refers(reading, org, ObjectKind::Org, place) && there) {
            continue;
        }
        let Some((as_what, title)) = columns.read(table, word, sds, &mut reading.problems) else { continue };
        let mut period = table.period(begin, end, &mut reading.problems);
        let person_grade = table.text(grade).filter(|_| sds);
        if let (Some(grade), Some(user)) = (person_grade, reading.bundle.roster.people.get_mut(user)) {
            user.grade = Some(grade);
        }
        if id.is_empty() {
            id = format!("{user}/{place}/{}", title.as_deref().unwrap_or(as_what.name()));
            // One row a session: together they last from the first to the last.
            if let Some(before) = reading.bundle.roster.roles.get(&id) {
                period.begin = before.period.begin.and_then(|first| period.begin.map(|second| first.min(second)));
                period.end = before.period.end.and_then(|first| period.end.map(|second| first.max(second)));
            }
        }
        let granted = grant(user, place.to_owned(), as_what, title, period);
        reading.bundle.roster.roles.insert(id, granted);
    }
    rows.end(reading);
}

/// The role of a source's word, and the word itself where the role's own name does not say the same.
pub(super) fn school_role(word: &str) -> Option<(SchoolRole, Option<&'static str>)> {
    let with = |role, title| Some((role, Some(title)));
    match word.to_ascii_lowercase().as_str() {
        "student" => Some((SchoolRole::Student, None)),
        "guardian" => Some((SchoolRole::Guardian, None)),
        "parent" => with(SchoolRole::Guardian, "parent"),
        "relative" => with(SchoolRole::Guardian, "relative"),
        "teacher" => Some((SchoolRole::Teacher, None)),
        "professor" => with(SchoolRole::Teacher, "professor"),
        "faculty" => with(SchoolRole::Teacher, "faculty"),
        "adjunct" => with(SchoolRole::Teacher, "adjunct"),
        "instructor" => with(SchoolRole::Teacher, "instructor"),
        "lecturer" => with(SchoolRole::Teacher, "lecturer"),
        "substitute" => with(SchoolRole::Teacher, "substitute"),
        "staff" => Some((SchoolRole::Staff, None)),
        "aide" => with(SchoolRole::Staff, "aide"),
        "proctor" => with(SchoolRole::Staff, "proctor"),
        "counselor" => with(SchoolRole::Staff, "counselor"),
        "systemadministrator" => with(SchoolRole::Staff, "systemAdministrator"),
        "assistant" => with(SchoolRole::Staff, "assistant"),
        "teacherassistant" => with(SchoolRole::Staff, "teacherAssistant"),
        "librarian" => with(SchoolRole::Staff, "librarian"),
        "nurse" => with(SchoolRole::Staff, "nurse"),
        "principal" => with(SchoolRole::Leadership, "principal"),
        "viceprincipal" | "assistantprincipal" => with(SchoolRole::Leadership, "vicePrincipal"),
        "superintendent" => with(SchoolRole::Leadership, "superintendent"),
        "dean" => with(SchoolRole::Leadership, "dean"),
        "administrator" => with(SchoolRole::Leadership, "administrator"),
        "siteadministrator" => with(SchoolRole::Leadership, "siteAdministrator"),
        "districtadministrator" => with(SchoolRole::Leadership, "districtAdministrator"),
        _ => None,
    }
}
