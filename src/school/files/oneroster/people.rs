//! People: what is needed of `users.csv`, and the year of birth. Passwords and everything else of `demographics.csv` are
//! never looked at.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    super::{
        problems::Fault,
        read::Reading,
        source::Source,
        table::{Column, Table, cut},
    },
    links::Family,
    manifest::Mode,
    roles::{RoleColumns, grant},
    rows::Rows,
};
use crate::school::roster::{ObjectKind, OrgType, Period, Person};

struct Columns {
    given: Column,
    family: Column,
    preferred: [Column; 2],
    display: Column,
    username: Column,
    email: Column,
    master: Column,
    enabled: Column,
    grades: Column,
    birth_year: Column,
    agents: Column,
    links: Column,
}

/// `users.csv`. With `with_roles`, also the roles that `OneRoster` 1.1 has in it.
pub(super) fn people(source: &mut Source, reading: &mut Reading<'_>, mode: Mode, with_roles: bool) -> Family {
    let mut family = Family::new(mode, source.written("users.csv"));
    let Some(mut rows) = Rows::open(source, reading, ("users.csv", mode), ObjectKind::Person, true) else {
        return family;
    };
    let given = rows.need(reading, "givenName", &["firstname"]);
    let family_name = rows.need(reading, "familyName", &["lastname"]);
    let roles = if with_roles {
        let role = rows.need(reading, "role", &["roles"]);
        let orgs = rows.table.list_column(&["orgsourcedids", "orgsourcedid", "schoolsourcedid"]);
        role.map(|role| (RoleColumns::of(&mut rows.table, role), orgs))
    } else {
        None
    };
    let (Some(given), Some(family_name)) = (given, family_name) else { return family };
    if with_roles && mode == Mode::Bulk {
        reading.bundle.complete.insert(ObjectKind::Role);
    }
    if mode == Mode::Bulk {
        reading.bundle.complete.insert(ObjectKind::Link);
    }
    let table = &mut rows.table;
    let columns = Columns {
        given,
        family: family_name,
        preferred: [
            table.column(&["preferredgivenname", "preferredfirstname"]),
            table.column(&["preferredfamilyname", "preferredlastname"]),
        ],
        display: table.column(&["metadata.homeroom.display"]),
        username: table.column(&["username"]),
        email: table.column(&["email"]),
        master: table.column(&["usermasteridentifier"]),
        enabled: table.column(&["enableduser", "enabled"]),
        grades: table.list_column(&["grades", "grade"]),
        birth_year: table.column(&["metadata.homeroom.birthyear"]),
        agents: table.list_column(&["agentsourcedids", "agentids", "agents"]),
        links: table.list_column(&["metadata.homeroom.links"]),
    };
    family.exact = columns.links.is_there();
    while let Some(id) = rows.next(reading) {
        let Some(person) = person(&rows.table, &columns, reading) else { continue };
        family.note(&id, &rows.table, columns.agents, columns.links, &mut reading.problems);
        if let Some((roles, orgs)) = &roles {
            user_roles(&rows, roles, *orgs, &id, reading);
        }
        reading.bundle.roster.people.insert(id, person);
    }
    rows.end(reading);
    family
}

