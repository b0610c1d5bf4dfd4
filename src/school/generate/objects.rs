//! One object of a roster at a time.

use super::{build::Builder, keys};
use crate::school::roster::{
    Course, Enrollment, EnrollmentRole, Link, Org, OrgType, Period, Person, Relation, RoleGrant, SchoolRole, Session,
};

/// What an adult is to a pupil, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tie {
    pub(super) relation: Relation,
    pub(super) legal: bool,
    pub(super) contact: bool,
    pub(super) isolated: bool,
    pub(super) period: Period,
}

const OPEN: Period = Period { begin: None, end: None };

impl Tie {
    /// A parent like most.
    pub(super) const PARENT: Self =
        Self { relation: Relation::Parent, legal: true, contact: true, isolated: false, period: OPEN };
    /// A parent whom a court keeps from the child.
    pub(super) const NO_CONTACT: Self = Self { legal: false, contact: false, isolated: true, ..Self::PARENT };
    /// Who answers for the child in a parent's place.
    pub(super) const GUARDIAN: Self = Self { relation: Relation::Guardian, ..Self::PARENT };
    /// A grandmother: known, but nobody whom the school writes to.
    pub(super) const RELATIVE: Self =
        Self { relation: Relation::Relative, legal: false, contact: false, ..Self::PARENT };
    /// Who looks after the child on some days, and is told what a parent is told.
    pub(super) const CARER: Self = Self { relation: Relation::Other, legal: false, ..Self::PARENT };
}

impl Builder {
    pub(super) fn org(&mut self, id: &str, name: &str, kind: OrgType, parent: Option<String>) {
        self.roster.orgs.insert(id.to_owned(), Org { name: name.to_owned(), kind, parent });
    }

    pub(super) fn course(&mut self, id: String, title: String, org: String) {
        self.roster.courses.insert(id, Course { title, org: Some(org) });
    }

    /// A school year and its two halves.
    pub(super) fn sessions(&mut self, year: i32) {
        let whole = keys::session_id(year);
        let title = format!("Schuljahr {year}/{:02}", (year + 1) % 100);
        let (begin, middle, end) = (keys::day(year, 8, 1), keys::day(year + 1, 2, 1), keys::day(year + 1, 8, 1));
        for (suffix, part, begin, end) in
            [("", "", begin, end), ("-1", ", 1. Halbjahr", begin, middle), ("-2", ", 2. Halbjahr", middle, end)]
        {
            let session = Session {
                title: format!("{title}{part}"),
                school_year: part.is_empty(),
                period: Period { begin: Some(begin), end: Some(end) },
                parent: (!part.is_empty()).then(|| whole.clone()),
            };
            self.roster.sessions.insert(format!("{whole}{suffix}"), session);
        }
    }

    /// A pupil, whose name comes with the family.
    pub(super) fn pupil(&mut self, id: &str, given: String, family: String, grade: u8) {
        // A child is eleven in the calendar year after it comes to the fifth grade, some a year older.
        let age = i32::from(grade) + 5 + i32::from(self.random.percent(25));
        let person = Person {
            display: None,
            email: None,
            grade: Some(keys::grade_text(grade)),
            birth_year: u16::try_from(self.year - age).ok(),
            ..grown_up(id, given, family)
        };
        self.roster.people.insert(id.to_owned(), person);
    }

    /// An adult.
    pub(super) fn adult(&mut self, id: &str, given: String, family: String) {
        self.roster.people.insert(id.to_owned(), grown_up(id, given, family));
    }

    pub(super) fn grant(&mut self, person: &str, org: &str, role: SchoolRole, title: Option<&str>, period: Period) {
        let grant =
            RoleGrant { person: person.to_owned(), org: org.to_owned(), role, title: title.map(str::to_owned), period };
        self.roster.roles.insert(format!("rol-{person}-{org}-{}", role.name()), grant);
    }

    pub(super) fn enroll(&mut self, class: &str, person: &str, role: EnrollmentRole, primary: bool, period: Period) {
        let enrollment = Enrollment { class: class.to_owned(), person: person.to_owned(), role, primary, period };
        let class = class.trim_start_matches("cls-");
        self.roster.enrollments.insert(format!("enr-{class}-{person}"), enrollment);
    }

    pub(super) fn tie(&mut self, student: &str, adult: &str, tie: Tie) {
        let Tie { relation, legal, contact, isolated, period } = tie;
        let (student, adult) = (student.to_owned(), adult.to_owned());
        let id = format!("lnk-{student}-{adult}");
        self.roster.links.insert(id, Link { student, adult, relation, legal, contact, isolated, period });
    }

    /// The next id of a pupil.
    pub(super) fn pupil_id(&mut self) -> String {
        self.pupils += 1;
        format!("stu-{:06}", self.pupils)
    }

    /// The next id of an adult who does not work there.
    pub(super) fn adult_id(&mut self) -> String {
        self.adults += 1;
        format!("gdn-{:06}", self.adults)
    }

    /// The next id of somebody who works there.
    pub(super) fn staff_id(&mut self) -> String {
        self.staff += 1;
        format!("stf-{:05}", self.staff)
    }
}

fn grown_up(id: &str, given: String, family: String) -> Person {
    Person {
        given,
        family,
        display: None,
        username: Some(id.replace('-', "")),
        // A name that the domain name system keeps free for examples.
        email: Some(format!("{id}@schule.example")),
        master_id: None,
        enabled: true,
        grade: None,
        birth_year: None,
    }
}
