//! A roster: a school's people, classes and relations, as one source tells of them. Pure values.
//!
//! Readers of files make a [`Bundle`]; `reconcile` compares it with the [`Roster`] that is stored for its source. Ids are
//! the source's own (`sourcedId`), and mean nothing outside it.

use std::collections::{BTreeMap, BTreeSet};

pub use crate::store::schema::school::{
    Change, Class, Course, Enrollment, EnrollmentRole, Group, Link, Object, Org, OrgType, Period, Person, Relation,
    RoleGrant, SchoolRole, Session,
};

/// An object's id in its source.
pub type SourceId = String;

/// Everything one source tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Organisations.
    pub orgs: BTreeMap<SourceId, Org>,
    /// Terms and school years.
    pub sessions: BTreeMap<SourceId, Session>,
    /// Courses.
    pub courses: BTreeMap<SourceId, Course>,
    /// Classes.
    pub classes: BTreeMap<SourceId, Class>,
    /// People.
    pub people: BTreeMap<SourceId, Person>,
    /// Roles.
    pub roles: BTreeMap<SourceId, RoleGrant>,
    /// Who is in which class.
    pub enrollments: BTreeMap<SourceId, Enrollment>,
    /// Which adult belongs to which pupil.
    pub links: BTreeMap<SourceId, Link>,
    /// Groups that are no classes.
    pub groups: BTreeMap<SourceId, Group>,
}

/// The kinds of objects, in the order in which they are made: what an object names comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// An organisation.
    Org,
    /// A term.
    Session,
    /// A course.
    Course,
    /// A class.
    Class,
    /// A person.
    Person,
    /// A role.
    Role,
    /// Somebody in a class.
    Enrollment,
    /// A pupil and an adult.
    Link,
    /// A group.
    Group,
}

/// What was read from a source's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// What it was read from, such as `oneroster-1.2`.
    pub format: &'static str,
    /// The objects. Removed ones are not among them.
    pub roster: Roster,
    /// Kinds of which the files tell everything: what they do not name is removed.
    pub complete: BTreeSet<ObjectKind>,
    /// What a delta removes by name.
    pub removed: BTreeSet<(ObjectKind, SourceId)>,
    /// The SHA-256 of the files.
    pub sha256: [u8; 32],
}

impl Bundle {
    /// Whether it tells only what changed.
    pub fn is_delta(&self) -> bool {
        self.complete.is_empty()
    }
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Org(_) => ObjectKind::Org,
            Self::Session(_) => ObjectKind::Session,
            Self::Course(_) => ObjectKind::Course,
            Self::Class(_) => ObjectKind::Class,
            Self::Person(_) => ObjectKind::Person,
            Self::Role(_) => ObjectKind::Role,
            Self::Enrollment(_) => ObjectKind::Enrollment,
            Self::Link(_) => ObjectKind::Link,
            Self::Group(_) => ObjectKind::Group,
        }
    }
}

impl ObjectKind {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 9] = [
        Self::Org,
        Self::Session,
        Self::Course,
        Self::Class,
        Self::Person,
        Self::Role,
        Self::Enrollment,
        Self::Link,
        Self::Group,
    ];

    /// Its name in the API: `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Session => "session",
            Self::Course => "course",
            Self::Class => "class",
            Self::Person => "person",
            Self::Role => "role",
            Self::Enrollment => "enrollment",
            Self::Link => "link",
            Self::Group => "group",
        }
    }
}

impl Roster {
    /// How many objects it has.
    pub fn len(&self) -> usize {
        self.orgs.len()
            + self.sessions.len()
            + self.courses.len()
            + self.classes.len()
            + self.people.len()
            + self.roles.len()
            + self.enrollments.len()
            + self.links.len()
            + self.groups.len()
    }

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets an object, or removes it. The answer is what was there.
    pub fn put(&mut self, kind: ObjectKind, id: &str, object: Option<Object>) -> Option<Object> {
        macro_rules! put {
            ($map:ident, $variant:ident) => {
                match object {
                    Some(Object::$variant(value)) => self.$map.insert(id.to_owned(), value).map(Object::$variant),
                    _ => self.$map.remove(id).map(Object::$variant),
                }
            };
        }
        match kind {
            ObjectKind::Org => put!(orgs, Org),
            ObjectKind::Session => put!(sessions, Session),
            ObjectKind::Course => put!(courses, Course),
            ObjectKind::Class => put!(classes, Class),
            ObjectKind::Person => put!(people, Person),
            ObjectKind::Role => put!(roles, Role),
            ObjectKind::Enrollment => put!(enrollments, Enrollment),
            ObjectKind::Link => put!(links, Link),
            ObjectKind::Group => put!(groups, Group),
        }
    }
}
