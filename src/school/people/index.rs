//! The people of one day.

use chrono::NaiveDate;
use hashbrown::HashTable;
use ruma::{OwnedUserId, ServerName, UserId};

use super::{
    super::{
        directory::NameIndex,
        roster::{EnrollmentRole, Relation, SchoolRole},
    },
    groups::Groups,
    standing::{Roles, Standing},
};
use crate::store::UserNo;

/// A person of one [`People`]. Another day's has other numbers: keep the [`UserNo`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonNo(pub(super) u32);

impl PersonNo {
    /// Its place in lists of everybody.
    pub(in crate::school) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A class of one [`People`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassNo(pub(super) u32);

impl ClassNo {
    /// Its place in lists of all classes.
    pub(in crate::school) fn index(self) -> usize {
        self.0 as usize
    }
}

/// An organisation of one [`People`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgNo(pub(super) u16);

/// A person in a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: PersonNo,
    /// Where.
    pub class: ClassNo,
    /// As what.
    pub role: EnrollmentRole,
    /// The first of several teachers; of a homeroom, the tutor.
    pub primary: bool,
}

/// The link of a pupil and an adult, as a list of one of them shows the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Adult {
    /// The other: an adult in the list of a pupil, a pupil in that of an adult.
    pub person: PersonNo,
    /// What the adult is to the pupil.
    pub(super) relation: u8,
    /// Whether the adult answers for the pupil by law.
    pub legal: bool,
    /// Whether the school deals with the adult about the pupil.
    pub contact: bool,
    /// Whether the two must be kept apart.
    pub isolated: bool,
}

impl Adult {
    /// Whether the adult counts as a guardian: the school deals with them, and nobody keeps the two apart.
    pub fn is_contact(&self) -> bool {
        self.contact && !self.isolated
    }

    /// What the adult is to the pupil.
    pub fn relation(&self) -> Relation {
        match self.relation {
            0 => Relation::Parent,
            1 => Relation::Guardian,
            2 => Relation::Relative,
            _ => Relation::Other,
        }
    }
}

/// A class that is taught today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassInfo {
    /// The source that tells of it.
    pub source: Box<str>,
    /// Its id there.
    pub id: Box<str>,
    /// Its title.
    pub title: Box<str>,
    /// The school.
    pub org: Option<OrgNo>,
    /// Whether it is a homeroom.
    pub homeroom: bool,
    /// Its lowest grade, as a number.
    pub grade: Option<u8>,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgInfo {
    /// The source that tells of it.
    pub source: Box<str>,
    /// Its id there.
    pub id: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub kind: super::super::roster::OrgType,
    /// What it belongs to.
    pub parent: Option<OrgNo>,
}

/// One person, packed: a school of 100,000 keeps all of them in memory.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) user: UserNo,
    /// Where their texts begin: localpart, given and family name, display name, one after the other.
    pub(super) text: u32,
    pub(super) lengths: [u8; 4],
    pub(super) roles: Roles,
    pub(super) flags: u8,
    /// [`NO_GRADE`] for none.
    pub(super) grade: u8,
}

pub(super) const NO_GRADE: u8 = u8::MAX;
pub(super) const JUNIOR: u8 = 1;
pub(super) const REACHABLE: u8 = 2;
pub(super) const GONE: u8 = 4;
pub(super) const SERVICE: u8 = 8;

/// Everyone the school knows, with what is in force on one day.
#[derive(Debug)]
pub struct People {
    pub(super) day: NaiveDate,
    /// Whether any source has told of anybody: without a roster there are no rules.
    pub(super) loaded: bool,
    /// Sorted by user number.
    pub(super) cells: Box<[Cell]>,
    pub(super) text: Box<str>,
    pub(super) by_localpart: HashTable<u32>,
    pub(super) classes: Box<[ClassInfo]>,
    pub(super) orgs: Box<[OrgInfo]>,
    /// Of each person: their classes, packed with [`pack`].
    pub(super) enrolled: Groups<u32>,
    /// Of each class: its people, packed with [`pack`].
    pub(super) members: Groups<u32>,
    pub(super) adults: Groups<Adult>,
    pub(super) children: Groups<Adult>,
    pub(super) person_orgs: Groups<OrgNo>,
    pub(super) names: NameIndex,
}

