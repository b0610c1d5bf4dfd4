//! Making a [`People`] from the rows of every source.

use std::collections::HashMap;

use chrono::NaiveDate;
use hashbrown::HashTable;

use super::{
    super::{
        directory::NameIndex,
        roster::{
            Class, Enrollment, EnrollmentRole, Link, Org, OrgType, Person, Relation, RoleGrant, SchoolRole, Session,
        },
    },
    draft::{Draft, grade_number},
    groups::Groups,
    index::{Adult, ClassInfo, ClassNo, OrgInfo, OrgNo, PACKED_MAX, People, PersonNo, hash, pack},
};
use crate::store::{UserNo, schema::school::LinkDecision};

/// What sources call the people families may turn to, in lower case.
const REACHABLE_TITLES: [&str; 6] = ["counselor", "counsellor", "office", "secretary", "principal", "administrator"];

/// An object's key with its source as a number.
type Id = (u16, Box<str>);

/// Takes rows and makes a [`People`] of them. Give it the rows in the order of its methods: what a row names comes
/// before it.
pub struct Builder {
    day: NaiveDate,
    sources: Vec<Box<str>>,
    /// Sources with a session that is not over.
    calendars: Vec<bool>,
    drafts: Vec<Draft>,
    by_user: HashMap<UserNo, u32>,
    accounts: HashMap<Id, u32>,
    /// People that are in a roster and may use the server.
    active: HashMap<Id, u32>,
    orgs: HashMap<Id, OrgNo>,
    org_list: Vec<(OrgInfo, Option<Id>)>,
    sessions: HashMap<Id, bool>,
    classes: HashMap<Id, ClassNo>,
    class_list: Vec<ClassInfo>,
    enrollments: Vec<(u32, ClassNo, EnrollmentRole, bool)>,
    links: HashMap<(u32, u32), Adult>,
    person_orgs: Vec<(u32, OrgNo)>,
}

impl Builder {
    /// Begins the people of a day.
    pub fn new(day: NaiveDate) -> Self {
        Self {
            day,
            sources: Vec::new(),
            calendars: Vec::new(),
            drafts: Vec::new(),
            by_user: HashMap::new(),
            accounts: HashMap::new(),
            active: HashMap::new(),
            orgs: HashMap::new(),
            org_list: Vec::new(),
            sessions: HashMap::new(),
            classes: HashMap::new(),
            class_list: Vec::new(),
            enrollments: Vec::new(),
            links: HashMap::new(),
            person_orgs: Vec::new(),
        }
    }

    fn id(&mut self, source: &str, id: &str) -> Id {
        let known = self.sources.iter().position(|known| **known == *source);
        let number = known.unwrap_or_else(|| {
            self.sources.push(source.into());
            self.calendars.push(false);
            self.sources.len() - 1
        });
        (u16::try_from(number).unwrap_or(u16::MAX), id.into())
    }

    fn draft(&mut self, user: UserNo, localpart: &str) -> u32 {
        let next = u32::try_from(self.drafts.len()).unwrap_or(u32::MAX);
        *self.by_user.entry(user).or_insert_with(|| {
            self.drafts.push(Draft { user: user.0, localpart: localpart.into(), ..Draft::default() });
            next
        })
    }

    fn draft_mut(&mut self, number: u32) -> Option<&mut Draft> {
        self.drafts.get_mut(number as usize)
    }

    /// The account of a person that a source ever named.
    pub fn account(&mut self, source: &str, id: &str, user: UserNo, localpart: &str) {
        let number = self.draft(user, localpart);
        if let Some(draft) = self.draft_mut(number) {
            draft.known = true;
        }
        let id = self.id(source, id);
        self.accounts.insert(id, number);
    }

    /// An organisation.
    pub fn org(&mut self, source: &str, id: &str, org: &Org) {
        let Ok(number) = u16::try_from(self.org_list.len()) else { return };
        let parent = org.parent.as_ref().map(|parent| self.id(source, parent));
        let info =
            OrgInfo { source: source.into(), id: id.into(), name: (*org.name).into(), kind: org.kind, parent: None };
        self.org_list.push((info, parent));
        let id = self.id(source, id);
        self.orgs.insert(id, OrgNo(number));
    }

    /// A term.
    pub fn session(&mut self, source: &str, id: &str, session: &Session) {
        let id = self.id(source, id);
        let over = session.period.end.is_some_and(|end| end <= self.day);
        if let Some(calendar) = self.calendars.get_mut(usize::from(id.0)) {
            *calendar |= !over;
        }
        self.sessions.insert(id, session.period.holds(self.day));
    }

