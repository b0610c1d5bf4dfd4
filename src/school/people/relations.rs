//! What two people are to each other.

use super::{
    super::roster::{EnrollmentRole, SchoolRole},
    index::{Adult, Member, People, PersonNo},
};

/// A set of relations from one person (the actor) to another (the target).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Relations(u32);

impl Relations {
    /// No relation.
    pub const NONE: Self = Self(0);
    /// The same person.
    pub const SELF: Self = Self(1);
    /// Both learn in one class.
    pub const CLASSMATE: Self = Self(1 << 1);
    /// The actor teaches or helps in a class where the target learns.
    pub const TEACHES: Self = Self(1 << 2);
    /// The other way round.
    pub const TAUGHT_BY: Self = Self(1 << 3);
    /// The actor is the primary teacher of the target's homeroom.
    pub const TUTOR_OF: Self = Self(1 << 4);
    /// The other way round.
    pub const TUTORED_BY: Self = Self(1 << 5);
    /// The actor is an adult of the target, and the school deals with them about the target.
    pub const GUARDIAN_OF: Self = Self(1 << 6);
    /// The other way round.
    pub const CHILD_OF: Self = Self(1 << 7);
    /// Both are guardians of one pupil.
    pub const COGUARDIAN: Self = Self(1 << 8);
    /// The actor teaches or helps in a class of a pupil whose guardian the target is.
    pub const TEACHES_CHILD_OF: Self = Self(1 << 9);
    /// The other way round.
    pub const CHILD_TAUGHT_BY: Self = Self(1 << 10);
    /// Both are guardians of pupils of one homeroom.
    pub const CLASS_GUARDIAN: Self = Self(1 << 11);
    /// Both teach or help in one class.
    pub const COLLEAGUE: Self = Self(1 << 12);
    /// Both belong to one organisation.
    pub const SAME_ORG: Self = Self(1 << 13);
    /// They are pupil and adult, and must be kept apart, whoever acts.
    pub const ISOLATED: Self = Self(1 << 14);
    /// They are pupil and adult, and the school does not deal with the adult about the pupil, whoever acts.
    pub const NO_CONTACT: Self = Self(1 << 15);

    /// Every relation with its name in the API.
    pub const NAMED: [(Self, &'static str); 16] = [
        (Self::SELF, "self"),
        (Self::CLASSMATE, "classmate"),
        (Self::TEACHES, "teaches"),
        (Self::TAUGHT_BY, "taught_by"),
        (Self::TUTOR_OF, "tutor"),
        (Self::TUTORED_BY, "tutored_by"),
        (Self::GUARDIAN_OF, "guardian_of"),
        (Self::CHILD_OF, "child_of"),
        (Self::COGUARDIAN, "coguardian"),
        (Self::TEACHES_CHILD_OF, "teaches_child_of"),
        (Self::CHILD_TAUGHT_BY, "child_taught_by"),
        (Self::CLASS_GUARDIAN, "class_guardian"),
        (Self::COLLEAGUE, "colleague"),
        (Self::SAME_ORG, "same_org"),
        (Self::ISOLATED, "isolated"),
        (Self::NO_CONTACT, "no_contact"),
    ];

    /// Whether all of `other` are in it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    pub fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of its relations.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().filter(move |(relation, _)| self.has(*relation)).map(|(_, name)| name)
    }

    /// The set as the target sees the actor.
    #[must_use]
    pub fn reversed(self) -> Self {
        const PAIRS: [(Relations, Relations); 4] = [
            (Relations::TEACHES, Relations::TAUGHT_BY),
            (Relations::TUTOR_OF, Relations::TUTORED_BY),
            (Relations::GUARDIAN_OF, Relations::CHILD_OF),
            (Relations::TEACHES_CHILD_OF, Relations::CHILD_TAUGHT_BY),
        ];
        let mut turned = self;
        for (one, other) in PAIRS {
            turned.set(one, self.has(other));
            turned.set(other, self.has(one));
        }
        turned
    }

    fn set(&mut self, relation: Self, holds: bool) {
        self.0 = if holds { self.0 | relation.0 } else { self.0 & !relation.0 };
    }
}

