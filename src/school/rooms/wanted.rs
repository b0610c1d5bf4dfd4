//! The rooms that follow from the roster of a day: a pure function.
//!
//! A room shows its members to each other. So a room for many has only those in it who may know of each other anyway:
//! the spaces of a school and of a year hold its staff, and what the whole school or all families of a class are told
//! goes to them in rooms of their own, one a class and one a family (`announce`). Those of families are made when there
//! is something to announce: most families are told nothing for months, and their tutors need not see an empty room each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::super::{
    people::{ClassInfo, ClassNo, Member, OrgInfo, OrgNo, People, PersonNo},
    roster::{EnrollmentRole, OrgType, SchoolRole},
};
use crate::store::{UserNo, schema::school::RoomKind};

/// The power of those who teach or lead in a room.
pub(super) const ADULT_POWER: i64 = 50;

/// What a school can choose about its rooms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomSettings {
    /// The guardians of a class share one room, and so know of each other.
    pub guardians_meet: bool,
}

/// A room that ought to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// What it is for.
    pub kind: RoomKind,
    /// The object's key: see [`RoomKind`] and the functions of this file.
    pub object: String,
    /// Its name.
    pub name: String,
    /// Its topic.
    pub topic: Option<String>,
    /// Who is in it with which power, by number.
    pub members: Vec<(UserNo, i64)>,
    /// The space it is listed in.
    pub parent: Option<(RoomKind, String)>,
    /// Only those with power write in it.
    pub one_way: bool,
    /// No adult of the school is in it: nobody writes.
    pub frozen: bool,
}

impl Wanted {
    /// Whether pupils or guardians may be in it, now or later.
    pub fn is_family(&self) -> bool {
        is_family(self.kind)
    }
}

/// Whether pupils or guardians may be in a room of this kind: it stays on this server then, without encryption.
pub(in crate::school) fn is_family(kind: RoomKind) -> bool {
    !matches!(kind, RoomKind::Staff | RoomKind::Department)
}

/// An object's key.
pub(super) fn key(source: &str, id: &str) -> String {
    format!("{source}/{id}")
}

/// The key of the announcements of a homeroom to one family.
pub(super) fn family_key(class: &str, student: UserNo) -> String {
    format!("{class}#{}", student.0)
}

/// The pupil of such a key.
pub(super) fn family_student(object: &str) -> Option<UserNo> {
    object.rsplit_once('#')?.1.parse().ok().map(UserNo)
}

/// The key of the announcements of a school to one homeroom.
pub(super) fn class_key(class: &str) -> String {
    format!("class:{class}")
}

/// The rooms of a day, without those that are made on first use. Spaces come before what is listed in them. Of the
/// announcements to families only those are among them whose objects are in `families`: the rooms that are there.
pub fn wanted(people: &People, settings: RoomSettings, families: &BTreeSet<String>) -> Vec<Wanted> {
    if !people.is_loaded() {
        return Vec::new();
    }
    let mut rooms = Rooms { people, settings, families, made: Vec::new() };
    rooms.orgs();
    rooms.years();
    for (number, class) in people.classes() {
        rooms.class(number, class);
    }
    // Announcements to families are many, and the last to be missed.
    rooms.made.sort_by_key(|room| match room.kind {
        RoomKind::SchoolSpace => 0,
        RoomKind::YearSpace => 1,
        RoomKind::ClassSpace => 2,
        RoomKind::ClassFamily => 4,
        _ => 3,
    });
    rooms.made
}

/// The rooms in which the families of a homeroom are told what is announced to them, each on its own.
pub(super) fn families_of(people: &People, settings: RoomSettings, homeroom: ClassNo) -> Vec<Wanted> {
    let Some(class) = people.class(homeroom).filter(|_| !settings.guardians_meet) else { return Vec::new() };
    let rooms = Rooms { people, settings, families: &BTreeSet::new(), made: Vec::new() };
    let (object, tutors) = (key(&class.source, &class.id), rooms.tutors(homeroom));
    rooms.students(homeroom).into_iter().filter_map(|student| rooms.family(class, &object, student, &tutors)).collect()
}

/// Whether somebody belongs to the school today.
pub(super) fn is_here(people: &People, person: PersonNo) -> bool {
    let standing = people.standing(person);
    !standing.gone && !standing.roles.is_empty()
}

/// The guardians of a pupil with whom the school deals.
pub(super) fn guardians(people: &People, student: PersonNo) -> impl Iterator<Item = PersonNo> {
    let adults = people.adults_of(student).iter().filter(|link| link.is_contact());
    adults.map(|link| link.person).filter(|person| is_here(people, *person))
}

struct Rooms<'a> {
    people: &'a People,
    settings: RoomSettings,
    families: &'a BTreeSet<String>,
    made: Vec<Wanted>,
}

