//! Pupils and their adults, as they live: together, in two households, alone, with somebody else.

use chrono::Days;

use super::{build::Builder, keys, names, objects::Tie};
use crate::school::roster::{Period, SchoolRole};

/// A pupil who has no family yet.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) id: String,
    pub(super) school: usize,
    pub(super) grade: u8,
}

/// How the adults of a family stand to its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Household {
    /// Two parents.
    Together,
    /// Two parents with a household each.
    Separated,
    /// One parent, and a grandmother whom the school does not write to.
    Single,
    /// One parent, and one whom a court keeps from the children.
    NoContact,
    /// A legal guardian.
    Guardianship,
    /// A parent, and somebody else who looks after the children.
    Carer,
    /// A parent, and one who was one until some time ago.
    Former,
    /// Two parents, of whom one has a record of their own at each child's school.
    TwoRecords,
}

/// A family.
#[derive(Debug, Clone)]
pub(super) struct Family {
    pub(super) household: Household,
    pub(super) pupils: Vec<String>,
    /// In the order of [`Household`]'s sentences.
    pub(super) adults: Vec<String>,
}

/// What every school has, so that every case can be looked for: the household, and of which of two schools the children are.
const ALWAYS: [(Household, &[usize]); 9] = [
    (Household::Together, &[0, 1]),
    (Household::Separated, &[0, 0]),
    (Household::NoContact, &[0]),
    (Household::NoContact, &[1]),
    (Household::Guardianship, &[1]),
    (Household::Carer, &[0]),
    (Household::Former, &[1]),
    (Household::TwoRecords, &[0, 1]),
    (Household::Single, &[0]),
];

impl Builder {
    /// Makes families of the pupils of one school or two. `parents` are teachers, with their school, who have a child there.
    pub(super) fn families(&mut self, mut pool: Vec<Slot>, parents: Vec<(usize, String)>) {
        let first = pool.first().map_or(0, |slot| slot.school);
        let schools = [first, pool.last().map_or(first, |slot| slot.school)];
        self.random.shuffle(&mut pool);
        for (school, teacher) in parents {
            if let Some(slot) = take(&mut pool, school) {
                self.family(Household::Together, &[slot], Some(teacher));
            }
        }
        for (household, of) in ALWAYS {
            let of = of.iter().filter_map(|which| schools.get(*which));
            let children: Vec<Slot> = of.filter_map(|school| take(&mut pool, *school)).collect();
            if !children.is_empty() {
                self.family(household, &children, None);
            }
        }
        while !pool.is_empty() {
            let size = match self.random.below(10) {
                0..6 => 1,
                6..9 => 2,
                _ => 3,
            };
            let children = pool.split_off(pool.len().saturating_sub(size));
            let household = match self.random.below(100) {
                0..66 => Household::Together,
                66..83 => Household::Separated,
                83..91 => Household::Single,
                91..94 => Household::NoContact,
                94..96 => Household::Guardianship,
                96..98 => Household::Carer,
                _ => Household::Former,
            };
            self.family(household, &children, None);
        }
    }

    /// One family; `parent` is its first adult, when that is somebody who works here.
    fn family(&mut self, household: Household, children: &[Slot], parent: Option<String>) {
        let first = match parent {
            Some(teacher) => teacher,
            None => self.stranger(None),
        };
        let name = self.roster.people.get(&first).map(|person| person.family.clone()).unwrap_or_default();
        let mut adults = vec![first.clone()];
        let parent = (Tie::PARENT, Some("parent"));
        let (first_tie, others): (_, &[_]) = match household {
            Household::Together | Household::Separated | Household::TwoRecords => (parent, &[parent]),
            Household::Single => (parent, &[(Tie::RELATIVE, Some("relative"))]),
            Household::NoContact => (parent, &[(Tie::NO_CONTACT, Some("parent"))]),
            Household::Guardianship => ((Tie::GUARDIAN, None), &[]),
            Household::Carer => (parent, &[(Tie::CARER, None)]),
            Household::Former => (parent, &[(self.former(), Some("parent"))]),
        };
        for child in children {
            self.child(child, &name);
            self.belongs(&first, child, first_tie.0, first_tie.1);
        }
        for (tie, title) in others {
            let same_name = household == Household::Together && self.random.percent(70);
            let other = self.stranger(same_name.then_some(name.as_str()));
            for child in children {
                self.belongs(&other, child, *tie, *title);
            }
            adults.push(other);
        }
        if household == Household::TwoRecords {
            adults.extend(self.second_record(&first, children.get(1)));
        }
        let pupils = children.iter().map(|child| child.id.clone()).collect();
        self.families.push(Family { household, pupils, adults });
    }

    /// A pupil of a family.
    pub(super) fn child(&mut self, slot: &Slot, family: &str) {
        let given = names::given(&mut self.random);
        self.pupil(&slot.id, given, family.to_owned(), slot.grade);
        self.grant(&slot.id, &keys::school_id(slot.school), SchoolRole::Student, None, Period::default());
    }

    /// An adult whom nobody knows yet, with a family name or any.
    pub(super) fn stranger(&mut self, family: Option<&str>) -> String {
        let id = self.adult_id();
        let given = names::given(&mut self.random);
        let family = family.map_or_else(|| names::family(&mut self.random), str::to_owned);
        self.adult(&id, given, family);
        id
    }

    /// An adult belongs to a pupil, and so to the pupil's school.
    pub(super) fn belongs(&mut self, adult: &str, child: &Slot, tie: Tie, title: Option<&str>) {
        self.tie(&child.id, adult, tie);
        self.grant(adult, &keys::school_id(child.school), SchoolRole::Guardian, title, Period::default());
    }

    /// A parent until a hundred days ago.
    fn former(&self) -> Tie {
        Tie { period: Period { begin: None, end: self.today.checked_sub_days(Days::new(100)) }, ..Tie::PARENT }
    }

    /// Another record of an adult, who has the second child by it instead.
    fn second_record(&mut self, first: &str, child: Option<&Slot>) -> Option<String> {
        let (child, mut person) = (child?, self.roster.people.get(first)?.clone());
        let second = self.adult_id();
        person.master_id = Some(format!("mst-{first}"));
        self.roster.people.insert(first.to_owned(), person.clone());
        person.username = Some(second.replace('-', ""));
        self.roster.people.insert(second.clone(), person);
        self.roster.links.remove(&format!("lnk-{}-{first}", child.id));
        let school = keys::school_id(child.school);
        if !self.roster.links.values().any(|link| link.adult == first && self.is_at(&link.student, &school)) {
            self.roster.roles.remove(&format!("rol-{first}-{school}-guardian"));
        }
        self.belongs(&second, child, Tie::PARENT, Some("parent"));
        Some(second)
    }

    /// Whether a pupil is at a school.
    pub(super) fn is_at(&self, pupil: &str, school: &str) -> bool {
        self.roster.roles.contains_key(&format!("rol-{pupil}-{school}-student"))
    }
}

/// Takes a pupil of a school out of the pool.
fn take(pool: &mut Vec<Slot>, school: usize) -> Option<Slot> {
    let at = pool.iter().rposition(|slot| slot.school == school)?;
    Some(pool.remove(at))
}