/// A number with a role: three bits of the 32 are the role's.
pub(super) fn pack(number: u32, role: EnrollmentRole, primary: bool) -> u32 {
    let role = match role {
        EnrollmentRole::Student => 0,
        EnrollmentRole::Teacher => 1,
        EnrollmentRole::Aide => 2,
    };
    number << 3 | role << 1 | u32::from(primary)
}

/// Numbers that [`pack`] can hold.
pub(super) const PACKED_MAX: usize = 1 << 29;

fn unpack(packed: u32) -> (u32, EnrollmentRole, bool) {
    let role = match packed >> 1 & 3 {
        0 => EnrollmentRole::Student,
        1 => EnrollmentRole::Teacher,
        _ => EnrollmentRole::Aide,
    };
    (packed >> 3, role, packed & 1 == 1)
}

pub(super) fn hash(localpart: &str) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    // Localparts are made by this server or checked by it, so nobody chooses them to collide.
    BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(localpart)
}

impl People {
    /// The day it belongs to.
    pub fn day(&self) -> NaiveDate {
        self.day
    }

    /// Whether the school's rules apply: false until a roster was imported.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// How many people it has.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it has nobody.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Everybody, by user number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PersonNo> + use<> {
        (0..u32::try_from(self.cells.len()).unwrap_or(u32::MAX)).map(PersonNo)
    }

    /// The person of a user id of this server. The caller has checked the server's name.
    pub fn find(&self, user_id: &UserId) -> Option<PersonNo> {
        let localpart = user_id.localpart();
        self.by_localpart
            .find(hash(localpart), |number| self.localpart(PersonNo(*number)) == localpart)
            .copied()
            .map(PersonNo)
    }

    /// The person of an account.
    pub fn of_user(&self, user: UserNo) -> Option<PersonNo> {
        let at = self.cells.binary_search_by_key(&user, |cell| cell.user).ok()?;
        u32::try_from(at).ok().map(PersonNo)
    }

    fn cell(&self, person: PersonNo) -> Option<&Cell> {
        self.cells.get(person.0 as usize)
    }

    /// The account of a person.
    pub fn user(&self, person: PersonNo) -> UserNo {
        self.cell(person).map_or(UserNo(0), |cell| cell.user)
    }

    /// The user id of a person.
    pub fn user_id(&self, person: PersonNo, server: &ServerName) -> Option<OwnedUserId> {
        UserId::parse(format!("@{}:{server}", self.localpart(person))).ok()
    }

    fn text_of(&self, person: PersonNo, which: usize) -> &str {
        let Some(cell) = self.cell(person) else { return "" };
        let before: usize = cell.lengths.iter().take(which).map(|length| usize::from(*length)).sum();
        let begin = cell.text as usize + before;
        let length = cell.lengths.get(which).copied().unwrap_or_default();
        self.text.get(begin..begin + usize::from(length)).unwrap_or_default()
    }

    /// The part of the user id before the colon.
    pub fn localpart(&self, person: PersonNo) -> &str {
        self.text_of(person, 0)
    }

    /// The given name.
    pub fn given(&self, person: PersonNo) -> &str {
        self.text_of(person, 1)
    }

    /// The family name.
    pub fn family(&self, person: PersonNo) -> &str {
        self.text_of(person, 2)
    }

    /// How the person is called: their own wish, or given and family name.
    pub fn display_name(&self, person: PersonNo) -> String {
        match self.text_of(person, 3) {
            "" => format!("{} {}", self.given(person), self.family(person)).trim().to_owned(),
            display => display.to_owned(),
        }
    }

    /// How the person wants to be called; empty if not otherwise than given and family name.
    pub fn called(&self, person: PersonNo) -> &str {
        self.text_of(person, 3)
    }

    /// The names of everybody, to be searched.
    pub(in crate::school) fn names(&self) -> &NameIndex {
        &self.names
    }

    /// The roles in force.
    pub fn roles(&self, person: PersonNo) -> Roles {
        self.cell(person).map_or(Roles::NONE, |cell| cell.roles)
    }

    /// The person as the policy sees them.
    pub fn standing(&self, person: PersonNo) -> Standing<'static> {
        let Some(cell) = self.cell(person) else { return Standing::UNKNOWN };
        let is = |flag| cell.flags & flag != 0;
        Standing {
            roles: cell.roles,
            junior: is(JUNIOR),
            grade: (cell.grade != NO_GRADE).then_some(cell.grade),
            reachable: is(REACHABLE),
            gone: is(GONE),
            service: is(SERVICE),
            remote: None,
        }
    }

    /// The classes of a person that are taught today, in the order of their numbers.
    pub fn enrolled(&self, person: PersonNo) -> impl Iterator<Item = Member> + Clone {
        self.enrolled.of(person.0).iter().map(move |packed| {
            let (class, role, primary) = unpack(*packed);
            Member { person, class: ClassNo(class), role, primary }
        })
    }

    /// The people of a class, in the order of their numbers.
    pub fn members(&self, class: ClassNo) -> impl Iterator<Item = Member> + Clone {
        self.members.of(class.0).iter().map(move |packed| {
            let (person, role, primary) = unpack(*packed);
            Member { person: PersonNo(person), class, role, primary }
        })
    }

    /// A class.
    pub fn class(&self, class: ClassNo) -> Option<&ClassInfo> {
        self.classes.get(class.0 as usize)
    }

    /// All classes that are taught today.
    pub fn classes(&self) -> impl Iterator<Item = (ClassNo, &ClassInfo)> {
        (0..).map(ClassNo).zip(&self.classes)
    }

    /// An organisation.
    pub fn org(&self, org: OrgNo) -> Option<&OrgInfo> {
        self.orgs.get(usize::from(org.0))
    }

    /// All organisations.
    pub fn orgs(&self) -> impl Iterator<Item = (OrgNo, &OrgInfo)> {
        (0..).map(OrgNo).zip(&self.orgs)
    }

    /// The organisations a person belongs to through a role, and those above them.
    pub fn orgs_of(&self, person: PersonNo) -> &[OrgNo] {
        self.person_orgs.of(person.0)
    }

    /// The adults of a pupil, also those the school does not deal with.
    pub fn adults_of(&self, student: PersonNo) -> &[Adult] {
        self.adults.of(student.0)
    }

    /// The pupils of an adult, also those about whom the school does not deal with them.
    pub fn children_of(&self, adult: PersonNo) -> &[Adult] {
        self.children.of(adult.0)
    }

    /// The homerooms of a pupil.
    pub fn homerooms(&self, student: PersonNo) -> impl Iterator<Item = ClassNo> {
        let learning = self.enrolled(student).filter(|member| member.role == EnrollmentRole::Student);
        learning.map(|member| member.class).filter(|class| self.class(*class).is_some_and(|class| class.homeroom))
    }

    /// The tutors of a pupil: the primary teachers of their homerooms.
    pub fn tutors(&self, student: PersonNo) -> impl Iterator<Item = PersonNo> {
        self.homerooms(student)
            .flat_map(|class| self.members(class))
            .filter(|member| member.primary && member.role == EnrollmentRole::Teacher)
            .map(|member| member.person)
    }

    /// Everybody with a role.
    pub fn with_role(&self, role: SchoolRole) -> impl Iterator<Item = PersonNo> {
        self.iter().filter(move |person| self.roles(*person).has(role))
    }

    /// Bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        let classes = self.classes.iter().map(|class| class.source.len() + class.id.len() + class.title.len());
        let orgs = self.orgs.iter().map(|org| org.source.len() + org.id.len() + org.name.len());
        size_of_val(&*self.cells)
            + self.text.len()
            + self.by_localpart.allocation_size()
            + size_of_val(&*self.classes)
            + classes.sum::<usize>()
            + size_of_val(&*self.orgs)
            + orgs.sum::<usize>()
            + self.enrolled.bytes()
            + self.members.bytes()
            + self.adults.bytes()
            + self.children.bytes()
            + self.person_orgs.bytes()
            + self.names.bytes()
    }
}