impl Rooms<'_> {
    fn add(&mut self, room: Wanted) {
        // No room for nobody.
        if !room.members.is_empty() {
            self.made.push(room);
        }
    }

    fn members(&self, of: impl IntoIterator<Item = (PersonNo, i64)>) -> Vec<(UserNo, i64)> {
        let mut powers = BTreeMap::new();
        for (person, power) in of {
            if is_here(self.people, person) {
                let entry = powers.entry(self.people.user(person)).or_insert(power);
                *entry = power.max(*entry);
            }
        }
        powers.into_iter().collect()
    }

    fn orgs(&mut self) {
        let mut staff: HashMap<OrgNo, Vec<PersonNo>> = HashMap::new();
        for person in self.people.iter() {
            if self.people.roles(person).works_here() {
                for org in self.people.orgs_of(person) {
                    staff.entry(*org).or_default().push(person);
                }
            }
        }
        for (number, org) in self.people.orgs() {
            let Some(staff) = staff.get(&number) else { continue };
            match org.kind {
                OrgType::School => self.school(org, staff),
                OrgType::Department => self.department(org, staff),
                OrgType::District | OrgType::Other => {}
            }
        }
    }

    fn school(&mut self, org: &OrgInfo, staff: &[PersonNo]) {
        let power = |person: &PersonNo| {
            let leads = self.people.roles(*person).has(SchoolRole::Leadership);
            (*person, if leads { ADULT_POWER } else { 0 })
        };
        let object = key(&org.source, &org.id);
        let members = self.members(staff.iter().map(power));
        let parent = Some((RoomKind::SchoolSpace, object.clone()));
        let room = |kind, name: String, one_way| Wanted {
            kind,
            object: object.clone(),
            name,
            topic: None,
            members: members.clone(),
            parent: parent.clone().filter(|_| kind != RoomKind::SchoolSpace),
            one_way,
            frozen: false,
        };
        let made = [
            room(RoomKind::SchoolSpace, org.name.to_string(), false),
            room(RoomKind::Staff, format!("Staff · {}", org.name), false),
            Wanted {
                topic: Some("What the leadership writes here also reaches every homeroom and its families.".into()),
                ..room(RoomKind::Announce, format!("Announcements · {}", org.name), true)
            },
        ];
        for room in made {
            self.add(room);
        }
    }

    fn department(&mut self, org: &OrgInfo, staff: &[PersonNo]) {
        let school = org.parent.and_then(|parent| self.people.org(parent));
        let school = school.filter(|parent| parent.kind == OrgType::School);
        self.add(Wanted {
            kind: RoomKind::Department,
            object: key(&org.source, &org.id),
            name: org.name.to_string(),
            topic: None,
            members: self.members(staff.iter().map(|person| (*person, 0))),
            parent: school.map(|school| (RoomKind::SchoolSpace, key(&school.source, &school.id))),
            one_way: false,
            frozen: false,
        });
    }

    /// The year of a class: a part of its school.
    fn year_key(&self, class: &ClassInfo) -> Option<(String, u8)> {
        let org = self.people.org(class.org?)?;
        Some((format!("{}/{}", key(&org.source, &org.id), class.grade?), class.grade?))
    }

    fn years(&mut self) {
        let mut years: BTreeMap<(String, u8), Vec<(PersonNo, i64)>> = BTreeMap::new();
        for (number, class) in self.people.classes().filter(|(_, class)| class.homeroom) {
            let Some(year) = self.year_key(class) else { continue };
            let adults = self.people.members(number).filter(|member| member.role != EnrollmentRole::Student);
            years.entry(year).or_default().extend(adults.map(|member| (member.person, ADULT_POWER)));
        }
        for ((object, grade), adults) in years {
            let school = object.rsplit_once('/').map(|(school, _)| school.to_owned());
            self.add(Wanted {
                kind: RoomKind::YearSpace,
                object,
                name: format!("Year {grade}"),
                topic: None,
                members: self.members(adults),
                parent: school.map(|school| (RoomKind::SchoolSpace, school)),
                one_way: false,
                frozen: false,
            });
        }
    }

    fn class(&mut self, number: ClassNo, class: &ClassInfo) {
        let members = self.people.members(number);
        let power =
            |member: Member| (member.person, if member.role == EnrollmentRole::Student { 0 } else { ADULT_POWER });
        let everyone = self.members(members.map(power));
        let adult = everyone.iter().any(|(_, power)| *power > 0);
        let object = key(&class.source, &class.id);
        if class.homeroom {
            self.add(Wanted {
                kind: RoomKind::ClassSpace,
                object: object.clone(),
                name: class.title.to_string(),
                topic: None,
                members: everyone.clone(),
                parent: self.year_of(class),
                one_way: false,
                frozen: false,
            });
            self.homeroom(number, class, &object, &everyone);
        }
        self.add(Wanted {
            kind: RoomKind::Class,
            name: class.title.to_string(),
            topic: None,
            members: everyone,
            parent: self.space_of(number, class),
            object,
            one_way: false,
            frozen: !adult,
        });
    }

    /// The space above a homeroom: its year, or its school.
    fn year_of(&self, class: &ClassInfo) -> Option<(RoomKind, String)> {
        if let Some((year, _)) = self.year_key(class) {
            return Some((RoomKind::YearSpace, year));
        }
        let org = self.people.org(class.org?)?;
        Some((RoomKind::SchoolSpace, key(&org.source, &org.id)))
    }

    /// The space that lists a class: that of the homeroom all its pupils are in, or what is above.
    fn space_of(&self, number: ClassNo, class: &ClassInfo) -> Option<(RoomKind, String)> {
        let homeroom = if class.homeroom {
            Some(number)
        } else {
            let students = self.people.members(number).filter(|member| member.role == EnrollmentRole::Student);
            let mut homerooms = students.map(|student| self.people.homerooms(student.person).next());
            let first = homerooms.next().flatten();
            first.filter(|first| homerooms.all(|other| other == Some(*first)))
        };
        match homeroom.and_then(|homeroom| self.people.class(homeroom)) {
            Some(homeroom) => Some((RoomKind::ClassSpace, key(&homeroom.source, &homeroom.id))),
            None => self.year_of(class),
        }
    }

    /// What a homeroom's pupils and families are told.
    fn homeroom(&mut self, number: ClassNo, class: &ClassInfo, object: &str, everyone: &[(UserNo, i64)]) {
        let space = Some((RoomKind::ClassSpace, object.to_owned()));
        let org = class.org.and_then(|org| self.people.org(org));
        self.add(Wanted {
            kind: RoomKind::Announce,
            object: class_key(object),
            name: format!("Announcements · {}", org.map_or(&*class.title, |org| &*org.name)),
            topic: None,
            members: everyone.to_vec(),
            parent: space.clone(),
            one_way: true,
            frozen: false,
        });
        let tutors = self.tutors(number);
        let students = self.students(number);
        let mut authors = tutors.clone();
        if self.settings.guardians_meet {
            let guardians = students.iter().flat_map(|student| guardians(self.people, *student));
            authors.extend(guardians.map(|guardian| (guardian, 0)));
        } else {
            let there = |student: &&PersonNo| self.families.contains(&family_key(object, self.people.user(**student)));
            let families = students.iter().filter(there);
            let families = families.filter_map(|student| self.family(class, object, *student, &tutors));
            self.made.extend(families.collect::<Vec<_>>());
        }
        let fan_out = "What is written here goes to each family on its own: guardians do not see each other.";
        self.add(Wanted {
            kind: RoomKind::ClassFamily,
            object: object.to_owned(),
            name: format!("{} · families", class.title),
            topic: (!self.settings.guardians_meet).then(|| fan_out.into()),
            members: self.members(authors),
            parent: space.filter(|_| !self.settings.guardians_meet),
            one_way: self.settings.guardians_meet,
            frozen: false,
        });
    }

    fn students(&self, homeroom: ClassNo) -> Vec<PersonNo> {
        let students = self.people.members(homeroom).filter(|member| member.role == EnrollmentRole::Student);
        students.map(|member| member.person).filter(|person| is_here(self.people, *person)).collect()
    }

    /// Who speaks for a homeroom: its tutor, or whoever else teaches there.
    fn tutors(&self, homeroom: ClassNo) -> Vec<(PersonNo, i64)> {
        let adults = || {
            let adults = self.people.members(homeroom).filter(|member| member.role != EnrollmentRole::Student);
            adults.filter(|member| is_here(self.people, member.person))
        };
        let first = adults().any(|member| member.primary);
        adults().filter(|member| member.primary || !first).map(|member| (member.person, ADULT_POWER)).collect()
    }

    /// What a family is told; `None` where there is no guardian to tell.
    fn family(&self, class: &ClassInfo, object: &str, student: PersonNo, tutors: &[(PersonNo, i64)]) -> Option<Wanted> {
        let guardians: Vec<_> = guardians(self.people, student).map(|guardian| (guardian, 0)).collect();
        (!guardians.is_empty()).then(|| Wanted {
            kind: RoomKind::ClassFamily,
            object: family_key(object, self.people.user(student)),
            name: format!("{} · {}", class.title, self.people.display_name(student)),
            topic: Some("Announcements of the class to the family".into()),
            members: self.members(tutors.iter().copied().chain(guardians)),
            parent: None,
            one_way: true,
            frozen: tutors.is_empty(),
        })
    }
}
