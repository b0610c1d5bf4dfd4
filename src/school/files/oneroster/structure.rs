//! Organisations, sessions, courses and classes.

use std::borrow::Cow;

use super::{
    super::{problems::Fault, read::Reading, source::Source, table::cut},
    manifest::Mode,
    rows::Rows,
};
use crate::school::roster::{Class, Course, ObjectKind, Org, OrgType, Session};

/// `orgs.csv`
pub(super) fn orgs(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    let Some(mut rows) = Rows::open(source, reading, ("orgs.csv", mode), ObjectKind::Org, true) else { return };
    let Some(name) = rows.need(reading, "name", &["title"]) else { return };
    let kind = rows.table.column(&["type"]);
    let parent = rows.table.column(&["parentsourcedid", "parentid"]);
    while let Some(id) = rows.next(reading) {
        let table = &rows.table;
        let word = table.cell(kind);
        let kind_of = org_type(word).unwrap_or_else(|| {
            if !word.is_empty() {
                let message = format!("the type \"{}\" is not known, and counts as other", cut(word));
                table.warn(
                    &mut reading.problems,
                    kind,
                    Fault::new("unknown_org_type", message, "Such as school, department or district."),
                );
            }
            if word.is_empty() { OrgType::School } else { OrgType::Other }
        });
        let title = table.text(name).unwrap_or_else(|| id.clone());
        let org = Org { name: title, kind: kind_of, parent: table.text(parent) };
        reading.lines.insert((ObjectKind::Org, id.clone()), table.line());
        reading.bundle.roster.orgs.insert(id, org);
    }
    rows.end(reading);
}

/// `OneRoster`'s types, and those of School Data Sync.
fn org_type(word: &str) -> Option<OrgType> {
    Some(match word.to_ascii_lowercase().as_str() {
        "school" | "college" | "university" | "campus" | "preschool" | "institute" => OrgType::School,
        "department" | "division" | "faculty" | "program" => OrgType::Department,
        "district" | "localeducationagency" | "region" => OrgType::District,
        "local" | "state" | "national" | "ministryofeducation" | "stateeducationagency" | "adulteducation" => {
            OrgType::Other
        }
        _ => return None,
    })
}

/// `academicSessions.csv`
pub(super) fn sessions(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    let file = ("academicsessions.csv", mode);
    let Some(mut rows) = Rows::open(source, reading, file, ObjectKind::Session, true) else { return };
    let title = rows.table.column(&["title", "name"]);
    let kind = rows.table.column(&["type"]);
    let (begin, end) = (rows.table.column(&["startdate", "begindate"]), rows.table.column(&["enddate"]));
    let parent = rows.table.column(&["parentsourcedid", "parentid"]);
    while let Some(id) = rows.next(reading) {
        let table = &rows.table;
        let word = table.cell(kind);
        let known = ["gradingperiod", "semester", "schoolyear", "term", "trimester", "quarter"];
        if !word.is_empty() && !known.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            let message = format!("the type \"{}\" is not known, and counts as a term", cut(word));
            let fault =
                Fault::new("unknown_session_type", message, "Write schoolYear, semester, term or gradingPeriod.");
            table.warn(&mut reading.problems, kind, fault);
        }
        let session = Session {
            title: table.text(title).unwrap_or_else(|| id.clone()),
            school_year: word.eq_ignore_ascii_case("schoolYear"),
            period: table.period(begin, end, &mut reading.problems),
            parent: table.text(parent),
        };
        reading.lines.insert((ObjectKind::Session, id.clone()), table.line());
        reading.bundle.roster.sessions.insert(id, session);
    }
    rows.end(reading);
}

/// `courses.csv`
pub(super) fn courses(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    let Some(mut rows) = Rows::open(source, reading, ("courses.csv", mode), ObjectKind::Course, true) else { return };
    let title = rows.table.column(&["title", "name"]);
    let org = rows.table.column(&["orgsourcedid", "schoolsourcedid"]);
    while let Some(id) = rows.next(reading) {
        let owner = rows.table.text(org).filter(|owner| rows.may_refer(reading, org, ObjectKind::Org, owner));
        let course = Course { title: rows.table.text(title).unwrap_or_else(|| id.clone()), org: owner };
        reading.bundle.roster.courses.insert(id, course);
    }
    rows.end(reading);
}

/// `classes.csv`
pub(super) fn classes(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    let Some(mut rows) = Rows::open(source, reading, ("classes.csv", mode), ObjectKind::Class, true) else { return };
    let title = rows.need(reading, "title", &["name", "classname"]);
    let org = rows.need(reading, "schoolSourcedId", &["orgsourcedid", "schoolid"]);
    let (Some(title), Some(org)) = (title, org) else { return };
    let code = rows.table.column(&["classcode", "code"]);
    let kind = rows.table.column(&["classtype"]);
    let grades = rows.table.list_column(&["grades", "grade"]);
    let course = rows.table.column(&["coursesourcedid"]);
    let terms = rows.table.list_column(&["termsourcedids", "sessionsourcedids", "termsourcedid", "terms", "termids"]);
    while let Some(id) = rows.next(reading) {
        let table = &rows.table;
        let Some(school) = table.required(org, &mut reading.problems).map(str::to_owned) else { continue };
        if !rows.refers(reading, org, ObjectKind::Org, &school) {
            rows.leave_out(reading, &id);
            continue;
        }
        let homeroom = match table.cell(kind).to_ascii_lowercase().as_str() {
            "homeroom" => true,
            "scheduled" | "" => false,
            other => {
                let message = format!("the type \"{}\" is not known, and counts as scheduled", cut(other));
                table.warn(
                    &mut reading.problems,
                    kind,
                    Fault::new("unknown_class_type", message, "Write homeroom or scheduled."),
                );
                false
            }
        };
        let mut sessions = Vec::new();
        for term in table.list(terms) {
            if rows.may_refer(reading, terms, ObjectKind::Session, &term) {
                sessions.push(term.into_owned());
            }
        }
        let class = Class {
            title: table.text(title).or_else(|| table.text(code)).unwrap_or_else(|| id.clone()),
            code: table.text(code),
            org: school,
            course: table.text(course).filter(|id| rows.may_refer(reading, course, ObjectKind::Course, id)),
            homeroom,
            grades: table.list(grades).map(Cow::into_owned).collect(),
            sessions,
        };
        reading.bundle.roster.classes.insert(id, class);
    }
    rows.end(reading);
}
