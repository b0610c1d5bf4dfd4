//! Classes, who is in them, and groups.

use std::collections::BTreeSet;

use super::{
    build::{Builder, School},
    keys::{self, ClassKey, GRADES},
    staff::Staff,
};
use crate::school::roster::{Class, EnrollmentRole, Group, Period};

/// What is taught: the end of its ids, its name, its department, and in which half of the year (0: both).
pub(super) const SUBJECTS: [(&str, &str, usize, u8); 11] = [
    ("deu", "Deutsch", 0, 0),
    ("mat", "Mathematik", 1, 0),
    ("eng", "Englisch", 0, 0),
    ("kun", "Kunst", 4, 1),
    ("mus", "Musik", 4, 2),
    ("bio", "Biologie", 2, 0),
    ("spo", "Sport", 5, 0),
    ("ges", "Geschichte", 3, 0),
    ("erd", "Erdkunde", 3, 0),
    ("phy", "Physik", 2, 0),
    ("inf", "Informatik", 1, 0),
];

/// What a whole grade chooses from, whatever the homeroom; all are of the first department.
pub(super) const ELECTIVES: [(&str, &str); 2] = [("frz", "Französisch"), ("lat", "Latein")];

/// The most classes a pupil can have besides the homeroom: all subjects and one of the electives.
pub(super) const SUBJECTS_MAX: usize = SUBJECTS.len() + 1;

const CLUBS: [&str; 12] = [
    "Schach-AG",
    "Schulband",
    "Robotik-AG",
    "Schülerzeitung",
    "Theater-AG",
    "Chor",
    "Garten-AG",
    "Sanitätsdienst",
    "Basketball",
    "Streitschlichter",
    "Film-AG",
    "Imkerei",
];

/// A homeroom in the making.
#[derive(Debug, Clone)]
pub(super) struct Homeroom {
    pub(super) key: ClassKey,
    pub(super) pupils: Vec<String>,
}

/// How many of [`SUBJECTS`] a pupil has when it has so many classes; one more is an elective.
fn regular(subjects: usize) -> usize {
    if subjects >= 2 { subjects - 1 } else { subjects }
}

impl Builder {
    /// The courses of a school: of every grade and subject.
    pub(super) fn courses(&mut self, school: usize, subjects: usize) {
        let electives = if subjects >= 2 { ELECTIVES.as_slice() } else { &[] };
        let taught: Vec<(&str, &str)> = SUBJECTS.iter().take(regular(subjects)).map(|row| (row.0, row.1)).collect();
        for grade in GRADES {
            for (code, title) in [("home", "Klassenleitung")].iter().chain(&taught).chain(electives) {
                let id = keys::course_id(school, grade, code);
                self.course(id, format!("{title} {grade}"), keys::school_id(school));
            }
        }
    }

    /// The classes of a school, with everybody in them.
    pub(super) fn teach(&mut self, school: &School, subjects: usize) {
        let staff = &school.staff;
        for (number, homeroom) in school.homerooms.iter().enumerate() {
            self.homeroom(staff, number, homeroom);
            for (index, (code, title, department, half)) in SUBJECTS.iter().take(regular(subjects)).enumerate() {
                let class = self.class(&homeroom.key.of(code), Some(title), *half);
                let turn = number + index;
                self.staffed(&class, staff, *department, turn);
                if turn % 7 == 0 {
                    self.enroll_staff(&class, staff.teacher(*department, turn + 1), EnrollmentRole::Teacher);
                }
                if turn % 9 == 0 {
                    let aide = staff.aides.get(number % staff.aides.len().max(1));
                    self.enroll_staff(&class, aide, EnrollmentRole::Aide);
                }
                self.learn(&class, homeroom, homeroom.pupils.iter());
            }
        }
        if subjects >= 2 {
            self.electives(school);
        }
    }

    /// A homeroom: its tutor is its primary teacher.
    fn homeroom(&mut self, staff: &Staff, number: usize, homeroom: &Homeroom) {
        let class = self.class(&homeroom.key, None, 0);
        let count = staff.teachers.len().max(1);
        if let Some(tutor) = staff.teachers.get(number % count) {
            self.enroll(&class, tutor, EnrollmentRole::Teacher, true, Period::default());
        }
        self.enroll_staff(&class, staff.teachers.get((number + 1) % count), EnrollmentRole::Teacher);
        if homeroom.key.grade <= 6 {
            let aide = staff.aides.get(number % staff.aides.len().max(1));
            self.enroll_staff(&class, aide, EnrollmentRole::Aide);
        }
        self.learn(&class, homeroom, homeroom.pupils.iter());
    }

