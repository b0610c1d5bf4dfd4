//! Reads the tables in the order in which they refer to each other.

use std::collections::HashSet;

use super::{
    super::{
        problems::Fault,
        read::{Reading, has},
        source::Source,
    },
    enrollments::enrollments,
    groups::groups,
    links::relationships,
    manifest::{Dialect, Manifest, Mode},
    people::{birth_years, people},
    roles::roles,
    structure::{classes, courses, orgs, sessions},
};
use crate::school::roster::{ObjectKind, SchoolRole};

/// Reads a bundle of `OneRoster` or School Data Sync.
pub(in crate::school::files) fn read(source: &mut Source, reading: &mut Reading<'_>) {
    let manifest = Manifest::read(source, reading);
    let dialect = manifest.dialect;
    reading.bundle.format = dialect.name();
    orgs(source, reading, manifest.mode("orgs.csv"));
    sessions(source, reading, manifest.mode("academicsessions.csv"));
    courses(source, reading, manifest.mode("courses.csv"));
    classes(source, reading, manifest.mode("classes.csv"));
    // Some exporters call themselves 1.2 and keep roles where 1.1 has them, or the other way round.
    let roles_file = manifest.mode("roles.csv");
    let users = manifest.mode("users.csv");
    let with_roles = roles_file == Mode::Absent && (dialect != Dialect::V12 || users == Mode::Bulk);
    if with_roles && dialect == Dialect::V12 && users != Mode::Absent {
        let fault = Fault::new(
            "missing_file",
            "there is no roles.csv; roles are read from users.csv as in 1.1",
            "Add it to the export.",
        );
        reading.problems.warn("roles.csv", fault);
    }
    let family = people(source, reading, users, with_roles);
    birth_years(source, reading, manifest.mode("demographics.csv"));
    roles(source, reading, roles_file, dialect);
    if with_roles && users == Mode::Delta {
        ended_roles(reading);
    }
    relationships(source, reading, manifest.mode("relationships.csv"));
    family.build(reading);
    enrollments(source, reading, manifest.mode("enrollments.csv"), dialect);
    groups(source, reading, manifest.mode("metadata.homeroom.groups.csv"));
    forget_pupils_mail(reading);
}

/// A row of `users.csv` in 1.1 tells all roles of its user; those that are stored besides have ended.
fn ended_roles(reading: &mut Reading<'_>) {
    let Some(stored) = reading.hints.stored else { return };
    for (id, role) in &stored.roles {
        if reading.bundle.roster.people.contains_key(&role.person) && !has(&reading.bundle.roster, ObjectKind::Role, id)
        {
            reading.bundle.removed.insert((ObjectKind::Role, id.clone()));
        }
    }
}

/// Addresses are kept to recognise adults again; those of pupils are not needed.
fn forget_pupils_mail(reading: &mut Reading<'_>) {
    let roster = &mut reading.bundle.roster;
    let (mut pupils, mut adults) = (HashSet::new(), HashSet::new());
    for role in roster.roles.values() {
        let side = if role.role == SchoolRole::Student { &mut pupils } else { &mut adults };
        side.insert(role.person.as_str());
    }
    for (id, person) in &mut roster.people {
        if pupils.contains(id.as_str()) && !adults.contains(id.as_str()) {
            person.email = None;
        }
    }
}
