//! People, their ids, roles and classes.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::{
        problems::Fault,
        read::{Ids, Reading, every_kind},
        source::Source,
        table::{Table, cut},
    },
    relations::relate,
    rows::{Columns, Row},
    words::fold,
};
use crate::school::{
    problem::Severity,
    roster::{Class, Enrollment, EnrollmentRole, Org, OrgType, Period, Person, RoleGrant, SchoolRole},
};

/// The id of the one organisation.
pub(super) const SCHOOL: &str = "school";

/// Reads the simple CSV.
pub(in crate::school::files) fn read(source: &mut Source, name: &str, reading: &mut Reading<'_>) {
    reading.bundle.format = "simple-csv";
    reading.bundle.complete = every_kind();
    let Some(mut table) = reading.open(source, name) else { return };
    let Some(columns) = Columns::find(&mut table, &mut reading.problems) else { return };
    let (mut rows, mut ids) = (Vec::new(), Ids::default());
    while table.next(&mut reading.problems) {
        let Some(row) = columns.row(&table, &mut reading.problems) else { continue };
        if row.id.is_empty() || ids.claim(&row.id, &table, columns.id, &mut reading.problems) {
            rows.push(row);
        }
    }
    name_the_nameless(&mut rows, &table, reading);
    let title = reading.hints.school.unwrap_or("School").to_owned();
    reading.bundle.roster.orgs.insert(SCHOOL.to_owned(), Org { name: title, kind: OrgType::School, parent: None });
    classes(&rows, reading);
    for row in &rows {
        person(row, &table, &columns, reading);
    }
    relate(&rows, &table, &columns, reading);
}

/// Makes the ids that the file does not have.
fn name_the_nameless(rows: &mut [Row], table: &Table<'_>, reading: &mut Reading<'_>) {
    let base = |row: &Row| format!("{}.{}", fold(&row.given), fold(&row.family)).trim_matches('.').to_owned();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for row in rows.iter().filter(|row| row.id.is_empty()) {
        *counts.entry(base(row)).or_default() += 1;
    }
    let mut taken: HashMap<String, u64> =
        rows.iter().filter(|row| !row.id.is_empty()).map(|row| (row.id.clone(), row.line)).collect();
    for row in rows.iter_mut().filter(|row| row.id.is_empty()) {
        let mut id = base(row);
        if counts.get(&id).is_some_and(|count| *count > 1) {
            let more = match (&row.email, row.classes.first()) {
                (Some(email), _) => fold(email),
                (None, Some(class)) => class.key.clone(),
                (None, None) => String::new(),
            };
            id = format!("{id}/{more}");
            let message = format!(
                "several people are called {} {}; their mail address or class tells them apart",
                cut(&row.given),
                cut(&row.family)
            );
            let fault = Fault::new(
                "same_name",
                message,
                "Add a column \"id\": when an address or class changes, it is taken for another person.",
            );
            reading.problems.push(fault.at(Severity::Warning, table.file(), Some(row.line), None));
        }
        if let Some(line) = taken.insert(id.clone(), row.line) {
            let message = format!("the person cannot be told apart from that of line {line}");
            let fault = Fault::new(
                "ambiguous_person",
                message,
                "Add a column \"id\", or write several roles of one person into one line.",
            );
            reading.problems.push(fault.at(Severity::Error, table.file(), Some(row.line), None));
        }
        row.id = id;
    }
}

/// Classes, from all who name them.
fn classes(rows: &[Row], reading: &mut Reading<'_>) {
    let mut teachers: HashMap<&str, usize> = HashMap::new();
    let classes = &mut reading.bundle.roster.classes;
    for row in rows {
        let pupil = row.is(SchoolRole::Student);
        for (place, name) in row.classes.iter().enumerate().filter(|_| pupil || row.is_adult_in_class()) {
            let class = classes.entry(name.key.clone()).or_insert_with(|| Class {
                title: name.title.clone(),
                code: None,
                org: SCHOOL.to_owned(),
                course: None,
                homeroom: false,
                grades: Vec::new(),
                sessions: Vec::new(),
            });
            if pupil && place == 0 {
                class.homeroom = true;
                class.grades = leading_number(&name.title).into_iter().collect();
            }
            if !pupil && (row.is(SchoolRole::Teacher) || row.is(SchoolRole::Leadership)) {
                *teachers.entry(&name.key).or_default() += 1;
            }
        }
    }
    let mut enrollments = BTreeMap::new();
    for row in rows {
        let (role, word) = if row.is(SchoolRole::Student) {
            (EnrollmentRole::Student, "student")
        } else if row.is(SchoolRole::Teacher) || row.is(SchoolRole::Leadership) {
            (EnrollmentRole::Teacher, "teacher")
        } else {
            (EnrollmentRole::Aide, "aide")
        };
        for name in &row.classes {
            let Some(class) = classes.get(&name.key).filter(|_| row.is(SchoolRole::Student) || row.is_adult_in_class())
            else {
                continue;
            };
            let alone = class.homeroom && teachers.get(name.key.as_str()) == Some(&1);
            let primary = role == EnrollmentRole::Teacher && (name.tutor || alone);
            let enrollment = Enrollment {
                class: name.key.clone(),
                person: row.id.clone(),
                role,
                primary,
                period: Period::default(),
            };
            enrollments.insert(format!("{}/{}/{word}", name.key, row.id), enrollment);
        }
    }
    reading.bundle.roster.enrollments = enrollments;
}

fn person(row: &Row, table: &Table<'_>, columns: &Columns, reading: &mut Reading<'_>) {
    let pupil = row.is(SchoolRole::Student);
    if !row.classes.is_empty() && !pupil && !row.is_adult_in_class() {
        let fault = Fault::new(
            "not_in_class",
            "a guardian is not in a class; the class is left out",
            "Write the children into the column of children.",
        );
        table.warn_at(&mut reading.problems, row.line, columns.classes, fault);
    }
    let homeroom = row.classes.first().filter(|_| pupil);
    let grade = row.grade.clone().filter(|_| pupil).or_else(|| homeroom.and_then(|class| leading_number(&class.title)));
    let person = Person {
        given: row.given.clone(),
        family: row.family.clone(),
        display: None,
        username: None,
        email: row.email.clone().filter(|_| row.is_adult()),
        master_id: None,
        enabled: true,
        grade,
        birth_year: row.birth_year,
    };
    reading.bundle.roster.people.insert(row.id.clone(), person);
    for (role, title, _) in &row.roles {
        give_role(reading, &row.id, *role, *title);
    }
}

/// Gives a role at the school.
pub(super) fn give_role(reading: &mut Reading<'_>, person: &str, role: SchoolRole, title: Option<&str>) {
    let id = format!("{person}/{SCHOOL}/{}", title.unwrap_or(role.name()));
    let (person, org) = (person.to_owned(), SCHOOL.to_owned());
    let grant = RoleGrant { person, org, role, title: title.map(str::to_owned), period: Period::default() };
    reading.bundle.roster.roles.insert(id, grant);
}

/// The grade in the name of a class: 5 of `5a`, 10 of `10/2`.
fn leading_number(title: &str) -> Option<String> {
    let digits: String = title.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u8>().ok().filter(|grade| (1..=13).contains(grade)).map(|grade| grade.to_string())
}

impl Row {
    /// Whether an adult's classes are those they work in.
    fn is_adult_in_class(&self) -> bool {
        [SchoolRole::Teacher, SchoolRole::Staff, SchoolRole::Leadership].into_iter().any(|role| self.is(role))
    }
}