    /// A class. One whose terms are over or have not begun is left out; but while a source knows of no term that is
    /// not over, as between two school years, its calendar says nothing.
    pub fn class(&mut self, source: &str, id: &str, class: &Class) {
        let id_in_source = id;
        let id = self.id(source, id);
        if self.calendars.get(usize::from(id.0)) == Some(&true) && !class.sessions.is_empty() {
            let taught = |session: &String| self.sessions.get(&(id.0, session.as_str().into())).is_none_or(|now| *now);
            if !class.sessions.iter().any(taught) {
                return;
            }
        }
        if self.class_list.len() >= PACKED_MAX {
            return;
        }
        let number = ClassNo(u32::try_from(self.class_list.len()).unwrap_or(u32::MAX));
        let grades = class.grades.iter().filter_map(|grade| grade_number(grade)).min();
        let named = || [class.code.as_deref(), Some(&*class.title)].into_iter().flatten().find_map(grade_number);
        self.class_list.push(ClassInfo {
            source: source.into(),
            id: id_in_source.into(),
            title: (*class.title).into(),
            org: self.orgs.get(&(id.0, (*class.org).into())).copied(),
            homeroom: class.homeroom,
            grade: grades.or_else(|| class.homeroom.then(named).flatten()),
        });
        self.classes.insert(id, number);
    }

    /// A person of a roster.
    pub fn person(&mut self, source: &str, id: &str, person: &Person) {
        let id = self.id(source, id);
        let Some(number) = self.accounts.get(&id).copied() else { return };
        if !person.enabled {
            return;
        }
        self.active.insert(id, number);
        let Some(draft) = self.draft_mut(number) else { return };
        if !draft.present {
            draft.given = (*person.given).into();
            draft.family = (*person.family).into();
            draft.display = person.display.as_deref().unwrap_or_default().into();
        }
        draft.present = true;
        draft.grade = draft.grade.or_else(|| person.grade.as_deref().and_then(grade_number));
        draft.birth_year = draft.birth_year.or(person.birth_year);
    }

    /// A role of a person.
    pub fn role(&mut self, source: &str, grant: &RoleGrant) {
        let person = self.id(source, &grant.person);
        let Some(number) = self.active.get(&person).copied() else { return };
        if !grant.period.holds(self.day) {
            return;
        }
        let title = grant.title.as_deref().unwrap_or_default().to_lowercase();
        if let Some(draft) = self.draft_mut(number) {
            draft.roles = draft.roles.with(grant.role);
            draft.reachable |= REACHABLE_TITLES.iter().any(|known| title.ends_with(known));
        }
        // A department is a part of its school; but not everybody in a district belongs together.
        let mut org = self.orgs.get(&(person.0, (*grant.org).into())).copied();
        for _ in 0..self.org_list.len().min(16) {
            let Some((info, parent)) = org.and_then(|org| self.org_list.get(usize::from(org.0))) else { break };
            if matches!(info.kind, OrgType::School | OrgType::Department) {
                self.person_orgs.extend(org.map(|org| (number, org)));
            }
            if info.kind != OrgType::Department {
                break;
            }
            org = parent.as_ref().and_then(|parent| self.orgs.get(parent)).copied();
        }
    }

    /// Somebody in a class.
    pub fn enrollment(&mut self, source: &str, enrollment: &Enrollment) {
        let (person, class) = (self.id(source, &enrollment.person), self.id(source, &enrollment.class));
        if let Some(number) = self.active.get(&person)
            && let Some(class) = self.classes.get(&class)
            && enrollment.period.holds(self.day)
        {
            self.enrollments.push((*number, *class, enrollment.role, enrollment.primary));
        }
    }

    /// A pupil and an adult.
    pub fn link(&mut self, source: &str, link: &Link) {
        let (student, adult) = (self.id(source, &link.student), self.id(source, &link.adult));
        let (Some(student), Some(adult)) = (self.active.get(&student).copied(), self.active.get(&adult).copied())
        else {
            return;
        };
        if student == adult || !link.period.holds(self.day) {
            return;
        }
        let relation = match link.relation {
            Relation::Parent => 0,
            Relation::Guardian => 1,
            Relation::Relative => 2,
            Relation::Other => 3,
        };
        let new = Adult {
            person: PersonNo(adult),
            relation,
            legal: link.legal,
            contact: link.contact,
            isolated: link.isolated,
        };
        let before = self.links.insert((student, adult), new);
        // Two sources that disagree: what keeps apart wins.
        if let (Some(before), Some(now)) = (before, self.links.get_mut(&(student, adult))) {
            now.isolated |= before.isolated;
            now.contact &= before.contact;
        }
    }

    /// A role given on this server, also to an account no source ever told of. Who has left the school has none.
    pub fn local_role(&mut self, user: UserNo, localpart: &str, display: &str, role: SchoolRole) {
        let number = self.draft(user, localpart);
        let Some(draft) = self.draft_mut(number).filter(|draft| draft.present || !draft.known) else { return };
        draft.present = true;
        draft.roles = draft.roles.with(role);
        if draft.given.is_empty() && draft.family.is_empty() && draft.display.is_empty() {
            draft.display = display.into();
        }
    }

    /// What this server says of a pupil and an adult.
    pub fn decision(&mut self, student: UserNo, adult: UserNo, decision: &LinkDecision) {
        let (Some(student), Some(adult)) = (self.by_user.get(&student), self.by_user.get(&adult)) else { return };
        let none = Adult { person: PersonNo(*adult), relation: 3, legal: false, contact: false, isolated: false };
        let link = self.links.entry((*student, *adult)).or_insert(none);
        link.contact = decision.contact.unwrap_or(link.contact);
        link.isolated = decision.isolated.unwrap_or(link.isolated);
    }