    /// Classes in which pupils of all homerooms of a grade sit together.
    fn electives(&mut self, school: &School) {
        for grade in GRADES {
            let homerooms: Vec<_> = school.homerooms.iter().filter(|homeroom| homeroom.key.grade == grade).collect();
            let Some(first) = homerooms.first() else { continue };
            let whole = ClassKey { section: String::new(), ..first.key.clone() };
            for (which, (code, title)) in ELECTIVES.iter().enumerate() {
                let class = self.class(&whole.of(code), Some(title), 0);
                self.staffed(&class, &school.staff, 0, usize::from(grade) + which);
                for homeroom in &homerooms {
                    let own = homeroom.pupils.iter().skip(which).step_by(ELECTIVES.len());
                    self.learn(&class, homeroom, own);
                }
            }
        }
    }

    /// A class without anybody in it. `half`: 1 or 2 for a half of the school year, 0 for all of it.
    pub(super) fn class(&mut self, key: &ClassKey, subject: Option<&str>, half: u8) -> String {
        let whole = keys::session_id(self.year);
        let code = key.subject.as_ref().map_or_else(String::new, |subject| format!("-{}", subject.to_uppercase()));
        let class = Class {
            title: key.title(subject),
            code: Some(format!("{}{}{code}", key.grade, key.section)),
            org: keys::school_id(key.school),
            course: Some(key.course()),
            homeroom: subject.is_none(),
            grades: vec![keys::grade_text(key.grade)],
            sessions: vec![if half == 0 { whole } else { format!("{whole}-{half}") }],
        };
        let id = key.to_string();
        self.roster.classes.insert(id.clone(), class);
        id
    }

    /// Gives a class its teacher, and whoever stands in for that one.
    fn staffed(&mut self, class: &str, staff: &Staff, department: usize, turn: usize) {
        let Some(teacher) = staff.teacher(department, turn) else { return };
        self.enroll(class, teacher, EnrollmentRole::Teacher, true, Period::default());
        if let Some((substitute, weeks)) = staff.substitute.as_ref().filter(|_| staff.teachers.last() == Some(teacher))
        {
            self.enroll(class, substitute, EnrollmentRole::Teacher, false, *weeks);
        }
    }

    fn enroll_staff(&mut self, class: &str, person: Option<&String>, role: EnrollmentRole) {
        if let Some(person) = person {
            self.enroll(class, person, role, false, Period::default());
        }
    }

    /// Pupils of a homeroom in a class. Every second school writes the dates of the school year.
    pub(super) fn learn<'a>(&mut self, class: &str, homeroom: &Homeroom, pupils: impl Iterator<Item = &'a String>) {
        let dated = homeroom.key.school.is_multiple_of(2);
        let period = if dated { keys::year_period(self.year) } else { Period::default() };
        for pupil in pupils {
            self.enroll(class, pupil, EnrollmentRole::Student, false, period);
        }
    }

    /// The groups of a school: clubs, the office, and those who speak for the pupils.
    pub(super) fn groups(&mut self, school: &School) {
        let org = keys::school_id(school.number);
        let pupils: Vec<&String> = school.homerooms.iter().flat_map(|homeroom| &homeroom.pupils).collect();
        for (number, club) in CLUBS.iter().enumerate().take((pupils.len() / 75).clamp(2, CLUBS.len())) {
            let mut members = BTreeSet::new();
            for _ in 0..12 {
                members.extend(pupils.get(self.random.below(pupils.len())).map(|pupil| (*pupil).clone()));
            }
            members.extend(school.staff.teachers.get(number * 2 + 1).cloned());
            self.group(&format!("grp-{}-{number:02}", school.number), club, &org, members);
        }
        let speakers = school.homerooms.iter().filter_map(|homeroom| homeroom.pupils.get(2).cloned()).collect();
        self.group(&format!("grp-{}-sv", school.number), "Schülervertretung", &org, speakers);
        let office = school.staff.office.iter().cloned().collect();
        self.group(&format!("grp-{}-office", school.number), "Sekretariat", &org, office);
    }

    fn group(&mut self, id: &str, title: &str, org: &str, members: BTreeSet<String>) {
        let group =
            Group { title: title.to_owned(), org: Some(org.to_owned()), members: members.into_iter().collect() };
        self.roster.groups.insert(id.to_owned(), group);
    }
}
