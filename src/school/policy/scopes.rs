//! Which parts of the school, of those with switches of their own, two people are in.

use super::{Compiled, Scope, Scopes};
use crate::school::{
    people::{People, PersonNo},
    roster::{EnrollmentRole, SchoolRole},
};

/// The scopes of a pair. Only pupils and guardians are in any: the switches are about them.
pub fn scopes(settings: &Compiled, people: &People, pair: [Option<PersonNo>; 2]) -> Scopes {
    let mut found = Scopes::default();
    if settings.scopes().is_empty() {
        return found;
    }
    let families = || pair.into_iter().flatten().filter(|person| people.roles(*person).is_family());
    for (bit, scope) in settings.scopes().iter().enumerate() {
        let mut inside = families().map(|person| is_in(people, person, scope));
        let Some(first) = inside.next() else { return found };
        let (any, all) = inside.fold((first, first), |(any, all), inside| (any || inside, all && inside));
        found.any |= u64::from(any) << bit;
        found.all |= u64::from(all) << bit;
    }
    found
}

/// Whether a pupil is in a part of the school. A guardian is where any of their children are.
fn is_in(people: &People, person: PersonNo, scope: &Scope) -> bool {
    if people.roles(person).has(SchoolRole::Student) {
        return learns_in(people, person, scope);
    }
    let children = people.children_of(person).iter().filter(|link| link.is_contact());
    children.into_iter().any(|link| learns_in(people, link.person, scope))
}

fn learns_in(people: &People, student: PersonNo, scope: &Scope) -> bool {
    let mut classes = people
        .enrolled(student)
        .filter(|member| member.role == EnrollmentRole::Student)
        .filter_map(|member| people.class(member.class));
    match scope {
        Scope::Grades(grades) => {
            people.standing(student).grade.is_some_and(|grade| (grades.from..=grades.to).contains(&grade))
        }
        Scope::Class(class) => classes.any(|info| *info.id == *class.id && *info.source == *class.source),
        Scope::Org(org) => {
            let is = |number| people.org(number).is_some_and(|info| *info.id == *org.id && *info.source == *org.source);
            people.orgs_of(student).iter().any(|number| is(*number)) || classes.filter_map(|info| info.org).any(is)
        }
    }
}
