//! One person who looks at the others: what the policy says of each, decided once for those who are alike to them.
//!
//! Whom the viewer has to do with (their classes, their children, their children's teachers) is asked about one by one.
//! To everybody else the viewer is a stranger, and then only what the other is counts: the policy is asked once for each
//! kind of person. So a head who sees everyone and a pupil who sees thirty of 100,000 pay the same few milliseconds, and
//! a hidden match costs what a shown one does.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use ruma::UserId;

use super::marks::Marks;
use crate::{
    rooms::policy::Verb,
    school::{
        Rules,
        people::{ClassNo, People, PersonNo},
        policy::{Compiled, Outcome, Ruling},
        roster::{EnrollmentRole, SchoolRole},
    },
};

/// What is said of somebody whose user id cannot be written down.
const UNNAMED: Ruling = Ruling { outcome: Outcome::Deny, rule: "unnamed", message: "", hidden: true };

/// What strangers have to have in common for one ruling to be about all of them.
type Alike = (u16, u64, Verb);

/// Somebody who looks at the people of the school.
pub(super) struct Viewer<'a> {
    pub(super) rules: &'a Rules,
    pub(super) people: Arc<People>,
    /// Who looks.
    pub(super) user_id: &'a UserId,
    /// The same, if the school knows them.
    pub(super) person: Option<PersonNo>,
    /// Everybody the viewer has to do with, by place.
    near: Marks,
    /// The same, and everybody about whom something was decided by name: they are asked about one by one.
    special: Marks,
    /// Those in force when the viewer began to look.
    settings: Compiled,
    /// What is said of strangers who are in no part of the school with settings of its own: by verb and kind.
    kinds: RefCell<[Vec<Option<Ruling>>; Verb::ALL.len()]>,
    /// And of those who are.
    parts: RefCell<HashMap<Alike, Ruling>>,
}

impl<'a> Viewer<'a> {
    /// Somebody of this server.
    pub(super) fn new(rules: &'a Rules, user_id: &'a UserId) -> Self {
        let people = rules.people();
        let person = people.find(user_id);
        let mut near = Marks::none(people.len());
        if let Some(person) = person {
            add_near(&people, person, &mut near);
        }
        let mut special = near.clone();
        if let Some(person) = person {
            special.add(people.names().place(person));
            let named = rules.in_force().overrides.targets_of(people.user(person));
            let named = named.into_iter().filter_map(|user| people.of_user(user));
            named.for_each(|person| special.add(people.names().place(person)));
        }
        let settings = rules.in_force().policy().compiled.clone();
        let (kinds, parts) = (RefCell::default(), RefCell::default());
        Self { rules, people, user_id, person, near, special, settings, kinds, parts }
    }

    /// Whether the viewer has to do with somebody, as far as classes and children tell.
    pub(super) fn is_near(&self, place: u32) -> bool {
        self.near.has(place)
    }

    /// Whether both belong to one organisation.
    pub(super) fn shares_org(&self, target: PersonNo) -> bool {
        let own = self.person.map_or(&[][..], |person| self.people.orgs_of(person));
        let theirs = self.people.orgs_of(target);
        own.iter().any(|org| theirs.contains(org))
    }

    /// Whether the viewer may know of somebody.
    pub(super) fn sees(&self, target: PersonNo) -> bool {
        self.ruling(target, Verb::See).is_allowed()
    }

    /// What the policy says.
    pub(super) fn ruling(&self, target: PersonNo, verb: Verb) -> Ruling {
        let Some((kind, scopes)) = self.alike(target, verb) else { return self.ask(target, verb) };
        if scopes != 0 {
            let key = (kind, scopes, verb);
            let known = self.parts.borrow().get(&key).copied();
            return known.unwrap_or_else(|| *self.parts.borrow_mut().entry(key).or_insert(self.ask(target, verb)));
        }
        // A plain list: a head looks at everybody with each request.
        let mut kinds = self.kinds.borrow_mut();
        let Some(kinds) = kinds.get_mut(verb as usize) else { return self.ask(target, verb) };
        if kinds.len() <= usize::from(kind) {
            kinds.resize(usize::from(kind) + 1, None);
        }
        match kinds.get_mut(usize::from(kind)) {
            Some(known) => *known.get_or_insert_with(|| self.ask(target, verb)),
            None => self.ask(target, verb),
        }
    }

    /// What a stranger is to the policy; `None` for those who have to be asked about by themselves.
    fn alike(&self, target: PersonNo, verb: Verb) -> Option<(u16, u64)> {
        if self.special.has(self.people.names().place(target)) {
            return None;
        }
        let kind = self.people.names().kind(target)?;
        Some((kind, self.rules.stranger_scopes(&self.settings, &self.people, target, verb)?))
    }

    fn ask(&self, target: PersonNo, verb: Verb) -> Ruling {
        match self.person {
            Some(person) => self.rules.ruling_under(&self.settings, &self.people, person, target, verb),
            None => match self.people.user_id(target, self.rules.server()) {
                Some(target) => self.rules.ruling(self.user_id, &target, verb),
                None => UNNAMED,
            },
        }
    }

    /// The classes whose names the viewer may read beside a person: their own and those of their children; all of them
    /// for who leads the school or answers for its safety.
    pub(super) fn interest(&self) -> Interest {
        let Some(person) = self.person else { return Interest::These(Vec::new()) };
        let roles = self.people.roles(person);
        if roles.has(SchoolRole::Leadership) || roles.has(SchoolRole::SafeguardingLead) {
            return Interest::All;
        }
        let children = self.people.children_of(person).iter().filter(|link| link.is_contact());
        let whose = std::iter::once(person).chain(children.map(|link| link.person));
        let mut classes: Vec<ClassNo> =
            whose.flat_map(|person| self.people.enrolled(person)).map(|member| member.class).collect();
        classes.sort_unstable();
        classes.dedup();
        Interest::These(classes)
    }
}

/// Classes that somebody may read about.
pub(super) enum Interest {
    /// Every class.
    All,
    /// These, sorted.
    These(Vec<ClassNo>),
}

impl Interest {
    /// Whether a class is among them.
    pub(super) fn has(&self, class: ClassNo) -> bool {
        match self {
            Self::All => true,
            Self::These(classes) => classes.binary_search(&class).is_ok(),
        }
    }
}

/// Marks everybody a person has any relation to besides that of one organisation, and some more.
fn add_near(people: &People, person: PersonNo, near: &mut Marks) {
    let mut mark = |other: PersonNo| near.add(people.names().place(other));
    for own in people.enrolled(person) {
        for member in people.members(own.class) {
            mark(member.person);
            if own.role != EnrollmentRole::Student && member.role == EnrollmentRole::Student {
                people.adults_of(member.person).iter().for_each(|adult| mark(adult.person));
            }
        }
    }
    people.adults_of(person).iter().for_each(|adult| mark(adult.person));
    for child in people.children_of(person) {
        mark(child.person);
        people.adults_of(child.person).iter().for_each(|adult| mark(adult.person));
        for own in people.enrolled(child.person) {
            let homeroom = people.class(own.class).is_some_and(|class| class.homeroom);
            for member in people.members(own.class) {
                match member.role {
                    EnrollmentRole::Student if homeroom => {
                        people.adults_of(member.person).iter().for_each(|adult| mark(adult.person));
                    }
                    EnrollmentRole::Student => {}
                    _ => mark(member.person),
                }
            }
        }
    }
}
