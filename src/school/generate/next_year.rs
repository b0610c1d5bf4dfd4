//! What the source tells a year later: everybody a grade up, the oldest gone, new ones in the fifth grade, and all
//! classes and sessions new.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use super::{
    build::Builder,
    families::Slot,
    keys::{self, ClassKey, GRADES},
    objects::Tie,
    teaching::{ELECTIVES, Homeroom, SUBJECTS},
};
use crate::school::roster::{EnrollmentRole, Link, Period, Roster, SchoolRole};

/// The roster of the school year after a generated roster's. Another seed gives other newcomers.
pub fn next_year(old: &Roster, seed: u64) -> Roster {
    let Some(last) = old.classes.keys().filter_map(|id| ClassKey::parse(id)).map(|key| key.year).max() else {
        return old.clone();
    };
    let year = last + 1;
    let begin = keys::day(year, 8, 1);
    let mut builder = Builder::resume(Roster::default(), seed, keys::day(year, 10, 5));
    let known = Builder::resume(old.clone(), seed, begin);
    (builder.pupils, builder.adults, builder.staff) = (known.pupils, known.adults, known.staff);
    builder.roster = stayers(old, begin);
    builder.sessions(year);
    let classes = move_up(&mut builder, old, begin);
    newcomers(&mut builder, old, &classes);
    builder.roster
}

/// Organisations, courses, groups, and the people who stay, with their roles and links.
fn stayers(old: &Roster, begin: NaiveDate) -> Roster {
    let mut roster = Roster { orgs: old.orgs.clone(), courses: old.courses.clone(), ..Roster::default() };
    let goes_on = |end: Option<NaiveDate>| end.is_none_or(|end| end > begin);
    for (id, person) in &old.people {
        let mut person = person.clone();
        if let Some(grade) = person.grade.as_ref().and_then(|grade| grade.parse::<u8>().ok()) {
            if grade >= *GRADES.end() {
                continue;
            }
            person.grade = Some(keys::grade_text(grade + 1));
        }
        roster.people.insert(id.clone(), person);
    }
    let links = old.links.iter().filter(|(_, link)| roster.people.contains_key(&link.student));
    let links = links.filter(|(_, link)| goes_on(link.period.end));
    roster.links = links.map(|(id, link)| (id.clone(), link.clone())).collect();
    roster.roles = old.roles.clone();
    roster.roles.retain(|_, role| roster.people.contains_key(&role.person) && goes_on(role.period.end));
    drop_strangers(&mut roster);
    roster.groups = old.groups.clone();
    for group in roster.groups.values_mut() {
        group.members.retain(|member| roster.people.contains_key(member));
    }
    roster
}

/// Removes links of pupils who are at no school, the roles of guardians who have no child at the school, and people who
/// have no role.
pub(super) fn drop_strangers(roster: &mut Roster) {
    let mut schools: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for role in roster.roles.values().filter(|role| role.role == SchoolRole::Student) {
        schools.entry(&role.person).or_default().push(&role.org);
    }
    roster.links.retain(|_, link| schools.contains_key(link.student.as_str()));
    let mut guardians: BTreeSet<(String, String)> = BTreeSet::new();
    for Link { student, adult, .. } in roster.links.values() {
        let at = schools.get(student.as_str()).into_iter().flatten();
        guardians.extend(at.map(|school| (adult.clone(), (*school).to_owned())));
    }
    roster.roles.retain(|_, role| {
        role.role != SchoolRole::Guardian || guardians.contains(&(role.person.clone(), role.org.clone()))
    });
    let known: BTreeSet<&str> = roster.roles.values().map(|role| role.person.as_str()).collect();
    roster.people.retain(|id, _| known.contains(id.as_str()));
}

