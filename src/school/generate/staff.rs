//! Who works at a school.

use chrono::Days;

use super::{build::Builder, keys, names};
use crate::school::roster::{OrgType, Period, SchoolRole};

/// The departments of every school: the end of their id, and their name.
pub(super) const DEPARTMENTS: [(&str, &str); 6] = [
    ("spr", "Fachschaft Sprachen"),
    ("mat", "Fachschaft Mathematik und Informatik"),
    ("nat", "Fachschaft Naturwissenschaften"),
    ("ges", "Fachschaft Gesellschaft"),
    ("kun", "Fachschaft Kunst und Musik"),
    ("spo", "Fachschaft Sport"),
];

/// The people of a school who are enrolled in classes.
#[derive(Debug, Clone, Default)]
pub(super) struct Staff {
    /// Everybody who teaches, in the order of the departments, round and round.
    pub(super) teachers: Vec<String>,
    /// Who helps in classes.
    pub(super) aides: Vec<String>,
    /// Who stands in for a teacher for some weeks, and when.
    pub(super) substitute: Option<(String, Period)>,
    /// Who is in the office.
    pub(super) office: Vec<String>,
}

impl Staff {
    /// A teacher of a department, round and round.
    pub(super) fn teacher(&self, department: usize, turn: usize) -> Option<&String> {
        let own = self.teachers.len().saturating_sub(department).div_ceil(DEPARTMENTS.len()).max(1);
        self.teachers.get(department + (turn % own) * DEPARTMENTS.len())
    }
}

impl Builder {
    /// The staff of a school with so many homerooms.
    pub(super) fn staff_of(&mut self, school: usize, homerooms: usize) -> Staff {
        let org = keys::school_id(school);
        for (code, name) in DEPARTMENTS {
            self.org(&format!("{org}-{code}"), name, OrgType::Department, Some(org.clone()));
        }
        let mut staff = Staff::default();
        self.employee(&org, SchoolRole::Leadership, Some("principal"), Period::default());
        self.employee(&org, SchoolRole::Leadership, Some("siteAdministrator"), Period::default());
        for _ in 0..=homerooms / 20 {
            self.employee(&org, SchoolRole::Staff, Some("counselor"), Period::default());
        }
        for _ in 0..2 + homerooms / 20 {
            staff.office.push(self.employee(&org, SchoolRole::Staff, Some("office"), Period::default()));
        }
        self.employee(&org, SchoolRole::Staff, Some("systemAdministrator"), Period::default());
        self.employee(&org, SchoolRole::Staff, None, Period::default());
        for number in 0..(2 * DEPARTMENTS.len()).max(homerooms * 3 / 2) {
            let teacher = self.employee(&org, SchoolRole::Teacher, None, Period::default());
            if let Some((code, _)) = DEPARTMENTS.get(number % DEPARTMENTS.len()) {
                let department = format!("{org}-{code}");
                self.grant(&teacher, &department, SchoolRole::Teacher, None, Period::default());
            }
            staff.teachers.push(teacher);
        }
        for _ in 0..=homerooms / 6 {
            staff.aides.push(self.employee(&org, SchoolRole::Staff, Some("aide"), Period::default()));
        }
        let weeks = Period {
            begin: self.today.checked_sub_days(Days::new(14)),
            end: self.today.checked_add_days(Days::new(28)),
        };
        let substitute = self.employee(&org, SchoolRole::Teacher, Some("substitute"), weeks);
        staff.substitute = Some((substitute, weeks));
        staff
    }

    /// Somebody who works at an organisation.
    pub(super) fn employee(&mut self, org: &str, role: SchoolRole, title: Option<&str>, period: Period) -> String {
        let id = self.staff_id();
        let (given, family) = (names::given(&mut self.random), names::family(&mut self.random));
        let display = self.random.percent(8).then(|| format!("Dr. {given} {family}"));
        self.adult(&id, given, family);
        if let Some(person) = self.roster.people.get_mut(&id) {
            person.display = display;
        }
        self.grant(&id, org, role, title, period);
        id
    }
}
