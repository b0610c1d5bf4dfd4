//! The two schools of the demo, and whom to look at.

use chrono::NaiveDate;

use super::{
    build::{Builder, build},
    families::{Family, Household},
    plan::Plan,
};
use crate::school::roster::{Enrollment, EnrollmentRole, Roster, SourceId};

/// What somebody stands for in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Runs the server; what makes them an administrator is given on the server.
    Admin,
    /// Leads a school.
    Head,
    /// Counsels pupils.
    Counsellor,
    /// Works in the office.
    Office,
    /// Teaches, and is the tutor of a homeroom.
    Teacher,
    /// Teaches for some weeks.
    Substitute,
    /// Teaches, and has a child at the school.
    TeacherParent,
    /// A pupil of a higher grade.
    Pupil,
    /// A pupil of grade 6 or below.
    JuniorPupil,
    /// A parent of the pupil.
    Guardian,
    /// A parent with children in several classes.
    SharedGuardian,
    /// One of two parents with a household each.
    SeparatedGuardian,
    /// A parent whom a court keeps from the child.
    NoContact,
    /// A relative whom the school does not write to.
    Relative,
    /// One person of whom the source has two records.
    TwoRecords,
}

/// Somebody to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notable {
    /// What they stand for.
    pub part: Part,
    /// Who.
    pub person: SourceId,
    /// Why, for a person: a sentence without a full stop.
    pub why: String,
}

/// A roster, and whom to look at in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Two schools.
    pub roster: Roster,
    /// In the order of [`Part`]; several have the same part.
    pub notables: Vec<Notable>,
}

/// The demo on a day: [`Plan::demo`]'s schools in the school year of that day.
pub fn demo(today: NaiveDate) -> Demo {
    let builder = build(&Plan::demo().on(today));
    let mut cast = Cast { builder: &builder, notables: Vec::new() };
    cast.staff();
    cast.families();
    let mut notables = cast.notables;
    notables.sort_by_key(|notable| notable.part);
    Demo { roster: builder.roster, notables }
}

/// Looks for everybody.
struct Cast<'a> {
    builder: &'a Builder,
    notables: Vec<Notable>,
}

impl Cast<'_> {
    fn add(&mut self, part: Part, person: Option<&SourceId>, why: String) {
        self.notables.extend(person.map(|person| Notable { part, person: person.clone(), why }));
    }

    /// Who works at the first school.
    fn staff(&mut self) {
        let roster = &self.builder.roster;
        for (part, title, why) in [
            (Part::Admin, "systemAdministrator", "looks after the computers of"),
            (Part::Head, "principal", "leads"),
            (Part::Counsellor, "counselor", "counsels the pupils of"),
            (Part::Office, "office", "is in the office of"),
            (Part::Substitute, "substitute", "stands in for a teacher for six weeks at"),
        ] {
            let role = roster.roles.values().find(|role| role.title.as_deref() == Some(title) && role.org == "org-1");
            let school = role.and_then(|role| roster.orgs.get(&role.org)).map_or("", |org| org.name.as_str());
            self.add(part, role.map(|role| &role.person), format!("{why} {school}"));
        }
    }

    /// Every kind of family.
    fn families(&mut self) {
        self.ordinary();
        let builder = self.builder;
        let mut together = builder.families.iter().filter(|family| family.household == Household::Together);
        if let Some(family) = together.clone().find(|family| !is_ordinary(family)) {
            let why = format!("teaches, and is a parent of {}", builder.children(family));
            self.add(Part::TeacherParent, family.adults.first(), why);
        }
        if let Some(family) = together.find(|family| is_ordinary(family) && family.pupils.len() > 1) {
            let why = format!("is a parent of {}, at two schools", builder.children(family));
            self.add(Part::SharedGuardian, family.adults.first(), why);
        }
        for (household, first, step, part, why) in [
            (Household::Separated, 0, 1, Part::SeparatedGuardian, "has a household apart from the other parent of"),
            (Household::NoContact, 1, 1, Part::NoContact, "must be kept apart from"),
            (Household::Single, 1, 1, Part::Relative, "is a relative, without contact to the school, of"),
            (Household::TwoRecords, 0, 2, Part::TwoRecords, "is known twice, as a parent of one each of"),
        ] {
            let Some(family) = builder.families.iter().find(|family| family.household == household) else { continue };
            for adult in family.adults.iter().skip(first).step_by(step) {
                self.add(part, Some(adult), format!("{why} {}", builder.children(family)));
            }
        }
    }

    /// A tutor, a pupil of that homeroom with the parents, and a younger pupil.
    fn ordinary(&mut self) {
        let builder = self.builder;
        let together = builder.families.iter().filter(|family| family.household == Household::Together);
        let pupils = together.filter(|family| is_ordinary(family) && family.pupils.len() == 1);
        let pupils = pupils.flat_map(|family| family.pupils.iter().map(move |pupil| (family, pupil)));
        let mut of_grade = pupils.filter(|(_, pupil)| builder.is_at(pupil, "org-1"));
        let older = of_grade.clone().find(|(_, pupil)| builder.grade(pupil).is_some_and(|grade| grade > 7));
        if let Some((family, pupil)) = older {
            let homeroom = builder.homeroom_of(pupil);
            let class = homeroom.map_or("", |enrollment| enrollment.class.as_str());
            let title = builder.roster.classes.get(class).map_or("", |class| class.title.as_str());
            let enrollments = builder.roster.enrollments.values();
            let tutor =
                enrollments.filter(|enrollment| enrollment.class == class).find(|enrollment| enrollment.primary);
            self.add(Part::Teacher, tutor.map(|tutor| &tutor.person), format!("is the tutor of {title}"));
            self.add(Part::Pupil, Some(pupil), format!("is in {title}"));
            for adult in &family.adults {
                let why = format!("is a parent of {}, who is in {title}", builder.name(pupil));
                self.add(Part::Guardian, Some(adult), why);
            }
        }
        let younger = of_grade.find(|(_, pupil)| builder.grade(pupil).is_some_and(|grade| grade <= 6));
        let why = "is too young for chats with an adult of the school alone".to_owned();
        self.add(Part::JuniorPupil, younger.map(|(_, pupil)| pupil), why);
    }
}

/// Whether nobody of a family works at a school.
fn is_ordinary(family: &Family) -> bool {
    !family.adults.iter().any(|adult| adult.starts_with("stf-"))
}

impl Builder {
    fn children(&self, family: &Family) -> String {
        family.pupils.iter().map(|pupil| self.name(pupil)).collect::<Vec<_>>().join(" and ")
    }

    fn name(&self, person: &str) -> String {
        let person = self.roster.people.get(person);
        person.map(|person| format!("{} {}", person.given, person.family)).unwrap_or_default()
    }

    fn grade(&self, pupil: &str) -> Option<u8> {
        self.roster.people.get(pupil)?.grade.as_ref()?.parse().ok()
    }

    /// A pupil's enrollment in a homeroom.
    fn homeroom_of(&self, pupil: &str) -> Option<&Enrollment> {
        self.roster.enrollments.values().find(|enrollment| {
            enrollment.person == pupil
                && enrollment.role == EnrollmentRole::Student
                && self.roster.classes.get(&enrollment.class).is_some_and(|class| class.homeroom)
        })
    }
}