/// Makes the classes of the new year from the old ones: a class keeps its pupils and its teachers and gets the next grade;
/// one of the oldest becomes one of the youngest, with its teachers only. The answer are the classes of the youngest, and
/// how many pupils each homeroom among them had.
fn move_up(builder: &mut Builder, old: &Roster, begin: NaiveDate) -> BTreeMap<ClassKey, usize> {
    let mut youngest = BTreeMap::new();
    let mut renamed: BTreeMap<&str, (String, bool, usize)> = BTreeMap::new();
    for (id, class) in &old.classes {
        let Some(mut key) = ClassKey::parse(id) else { continue };
        let leaves = key.grade >= *GRADES.end();
        key.year = builder.year;
        key.grade = if leaves { *GRADES.start() } else { key.grade + 1 };
        let subjects = SUBJECTS.iter().map(|row| (row.0, row.1)).chain(ELECTIVES);
        let title = key.subject.as_ref().and_then(|code| subjects.into_iter().find(|row| row.0 == code));
        let half = class.sessions.first().and_then(|session| session.rsplit('-').next()?.parse().ok()).unwrap_or(0);
        let new = builder.class(&key, title.map(|row| row.1), if half > 2 { 0 } else { half });
        renamed.insert(id, (new, leaves, key.school));
        if leaves {
            youngest.insert(key, 0);
        }
    }
    let last_day = begin.checked_sub_days(Days::new(1)).unwrap_or(begin);
    for enrollment in old.enrollments.values().filter(|enrollment| enrollment.period.holds(last_day)) {
        let Some((class, leaves, school)) = renamed.get(enrollment.class.as_str()) else { continue };
        if *leaves && enrollment.role == EnrollmentRole::Student {
            if let Some(count) = ClassKey::parse(class).and_then(|key| youngest.get_mut(&key)) {
                *count += 1;
            }
        } else if builder.roster.people.contains_key(&enrollment.person) {
            let dated = school.is_multiple_of(2) && enrollment.role == EnrollmentRole::Student;
            let period = if dated { keys::year_period(builder.year) } else { Period::default() };
            builder.enroll(class, &enrollment.person, enrollment.role, enrollment.primary, period);
        }
    }
    youngest
}

/// Fills the homerooms of the youngest with as many new pupils as the oldest were.
fn newcomers(builder: &mut Builder, old: &Roster, classes: &BTreeMap<ClassKey, usize>) {
    let mut pool = Vec::new();
    for (key, count) in classes.iter().filter(|(key, _)| key.subject.is_none()) {
        let pupils: Vec<String> = (0..*count).map(|_| builder.pupil_id()).collect();
        let homeroom = Homeroom { key: key.clone(), pupils };
        builder.learn(&key.to_string(), &homeroom, homeroom.pupils.iter());
        for (class, _) in classes.iter().filter(|(class, _)| class.school == key.school && class.subject.is_some()) {
            let which = ELECTIVES.iter().position(|(code, _)| class.subject.as_deref() == Some(code));
            if let (Some(which), true) = (which, class.section.is_empty()) {
                let own = homeroom.pupils.iter().skip(which).step_by(ELECTIVES.len());
                builder.learn(&class.to_string(), &homeroom, own);
            } else if class.section == key.section {
                builder.learn(&class.to_string(), &homeroom, homeroom.pupils.iter());
            }
        }
        let (school, grade) = (key.school, key.grade);
        pool.extend(homeroom.pupils.into_iter().map(|id| Slot { id, school, grade }));
    }
    let elder: Vec<&Link> = old.links.values().filter(|link| link.contact && link.period.end.is_none()).collect();
    let (siblings, others): (Vec<_>, Vec<_>) = pool.into_iter().partition(|_| builder.random.percent(20));
    for slot in siblings {
        sibling(builder, &elder, &slot);
    }
    builder.families(others, Vec::new());
}

/// A new pupil whose elder sibling is here already: the same adults, if they stay.
fn sibling(builder: &mut Builder, elder: &[&Link], slot: &Slot) {
    let chosen = elder.get(builder.random.below(elder.len())).filter(|link| {
        builder.roster.people.contains_key(&link.student) && builder.roster.people.contains_key(&link.adult)
    });
    let Some(chosen) = chosen else {
        builder.families(vec![slot.clone()], Vec::new());
        return;
    };
    let family = builder.roster.people.get(&chosen.student).map(|pupil| pupil.family.clone()).unwrap_or_default();
    builder.child(slot, &family);
    for link in elder.iter().filter(|link| link.student == chosen.student) {
        if builder.roster.people.contains_key(&link.adult) {
            let Link { relation, legal, contact, isolated, period, .. } = **link;
            builder.belongs(&link.adult, slot, Tie { relation, legal, contact, isolated, period }, None);
        }
    }
}