impl People {
    /// What `actor` and `target` are to each other today. Costs a walk over the classes of both and of their children.
    pub fn relations(&self, actor: PersonNo, target: PersonNo) -> Relations {
        if actor == target {
            return Relations::SELF.with(Relations::SAME_ORG);
        }
        let mut found = Relations::NONE;
        self.classes_shared(actor, target, &mut found);
        found.set(Relations::SAME_ORG, shares(self.orgs_of(actor), self.orgs_of(target)));
        self.links_between(actor, target, false, &mut found);
        self.links_between(target, actor, true, &mut found);
        self.through_children(actor, target, &mut found);
        found.set(Relations::CHILD_TAUGHT_BY, self.teaches_child_of(target, actor));
        found.set(Relations::TEACHES_CHILD_OF, self.teaches_child_of(actor, target));
        found
    }

    fn classes_shared(&self, actor: PersonNo, target: PersonNo, found: &mut Relations) {
        for (mine, theirs) in shared_classes(self.enrolled(actor), self.enrolled(target)) {
            match (mine.role, theirs.role) {
                (EnrollmentRole::Student, EnrollmentRole::Student) => found.set(Relations::CLASSMATE, true),
                (EnrollmentRole::Student, _) => {
                    found.set(Relations::TAUGHT_BY, true);
                    let tutor = theirs.primary && self.class(mine.class).is_some_and(|class| class.homeroom);
                    found.set(Relations::TUTORED_BY, tutor || found.has(Relations::TUTORED_BY));
                }
                (_, EnrollmentRole::Student) => {
                    found.set(Relations::TEACHES, true);
                    let tutor = mine.primary && self.class(mine.class).is_some_and(|class| class.homeroom);
                    found.set(Relations::TUTOR_OF, tutor || found.has(Relations::TUTOR_OF));
                }
                _ => found.set(Relations::COLLEAGUE, true),
            }
        }
    }

    /// The link of an adult and a pupil. `reversed` says that the pupil is the actor.
    fn links_between(&self, adult: PersonNo, student: PersonNo, reversed: bool, found: &mut Relations) {
        let Some(link) = self.children_of(adult).iter().find(|link| link.person == student) else { return };
        match () {
            () if link.isolated => found.set(Relations::ISOLATED, true),
            () if !link.contact => found.set(Relations::NO_CONTACT, true),
            () if reversed => found.set(Relations::CHILD_OF, true),
            () => found.set(Relations::GUARDIAN_OF, true),
        }
    }

    /// What two adults are to each other through their children.
    fn through_children(&self, actor: PersonNo, target: PersonNo, found: &mut Relations) {
        let (mine, theirs) = (self.children_of(actor), self.children_of(target));
        for child in mine.iter().filter(|link| link.is_contact()) {
            for other in theirs.iter().filter(|link| link.is_contact()) {
                if child.person == other.person {
                    found.set(Relations::COGUARDIAN, true);
                } else if self.share_homeroom(child.person, other.person) {
                    found.set(Relations::CLASS_GUARDIAN, true);
                }
            }
        }
    }

    fn share_homeroom(&self, one: PersonNo, other: PersonNo) -> bool {
        shared_classes(self.enrolled(one), self.enrolled(other)).any(|(mine, theirs)| {
            mine.role == EnrollmentRole::Student
                && theirs.role == EnrollmentRole::Student
                && self.class(mine.class).is_some_and(|class| class.homeroom)
        })
    }

    fn teaches_child_of(&self, teacher: PersonNo, guardian: PersonNo) -> bool {
        if !self.roles(guardian).has(SchoolRole::Guardian) {
            return false;
        }
        let children = self.children_of(guardian).iter().filter(|link| link.is_contact());
        children.into_iter().any(|link: &Adult| {
            shared_classes(self.enrolled(teacher), self.enrolled(link.person))
                .any(|(mine, theirs)| mine.role != EnrollmentRole::Student && theirs.role == EnrollmentRole::Student)
        })
    }
}

/// The classes that are in both lists, which are sorted by class.
fn shared_classes(
    mine: impl Iterator<Item = Member> + Clone,
    theirs: impl Iterator<Item = Member> + Clone,
) -> impl Iterator<Item = (Member, Member)> {
    // A person is in one class under at most a few roles, and in a dozen classes: two nested walks beat cleverness.
    mine.flat_map(move |one| {
        theirs
            .clone()
            .skip_while(move |other| other.class < one.class)
            .take_while(move |other| other.class == one.class)
            .map(move |other| (one, other))
    })
}

fn shares<T: PartialEq>(mine: &[T], theirs: &[T]) -> bool {
    mine.iter().any(|one| theirs.contains(one))
}
