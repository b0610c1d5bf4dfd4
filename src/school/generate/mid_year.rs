//! What the source tells some weeks later: the changes that a school has in the middle of a year.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{build::Builder, keys::ClassKey, next_year::drop_strangers};
use crate::school::roster::{Enrollment, EnrollmentRole, Period, Roster, SchoolRole, SourceId};

/// A roster, and what changed in it. Each change is `None` where the roster had nobody for it.
#[derive(Debug, Clone)]
pub struct MidYear {
    /// The roster after the changes.
    pub roster: Roster,
    /// A pupil who moved, the homeroom before and the homeroom now.
    pub moved: Option<(SourceId, SourceId, SourceId)>,
    /// A pupil and an adult who do not belong to each other any more: their link is gone from the files.
    pub unlinked: Option<(SourceId, SourceId)>,
    /// A teacher who left, and who took over that teacher's classes.
    pub replaced: Option<(SourceId, SourceId)>,
    /// A pupil who left, and is told of with an end date and no account.
    pub left: Option<SourceId>,
    /// A pupil who left, and is gone from the files, with the adults who have no other child here.
    pub gone: Option<SourceId>,
}

/// What a generated roster becomes on a day of its school year.
pub fn mid_year(old: &Roster, seed: u64, today: NaiveDate) -> MidYear {
    let mut change = Change { builder: Builder::resume(old.clone(), seed, today), today, used: BTreeSet::new() };
    let moved = change.moved();
    let unlinked = change.unlinked();
    let replaced = change.replaced();
    let left = change.left();
    let gone = change.gone();
    drop_strangers(&mut change.builder.roster);
    MidYear { roster: change.builder.roster, moved, unlinked, replaced, left, gone }
}

/// The changes in the making.
struct Change {
    builder: Builder,
    today: NaiveDate,
    /// Who was part of a change already.
    used: BTreeSet<SourceId>,
}

impl Change {
    /// A pupil moves to another homeroom of the same grade, with all its classes.
    fn moved(&mut self) -> Option<(SourceId, SourceId, SourceId)> {
        let homerooms: Vec<ClassKey> =
            self.builder.roster.classes.keys().filter_map(|id| ClassKey::parse(id)).collect();
        let homerooms: Vec<&ClassKey> = homerooms.iter().filter(|key| key.subject.is_none()).collect();
        let pairs = homerooms.windows(2).filter_map(|pair| match pair {
            [from, to] if (from.school, from.grade) == (to.school, to.grade) => Some((*from, *to)),
            _ => None,
        });
        let pairs: Vec<_> = pairs.collect();
        let (from, to) = *pairs.get(self.builder.random.below(pairs.len()))?;
        let pupil = self.learner(&from.to_string())?;
        for id in self.of_section(&pupil, from) {
            let Some(enrollment) = self.builder.roster.enrollments.get_mut(&id) else { continue };
            enrollment.period.end = Some(self.today);
            let class = ClassKey::parse(&enrollment.class).map(|key| ClassKey { section: to.section.clone(), ..key });
            let class = class.unwrap_or_else(|| to.clone()).to_string();
            let period = Period { begin: Some(self.today), end: None };
            self.builder.enroll(&class, &pupil, EnrollmentRole::Student, false, period);
        }
        Some((pupil, from.to_string(), to.to_string()))
    }

    /// One of two adults of a pupil loses their link.
    fn unlinked(&mut self) -> Option<(SourceId, SourceId)> {
        let links = &self.builder.roster.links;
        let ordinary: Vec<_> = links.iter().filter(|(_, link)| link.contact && link.period.end.is_none()).collect();
        let pairs = ordinary.windows(2).filter_map(|pair| match pair {
            [(_, one), (id, other)] if one.student == other.student => Some(((*id).clone(), (*other).clone())),
            _ => None,
        });
        let pairs: Vec<_> = pairs.filter(|(_, link)| !self.used.contains(&link.student)).collect();
        let (id, link) = pairs.get(self.builder.random.below(pairs.len()))?;
        self.builder.roster.links.remove(id);
        self.used.insert(link.student.clone());
        Some((link.student.clone(), link.adult.clone()))
    }