fn person(table: &Table<'_>, columns: &Columns, reading: &mut Reading<'_>) -> Option<Person> {
    let problems = &mut reading.problems;
    let (given, family) = (table.text(columns.given), table.text(columns.family));
    if given.is_none() && family.is_none() {
        let fault =
            Fault::new("missing_value", "the person has no name", "Fill in the name where the file comes from.");
        table.error(problems, columns.given, fault);
        return None;
    }
    if given.is_none() || family.is_none() {
        let column = if given.is_none() { columns.given } else { columns.family };
        table.warn(
            problems,
            column,
            Fault::new("half_a_name", "the person has only half a name", "Fill in the other one."),
        );
    }
    let (given, family) = (given.unwrap_or_default(), family.unwrap_or_default());
    let [preferred_given, preferred_family] = columns.preferred.map(|column| table.text(column));
    let preferred = (preferred_given.is_some() || preferred_family.is_some()).then(|| {
        let first = preferred_given.unwrap_or_else(|| given.clone());
        let last = preferred_family.unwrap_or_else(|| family.clone());
        format!("{first} {last}").trim().to_owned()
    });
    let display = table.text(columns.display).or(preferred.filter(|name| *name != format!("{given} {family}")));
    let year = table.cell(columns.birth_year);
    let birth_year = if year.is_empty() { None } else { plausible_year(year) };
    if birth_year.is_none() && !year.is_empty() {
        table.warn(
            problems,
            columns.birth_year,
            Fault::new("bad_year", format!("\"{}\" is no year", cut(year)), "Write four digits."),
        );
    }
    Some(Person {
        given,
        family,
        display,
        username: table.text(columns.username),
        email: table.text(columns.email),
        master_id: table.text(columns.master),
        enabled: table.flag(columns.enabled, true, problems),
        grade: table.list(columns.grades).next().map(Cow::into_owned),
        birth_year,
    })
}

/// The roles of a row of `users.csv`: each role in each org.
fn user_roles(rows: &Rows<'_>, roles: &RoleColumns, orgs: Column, user: &str, reading: &mut Reading<'_>) {
    let table = &rows.table;
    let mut wanted: Vec<String> = table.list(orgs).map(Cow::into_owned).collect();
    if wanted.is_empty() {
        let mut schools = reading.bundle.roster.orgs.iter().filter(|(_, org)| org.kind == OrgType::School);
        if let (Some((only, _)), None) = (schools.next(), schools.next()) {
            wanted.push(only.clone());
            let fault = Fault::new(
                "missing_org",
                "the person has no org, and counts to the only school",
                "Fill in orgSourcedIds.",
            );
            table.warn_once(&mut reading.problems, orgs, fault);
        } else {
            table.error(
                &mut reading.problems,
                orgs,
                Fault::new("missing_value", "the person has no org", "Fill in orgSourcedIds."),
            );
            return;
        }
    }
    let words: Vec<String> = table.list(roles.role).map(Cow::into_owned).collect();
    if words.is_empty() {
        table.error(
            &mut reading.problems,
            roles.role,
            Fault::new("missing_value", "the person has no role", "Such as student, teacher, guardian."),
        );
    }
    for word in words {
        let Some((role, title)) = roles.read(table, &word, false, &mut reading.problems) else { continue };
        for org in
            wanted.iter().filter(|org| rows.refers(reading, orgs, ObjectKind::Org, org)).cloned().collect::<Vec<_>>()
        {
            let id = format!("{user}/{org}/{}", title.as_deref().unwrap_or(role.name()));
            reading.bundle.roster.roles.insert(id, grant(user, org, role, title.clone(), Period::default()));
        }
    }
}

/// `demographics.csv`: the year of birth, and nothing else.
pub(super) fn birth_years(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    if mode == Mode::Absent {
        return;
    }
    let Some(mut table) = reading.open(source, "demographics.csv") else { return };
    let id = table.column(&["sourcedid", "usersourcedid"]);
    let birth = table.column(&["birthdate"]);
    let mut years = BTreeMap::new();
    while id.is_there() && birth.is_there() && table.next(&mut reading.problems) {
        let date = table.cell(birth);
        let year = date
            .get(..4)
            .and_then(plausible_year)
            .or_else(|| date.get(date.len().checked_sub(4)?..).and_then(plausible_year));
        match year {
            Some(year) => _ = years.insert(table.cell(id).to_owned(), year),
            None if date.is_empty() => {}
            None => {
                let fault = Fault::new(
                    "bad_date",
                    "the date of birth has no year that can be read",
                    "Dates are written as 2016-09-01.",
                );
                table.warn(&mut reading.problems, birth, fault);
            }
        }
    }
    for (id, year) in years {
        if let Some(person) = reading.bundle.roster.people.get_mut(&id) {
            person.birth_year.get_or_insert(year);
        }
    }
}

fn plausible_year(text: &str) -> Option<u16> {
    let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|year| digits && (1900..2200).contains(year))
}
