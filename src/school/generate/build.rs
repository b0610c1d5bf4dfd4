//! A plan becomes a roster, step by step.

use chrono::NaiveDate;

use super::{
    families::{Family, Slot},
    keys::{self, ClassKey, GRADES},
    objects::Tie,
    plan::Plan,
    random::Random,
    staff::Staff,
    teaching::Homeroom,
};
use crate::school::roster::{Class, EnrollmentRole, OrgType, Period, Roster, SchoolRole};

/// A roster in the making.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) roster: Roster,
    pub(super) random: Random,
    /// Dates are counted from it.
    pub(super) today: NaiveDate,
    /// The calendar year in which the school year begins.
    pub(super) year: i32,
    /// How many ids of each kind were given.
    pub(super) pupils: usize,
    pub(super) adults: usize,
    pub(super) staff: usize,
    /// The families made so far, for those who look for an example.
    pub(super) families: Vec<Family>,
}

/// A school in the making.
#[derive(Debug)]
pub(super) struct School {
    pub(super) number: usize,
    pub(super) staff: Staff,
    pub(super) homerooms: Vec<Homeroom>,
}

/// What a plan describes.
pub fn roster(plan: &Plan) -> Roster {
    build(plan).roster
}

pub(super) fn build(plan: &Plan) -> Builder {
    let mut builder = Builder::resume(Roster::default(), plan.seed, plan.today);
    builder.org("org-0", "Schulverband Musterkreis", OrgType::District, None);
    builder.employee("org-0", SchoolRole::Leadership, Some("districtAdministrator"), Period::default());
    builder.sessions(builder.year);
    let count = plan.schools.max(1);
    let mut schools: Vec<School> = Vec::new();
    for number in 1..=count {
        schools.push(builder.school(plan, number, share(plan.pupils, count, number - 1)));
    }
    for pair in schools.chunks(2) {
        let slots = pair.iter().flat_map(slots).collect();
        let parents = pair.iter().flat_map(|school| {
            let every = school.staff.teachers.iter().enumerate().filter(|(index, _)| index % 20 == 7);
            every.map(|(_, teacher)| (school.number, teacher.clone()))
        });
        builder.families(slots, parents.collect());
    }
    for school in &schools {
        builder.teach(school, plan.subjects);
        builder.groups(school);
        builder.namesakes(school);
    }
    builder.add_people(&schools, plan.people_min);
    builder.add_enrollments(&schools, plan.enrollments_min);
    builder
}

impl Builder {
    /// Goes on with a roster that was made here.
    pub(super) fn resume(roster: Roster, seed: u64, today: NaiveDate) -> Self {
        let last = |prefix: &str| roster.people.keys().filter_map(|id| keys::number(id, prefix)).max().unwrap_or(0);
        Self {
            random: Random::new(seed),
            today,
            year: keys::year_of(today),
            pupils: last("stu-"),
            adults: last("gdn-"),
            staff: last("stf-"),
            families: Vec::new(),
            roster,
        }
    }

    /// A school with its staff, its courses and places for pupils.
    fn school(&mut self, plan: &Plan, number: usize, pupils: usize) -> School {
        let name = match number {
            1 => "Gymnasium am Musterberg".to_owned(),
            2 => "Gesamtschule Beispielau".to_owned(),
            _ => format!("Schule Nr. {number}"),
        };
        self.org(&keys::school_id(number), &name, OrgType::School, Some("org-0".to_owned()));
        let mut homerooms = Vec::new();
        for (index, grade) in GRADES.enumerate() {
            let grade_pupils = share(pupils, GRADES.len(), index);
            let sections = grade_pupils.div_ceil(plan.homeroom_pupils_max.max(1));
            for at in 0..sections {
                let section = keys::section(at);
                let key = ClassKey { year: self.year, school: number, grade, section, subject: None };
                let pupils = (0..share(grade_pupils, sections, at)).map(|_| self.pupil_id()).collect();
                homerooms.push(Homeroom { key, pupils });
            }
        }
        self.courses(number, plan.subjects);
        let staff = self.staff_of(number, homerooms.len());
        School { number, staff, homerooms }
    }

    /// Two pupils of one name in one class, one of whom is called by another; their name is not their parents'.
    fn namesakes(&mut self, school: &School) {
        let Some(homeroom) = school.homerooms.iter().find(|homeroom| homeroom.key.grade == 7) else { return };
        for (index, pupil) in homeroom.pupils.iter().take(2).enumerate() {
            if let Some(person) = self.roster.people.get_mut(pupil) {
                "Anna".clone_into(&mut person.given);
                super::names::COMMON.clone_into(&mut person.family);
                person.display = (index == 1).then(|| format!("Anni {}", super::names::COMMON));
            }
        }
        // Somebody who left a system's reach: known, and locked out.
        let locked = school.homerooms.iter().rfind(|homeroom| homeroom.key.grade == 10);
        if let Some(person) =
            locked.and_then(|homeroom| homeroom.pupils.last()).and_then(|pupil| self.roster.people.get_mut(pupil))
        {
            person.enabled = false;
        }
    }

    /// Gives pupils further relatives until there are enough people.
    fn add_people(&mut self, schools: &[School], people_min: usize) {
        let slots: Vec<Slot> = schools.iter().flat_map(slots).collect();
        while self.roster.people.len() < people_min && !slots.is_empty() {
            for slot in slots.iter().take(people_min - self.roster.people.len()) {
                let relative = self.stranger(None);
                self.belongs(&relative, slot, Tie::RELATIVE, Some("relative"));
            }
        }
    }

    /// Makes further classes of homerooms until there are enough enrollments.
    fn add_enrollments(&mut self, schools: &[School], enrollments_min: usize) {
        let homerooms: Vec<_> =
            schools.iter().flat_map(|school| school.homerooms.iter().map(move |homeroom| (school, homeroom))).collect();
        for (number, (school, homeroom)) in homerooms.iter().cycle().enumerate() {
            let Some(missing) = enrollments_min.checked_sub(self.roster.enrollments.len()).filter(|some| *some > 0)
            else {
                return;
            };
            let id = format!("cls-{}-{}-x{number}", self.year, school.number);
            let class = Class {
                title: format!("Förderkurs {number}"),
                code: None,
                org: keys::school_id(school.number),
                course: None,
                homeroom: false,
                grades: vec![keys::grade_text(homeroom.key.grade)],
                sessions: vec![keys::session_id(self.year)],
            };
            self.roster.classes.insert(id.clone(), class);
            if let Some(teacher) = school.staff.teachers.get(number % school.staff.teachers.len().max(1)) {
                self.enroll(&id, teacher, EnrollmentRole::Teacher, true, Period::default());
            }
            for pupil in homeroom.pupils.iter().take(missing - 1) {
                self.enroll(&id, pupil, EnrollmentRole::Student, false, Period::default());
            }
        }
    }
}

/// The places of a school's pupils.
fn slots(school: &School) -> impl Iterator<Item = Slot> {
    school.homerooms.iter().flat_map(|homeroom| {
        let (school, grade) = (homeroom.key.school, homeroom.key.grade);
        homeroom.pupils.iter().map(move |id| Slot { id: id.clone(), school, grade })
    })
}

/// How many of a total are in one of several parts of nearly the same size.
fn share(total: usize, parts: usize, index: usize) -> usize {
    total / parts + usize::from(index < total % parts)
}
