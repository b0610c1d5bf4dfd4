//! Who is in which class.

use super::{
    super::{problems::Fault, read::Reading, source::Source, table::cut},
    manifest::{Dialect, Mode},
    rows::Rows,
};
use crate::school::roster::{Enrollment, EnrollmentRole, ObjectKind};

/// `enrollments.csv`
pub(super) fn enrollments(source: &mut Source, reading: &mut Reading<'_>, mode: Mode, dialect: Dialect) {
    let file = ("enrollments.csv", mode);
    let own_ids = dialect != Dialect::Sds;
    let Some(mut rows) = Rows::open(source, reading, file, ObjectKind::Enrollment, own_ids) else { return };
    let class = rows.need(reading, "classSourcedId", &["sectionsourcedid"]);
    let person = rows.need(reading, "userSourcedId", &["usersourceid"]);
    let role = rows.need(reading, "role", &[]);
    let (Some(class), Some(person), Some(role)) = (class, person, role) else { return };
    let primary = rows.table.column(&["primary", "isprimary"]);
    let (begin, end) = (rows.table.column(&["begindate", "startdate"]), rows.table.column(&["enddate"]));
    while let Some(mut id) = rows.next(reading) {
        let table = &rows.table;
        let class_id = table.required(class, &mut reading.problems);
        let person_id = table.required(person, &mut reading.problems);
        let (Some(class_id), Some(person_id)) = (class_id, person_id) else { continue };
        let there = rows.refers(reading, class, ObjectKind::Class, class_id);
        if !(rows.refers(reading, person, ObjectKind::Person, person_id) && there) {
            continue;
        }
        let word = table.cell(role);
        let As::Is(as_what) = role_of(word) else {
            if role_of(word) == As::Never {
                let message = format!("a {} is not in a class; the row is left out", cut(word));
                table.warn_once(
                    &mut reading.problems,
                    role,
                    Fault::new("not_in_class", message, "Leave such rows out."),
                );
            } else {
                let message = format!("the role \"{}\" is not known", cut(word));
                table.error(
                    &mut reading.problems,
                    role,
                    Fault::new("unknown_role", message, "Write student, teacher, aide, proctor or administrator."),
                );
            }
            continue;
        };
        let enrollment = Enrollment {
            class: class_id.to_owned(),
            person: person_id.to_owned(),
            role: as_what,
            primary: table.flag(primary, false, &mut reading.problems),
            period: table.period(begin, end, &mut reading.problems),
        };
        if id.is_empty() {
            let name = match as_what {
                EnrollmentRole::Student => "student",
                EnrollmentRole::Teacher => "teacher",
                EnrollmentRole::Aide => "aide",
            };
            id = format!("{class_id}/{person_id}/{name}");
            if reading.bundle.roster.enrollments.contains_key(&id) {
                let fault =
                    Fault::new("repeated_row", "the person is in the class already", "Leave one of the rows out.");
                table.warn(&mut reading.problems, person, fault);
                continue;
            }
        }
        reading.bundle.roster.enrollments.insert(id, enrollment);
    }
    rows.end(reading);
}

#[derive(PartialEq)]
enum As {
    Is(EnrollmentRole),
    /// Known, and nobody who is in a class.
    Never,
    Unknown,
}

fn role_of(word: &str) -> As {
    match word.to_ascii_lowercase().as_str() {
        "student" => As::Is(EnrollmentRole::Student),
        "teacher" | "professor" | "faculty" | "adjunct" | "instructor" | "lecturer" | "substitute" => {
            As::Is(EnrollmentRole::Teacher)
        }
        "aide" | "proctor" | "administrator" | "teacherassistant" | "assistant" | "teachingassistant" | "staff"
        | "counselor" => As::Is(EnrollmentRole::Aide),
        "parent" | "guardian" | "relative" => As::Never,
        _ => As::Unknown,
    }
}