    /// An administrator of this server. Who no source ever told of works for the school; for others the roster speaks.
    pub fn administrator(&mut self, user: UserNo, localpart: &str) {
        let number = self.draft(user, localpart);
        if self.draft_mut(number).is_some_and(|draft| !draft.known) {
            self.local_role(user, localpart, localpart, SchoolRole::Staff);
        }
    }

    /// An account that is locked or closed: whoever it was, they have left.
    pub fn barred(&mut self, user: UserNo) {
        let number = self.by_user.get(&user).copied();
        if let Some(draft) = number.and_then(|number| self.draft_mut(number)) {
            draft.present = false;
        }
    }

    /// The account through which the school acts.
    pub fn service(&mut self, user: UserNo, localpart: &str) {
        let number = self.draft(user, localpart);
        if let Some(draft) = self.draft_mut(number) {
            (draft.present, draft.service) = (true, true);
        }
    }

    /// The finished [`People`].
    pub fn finish(mut self) -> People {
        self.fill_in();
        let mut order: Vec<u32> = (0..).take(self.drafts.len()).collect();
        order.sort_unstable_by_key(|number| self.drafts.get(*number as usize).map(|draft| draft.user));
        let mut place = vec![0_u32; order.len()];
        for (new, old) in (0..).zip(&order) {
            if let Some(place) = place.get_mut(*old as usize) {
                *place = new;
            }
        }
        let at = |number: u32| place.get(number as usize).copied().unwrap_or(u32::MAX);
        let (mut cells, mut text) = (Vec::with_capacity(order.len()), String::new());
        for old in &order {
            if let Some(draft) = self.drafts.get(*old as usize) {
                cells.push(draft.cell(self.day, &mut text));
            }
        }
        let (people, class_count) = (cells.len(), self.class_list.len());
        let enrolled =
            self.enrollments.iter().map(|(who, class, role, first)| (at(*who), pack(class.0, *role, *first)));
        let members = self.enrollments.iter().map(|(who, class, role, first)| (class.0, pack(at(*who), *role, *first)));
        let turned = |person: u32, link: &Adult| Adult { person: PersonNo(at(person)), ..*link };
        let adults = self.links.iter().map(|((student, adult), link)| (at(*student), turned(*adult, link)));
        let children = self.links.iter().map(|((student, adult), link)| (at(*adult), turned(*student, link)));
        let person_orgs = self.person_orgs.iter().map(|(person, org)| (at(*person), *org));
        let mut made = People {
            day: self.day,
            loaded: !self.accounts.is_empty(),
            by_localpart: HashTable::with_capacity(people),
            enrolled: Groups::new(people, enrolled.collect()),
            members: Groups::new(class_count, members.collect()),
            adults: Groups::new(people, adults.collect()),
            children: Groups::new(people, children.collect()),
            person_orgs: Groups::new(people, person_orgs.collect()),
            cells: cells.into(),
            text: text.into(),
            orgs: self.orgs_with_parents(),
            classes: self.class_list.into(),
            names: NameIndex::default(),
        };
        let mut by_localpart = std::mem::take(&mut made.by_localpart);
        for person in made.iter() {
            let hashed = |number: &u32| hash(made.localpart(PersonNo(*number)));
            by_localpart.insert_unique(hash(made.localpart(person)), person.0, hashed);
        }
        made.by_localpart = by_localpart;
        made.names = NameIndex::new(&made);
        made
    }

    /// What follows from classes and links: roles that no row names, and grades.
    fn fill_in(&mut self) {
        let implied: Vec<_> = self.enrollments.iter().map(|(who, class, role, _)| (*who, *class, *role)).collect();
        for (who, class, role) in implied {
            let grade =
                self.class_list.get(class.0 as usize).filter(|class| class.homeroom).and_then(|class| class.grade);
            let Some(draft) = self.draft_mut(who) else { continue };
            if role == EnrollmentRole::Student {
                draft.grade = draft.grade.or(grade);
            }
            if draft.roles.is_empty() {
                let role = match role {
                    EnrollmentRole::Student => SchoolRole::Student,
                    EnrollmentRole::Teacher => SchoolRole::Teacher,
                    EnrollmentRole::Aide => SchoolRole::Staff,
                };
                draft.roles = draft.roles.with(role);
            }
        }
        let guardians: Vec<u32> =
            self.links.iter().filter(|(_, link)| link.is_contact()).map(|((_, adult), _)| *adult).collect();
        for adult in guardians {
            if let Some(draft) = self.draft_mut(adult) {
                draft.roles = draft.roles.with(SchoolRole::Guardian);
            }
        }
    }

    fn orgs_with_parents(&mut self) -> Box<[OrgInfo]> {
        let list = std::mem::take(&mut self.org_list);
        let with = |(info, parent): (OrgInfo, Option<Id>)| {
            let parent = parent.and_then(|parent| self.orgs.get(&parent).copied());
            OrgInfo { parent, ..info }
        };
        list.into_iter().map(with).collect()
    }
}