    /// A tutor leaves; somebody new takes over everything.
    fn replaced(&mut self) -> Option<(SourceId, SourceId)> {
        let roster = &self.builder.roster;
        let tutors = roster.enrollments.values().filter(|enrollment| {
            let homeroom = roster.classes.get(&enrollment.class).is_some_and(|class| class.homeroom);
            homeroom && enrollment.primary && enrollment.role == EnrollmentRole::Teacher
        });
        let tutors: Vec<&SourceId> = tutors.map(|enrollment| &enrollment.person).collect();
        let old = (*tutors.get(self.builder.random.below(tutors.len()))?).clone();
        let from = Period { begin: Some(self.today), end: None };
        let mut orgs = Vec::new();
        for role in self.builder.roster.roles.values_mut() {
            if role.person == old && role.role == SchoolRole::Teacher {
                role.period.end = Some(self.today);
                orgs.push(role.org.clone());
            }
        }
        let new = self.builder.employee(orgs.first()?, SchoolRole::Teacher, None, from);
        for org in orgs.iter().skip(1) {
            self.builder.grant(&new, org, SchoolRole::Teacher, None, from);
        }
        for id in self.enrollments(|enrollment| enrollment.person == old) {
            let Some(enrollment) = self.builder.roster.enrollments.get_mut(&id) else { continue };
            enrollment.period.end = Some(self.today);
            let Enrollment { class, role, primary, .. } = enrollment.clone();
            self.builder.enroll(&class, &new, role, primary, from);
        }
        Some((old, new))
    }

    /// A pupil leaves, and everything of theirs gets an end date.
    fn left(&mut self) -> Option<SourceId> {
        let pupil = self.any_learner()?;
        let roster = &mut self.builder.roster;
        roster.people.get_mut(&pupil)?.enabled = false;
        for role in roster.roles.values_mut().filter(|role| role.person == pupil) {
            role.period.end = Some(self.today);
        }
        for enrollment in roster.enrollments.values_mut().filter(|enrollment| enrollment.person == pupil) {
            enrollment.period.end = Some(self.today);
        }
        Some(pupil)
    }

    /// A pupil leaves, and the files do not name them any more.
    fn gone(&mut self) -> Option<SourceId> {
        let pupil = self.any_learner()?;
        let roster = &mut self.builder.roster;
        roster.people.remove(&pupil);
        roster.roles.retain(|_, role| role.person != pupil);
        roster.enrollments.retain(|_, enrollment| enrollment.person != pupil);
        roster.links.retain(|_, link| link.student != pupil);
        for group in roster.groups.values_mut() {
            group.members.retain(|member| *member != pupil);
        }
        Some(pupil)
    }

    /// Somebody in a homeroom of any kind.
    fn any_learner(&mut self) -> Option<SourceId> {
        let homerooms = self.builder.roster.classes.iter().filter(|(_, class)| class.homeroom);
        let homerooms: Vec<SourceId> = homerooms.map(|(id, _)| id.clone()).collect();
        let homeroom = homerooms.get(self.builder.random.below(homerooms.len()))?;
        self.learner(homeroom)
    }

    /// A pupil of a class who is in no other change, and in no later one.
    fn learner(&mut self, class: &str) -> Option<SourceId> {
        let enrollments = self.builder.roster.enrollments.values().filter(|enrollment| {
            enrollment.class == class
                && enrollment.role == EnrollmentRole::Student
                && enrollment.period.holds(self.today)
                && !self.used.contains(&enrollment.person)
        });
        let pupils: Vec<&SourceId> = enrollments.map(|enrollment| &enrollment.person).collect();
        let pupil = (*pupils.get(self.builder.random.below(pupils.len()))?).clone();
        self.used.insert(pupil.clone());
        Some(pupil)
    }

    /// The enrollments of a pupil in the classes of a homeroom.
    fn of_section(&self, pupil: &str, homeroom: &ClassKey) -> Vec<SourceId> {
        self.enrollments(|enrollment| {
            let key = ClassKey::parse(&enrollment.class);
            enrollment.person == pupil && key.is_some_and(|key| ClassKey { subject: None, ..key } == *homeroom)
        })
    }

    /// The ids of the enrollments of which something is true today.
    fn enrollments(&self, is: impl Fn(&Enrollment) -> bool) -> Vec<SourceId> {
        let all = self.builder.roster.enrollments.iter();
        let active = all.filter(|(_, enrollment)| enrollment.period.holds(self.today) && is(enrollment));
        active.map(|(id, _)| id.clone()).collect()
    }
}
