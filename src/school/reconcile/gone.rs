//! What is removed, and what goes or changes with it.

use std::collections::{BTreeMap, HashSet};

use crate::school::roster::{Bundle, Class, Enrollment, Link, Object, ObjectKind, RoleGrant, Roster};

/// Objects that are stored and will not be any more, by kind.
#[derive(Default)]
pub(super) struct Gone<'a> {
    pub(super) orgs: HashSet<&'a str>,
    pub(super) sessions: HashSet<&'a str>,
    pub(super) courses: HashSet<&'a str>,
    pub(super) classes: HashSet<&'a str>,
    pub(super) people: HashSet<&'a str>,
    pub(super) roles: HashSet<&'a str>,
    pub(super) enrollments: HashSet<&'a str>,
    pub(super) links: HashSet<&'a str>,
    pub(super) groups: HashSet<&'a str>,
}

impl<'a> Gone<'a> {
    pub(super) fn of(stored: &'a Roster, bundle: &'a Bundle) -> Self {
        let mut by_name = BTreeMap::<ObjectKind, HashSet<&str>>::new();
        for (kind, id) in &bundle.removed {
            by_name.entry(*kind).or_default().insert(id);
        }
        let mut gone = Gone::default();
        // `$orphan` says of a stored object whether something that it cannot be without is gone.
        macro_rules! find {
            ($map:ident, $kind:ident, $orphan:expr) => {
                let complete = bundle.complete.contains(&ObjectKind::$kind);
                let named = by_name.get(&ObjectKind::$kind);
                let orphan = $orphan;
                let leaves = stored.$map.iter().filter(|(id, object)| {
                    !bundle.roster.$map.contains_key(*id)
                        && (complete || named.is_some_and(|ids| ids.contains(id.as_str())) || orphan(&gone, *object))
                });
                gone.$map = leaves.map(|(id, _)| id.as_str()).collect();
            };
        }
        find!(orgs, Org, never);
        find!(sessions, Session, never);
        find!(courses, Course, never);
        find!(classes, Class, |gone: &Gone<'_>, class: &Class| gone.orgs.contains(class.org.as_str()));
        find!(people, Person, never);
        find!(roles, Role, |gone: &Gone<'_>, role: &RoleGrant| {
            gone.people.contains(role.person.as_str()) || gone.orgs.contains(role.org.as_str())
        });
        find!(enrollments, Enrollment, |gone: &Gone<'_>, row: &Enrollment| {
            gone.people.contains(row.person.as_str()) || gone.classes.contains(row.class.as_str())
        });
        find!(links, Link, |gone: &Gone<'_>, link: &Link| {
            gone.people.contains(link.student.as_str()) || gone.people.contains(link.adult.as_str())
        });
        find!(groups, Group, never);
        gone
    }

    /// What a stored object looks like without what is gone, if it can do without.
    pub(super) fn mend(&self, object: &Object) -> Option<Object> {
        let drop =
            |id: &mut Option<String>, gone: &HashSet<&str>| id.take_if(|id| gone.contains(id.as_str())).is_some();
        let mut object = object.clone();
        let mended = match &mut object {
            Object::Org(org) => drop(&mut org.parent, &self.orgs),
            Object::Session(session) => drop(&mut session.parent, &self.sessions),
            Object::Course(course) => drop(&mut course.org, &self.orgs),
            Object::Class(class) => {
                let sessions = class.sessions.len();
                class.sessions.retain(|session| !self.sessions.contains(session.as_str()));
                drop(&mut class.course, &self.courses) | (class.sessions.len() != sessions)
            }
            Object::Group(group) => {
                let members = group.members.len();
                group.members.retain(|member| !self.people.contains(member.as_str()));
                drop(&mut group.org, &self.orgs) | (group.members.len() != members)
            }
            Object::Person(_) | Object::Role(_) | Object::Enrollment(_) | Object::Link(_) => false,
        };
        mended.then_some(object)
    }

    /// Whether stored objects may have to be mended at all.
    pub(super) fn mends(&self) -> bool {
        !(self.orgs.is_empty() && self.sessions.is_empty() && self.courses.is_empty() && self.people.is_empty())
    }
}

/// Of an object that can be without any other.
fn never<T>(_: &Gone<'_>, _: &T) -> bool {
    false
}
