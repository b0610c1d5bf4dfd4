//! Contacts: the people somebody may see, with what they may do with them, and how many there are of each sort.

use std::cmp::Reverse;

use ruma::{OwnedUserId, UserId};

use super::{
    answers::{ClassCount, ClassName, Contact, ContactsPage, Explanation, Facets, Permission, PersonName},
    folding::Query,
    search::Rank,
    viewer::{Interest, Viewer},
};
use crate::{
    rooms::policy::Verb,
    school::{
        SchoolError,
        people::{ClassNo, Member, People, PersonNo, Relations},
        policy::Outcome,
        roster::{EnrollmentRole, SchoolRole},
    },
};

/// Most classes counted for one answer.
const CLASS_COUNTS_MAX: usize = 100;

/// What somebody asks for.
#[derive(Debug, Clone, Default)]
pub struct ContactsQuery {
    /// Beginnings of names, or of a user id.
    pub q: Option<String>,
    /// Only those with this role.
    pub role: Option<SchoolRole>,
    /// Only those in this class, by its id.
    pub class: Option<String>,
    /// Only those with this relation, by its name.
    pub relation: Option<String>,
    /// Only those with whom this can be done in any way but by asking.
    pub can: Option<Verb>,
    /// Most people of a page.
    pub limit: usize,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// The filters of a query, looked up.
struct Filters {
    role: Option<SchoolRole>,
    class: Option<ClassNo>,
    relation: Option<Relations>,
    can: Option<Verb>,
}

impl Viewer<'_> {
    /// A page of contacts, without their rooms.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a query too long, an unknown relation, a foreign token; [`SchoolError::NotFound`]
    /// for a class the viewer may not read about.
    pub(super) fn contacts(&self, asked: &ContactsQuery) -> Result<ContactsPage, SchoolError> {
        let interest = self.interest();
        let query = self.query(asked.q.as_deref().unwrap_or_default())?;
        let filters = self.filters(asked, &interest)?;
        let after = self.after(asked.from.as_deref())?;
        let mut counts = Counts::new(&self.people);
        let counted = self.seen(query.as_ref()).filter(|(person, rank)| {
            let relations = self.relations_at(*person, *rank);
            counts.add(&self.people, *person, relations, &interest);
            self.passes(*person, relations, &filters)
        });
        let page = self.page(counted, after, asked.limit);
        Ok(ContactsPage {
            contacts: page.people.iter().filter_map(|person| self.contact(*person, &interest)).collect(),
            facets: counts.finish(&self.people),
            next_batch: page.next_batch,
        })
    }

    /// Reads a query.
    pub(super) fn query(&self, text: &str) -> Result<Option<Query>, SchoolError> {
        let read = Query::read(text, self.rules.server().as_str());
        read.map_err(|_| SchoolError::Invalid("the query is too long".into()))
    }

    /// Reads the token of a page.
    pub(super) fn after(&self, from: Option<&str>) -> Result<Option<Rank>, SchoolError> {
        let foreign = || SchoolError::Invalid("from is not a next_batch of this list".into());
        from.map(|token| self.read_token(token).ok_or_else(foreign)).transpose()
    }

    fn filters(&self, asked: &ContactsQuery, interest: &Interest) -> Result<Filters, SchoolError> {
        let class = match &asked.class {
            None => None,
            Some(id) => {
                let class = class_of_id(&self.people, id).filter(|class| interest.has(*class));
                Some(class.ok_or(SchoolError::NotFound("class"))?)
            }
        };
        let named = |name: &String| Relations::NAMED.into_iter().find(|(_, known)| known == name);
        let relation = match &asked.relation {
            None => None,
            Some(name) => {
                let (relation, _) = named(name).ok_or_else(|| SchoolError::Invalid("no such relation".into()))?;
                Some(relation)
            }
        };
        Ok(Filters { role: asked.role, class, relation, can: asked.can })
    }

    fn passes(&self, person: PersonNo, relations: Relations, filters: &Filters) -> bool {
        filters.role.is_none_or(|role| self.people.roles(person).has(role))
            && filters.class.is_none_or(|class| self.people.enrolled(person).any(|member| member.class == class))
            && filters.relation.is_none_or(|relation| relations.has(relation))
            && filters.can.is_none_or(|verb| match self.ruling(person, verb).outcome {
                Outcome::Allow | Outcome::Supervised { .. } | Outcome::FamilyThread => true,
                Outcome::Knock | Outcome::Deny => false,
            })
    }

    /// What the viewer is to somebody found. To strangers they are at most of one organisation, which the rank knows.
    fn relations_at(&self, person: PersonNo, rank: Rank) -> Relations {
        match (self.person, rank.distance()) {
            (Some(own), 0) => self.people.relations(own, person),
            (_, 1) => Relations::SAME_ORG,
            _ => Relations::NONE,
        }
    }

    /// One contact; `None` for somebody without a user id.
    pub(super) fn contact(&self, person: PersonNo, interest: &Interest) -> Option<Contact> {
        let people = &*self.people;
        let relations = self.person.map_or(Relations::NONE, |own| people.relations(own, person));
        let classes = people.enrolled(person).filter(|member| interest.has(member.class));
        let permission = |verb| Permission::from(self.ruling(person, verb));
        let roles = people.roles(person);
        Some(Contact {
            user_id: people.user_id(person, self.rules.server())?,
            name: people.display_name(person),
            roles: roles.iter().collect(),
            title: roles.widest().map(title),
            classes: classes.filter_map(|member| class_name(people, member.class, Some(member))).collect(),
            relations: relations.names().collect(),
            can: super::answers::Can {
                dm: permission(Verb::Dm),
                call: permission(Verb::Call),
                add: permission(Verb::Add),
            },
            room_id: None,
        })
    }

    /// Somebody the viewer may see.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], whether there is no such person or the viewer may not know of them.
    pub(super) fn visible(&self, user_id: &UserId) -> Result<PersonNo, SchoolError> {
        let here = user_id.server_name() == self.rules.server();
        let person = here.then(|| self.people.find(user_id)).flatten();
        person.filter(|person| self.sees(*person)).ok_or(SchoolError::NotFound("person"))
    }

    /// What the policy says of the viewer and somebody they may see.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] as for [`Viewer::visible`].
    pub(super) fn why(&self, user_id: &UserId, verb: Verb) -> Result<Explanation, SchoolError> {
        let person = self.visible(user_id)?;
        Ok(Explanation { verb: verb.name(), permission: self.ruling(person, verb).into() })
    }

    /// Somebody by name.
    pub(super) fn name(&self, person: PersonNo) -> Option<PersonName> {
        let user_id: OwnedUserId = self.people.user_id(person, self.rules.server())?;
        Some(PersonName { user_id, name: self.people.display_name(person) })
    }
}

/// Counts of those found. Plain numbers: a head counts everybody with each request.
struct Counts {
    roles: [u32; SchoolRole::ALL.len()],
    relations: [u32; Relations::NAMED.len()],
    classes: Vec<u32>,
}

impl Counts {
    fn new(people: &People) -> Self {
        Self {
            roles: [0; SchoolRole::ALL.len()],
            relations: [0; Relations::NAMED.len()],
            classes: vec![0; people.classes().count()],
        }
    }

    fn add(&mut self, people: &People, person: PersonNo, relations: Relations, interest: &Interest) {
        let roles = people.roles(person);
        for (count, role) in self.roles.iter_mut().zip(SchoolRole::ALL) {
            *count += u32::from(roles.has(role));
        }
        if relations != Relations::NONE {
            for (count, (relation, _)) in self.relations.iter_mut().zip(Relations::NAMED) {
                *count += u32::from(relations.has(relation));
            }
        }
        for member in people.enrolled(person).filter(|member| interest.has(member.class)) {
            if let Some(count) = self.classes.get_mut(member.class.index()) {
                *count += 1;
            }
        }
    }

    fn finish(self, people: &People) -> Facets {
        let mut classes: Vec<(u32, ClassNo)> =
            self.classes.into_iter().zip(people.classes()).map(|(count, (class, _))| (count, class)).collect();
        classes.retain(|(count, _)| *count > 0);
        classes.sort_by_key(|(count, class)| (Reverse(*count), people.class(*class).map(|info| &*info.title)));
        classes.truncate(CLASS_COUNTS_MAX);
        let counted = |(count, class)| Some(ClassCount { class: class_name(people, class, None)?, count });
        let roles = self.roles.into_iter().zip(SchoolRole::ALL).map(|(count, role)| (role.name(), count));
        let relations = self.relations.into_iter().zip(Relations::NAMED).map(|(count, (_, name))| (name, count));
        Facets {
            roles: roles.filter(|(_, count)| *count > 0).collect(),
            relations: relations.filter(|(_, count)| *count > 0).collect(),
            classes: classes.into_iter().filter_map(counted).collect(),
        }
    }
}

/// The id of an object in this interface: its source and its id there.
pub(super) fn object_id(source: &str, id: &str) -> String {
    format!("{source}:{id}")
}

/// The class of an id of this interface.
pub(super) fn class_of_id(people: &People, text: &str) -> Option<ClassNo> {
    let is = |source: &str, id: &str| {
        text.strip_prefix(source).and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| rest == id)
    };
    people.classes().find(|(_, class)| is(&class.source, &class.id)).map(|(class, _)| class)
}

/// A class by name, with what somebody is there.
pub(super) fn class_name(people: &People, class: ClassNo, member: Option<Member>) -> Option<ClassName> {
    let info = people.class(class)?;
    Some(ClassName {
        id: object_id(&info.source, &info.id),
        title: info.title.to_string(),
        role: member.map(|member| role_name(member.role)),
        homeroom: info.homeroom,
    })
}

/// The name of a role in a class.
pub(super) fn role_name(role: EnrollmentRole) -> &'static str {
    match role {
        EnrollmentRole::Student => "student",
        EnrollmentRole::Teacher => "teacher",
        EnrollmentRole::Aide => "aide",
    }
}

/// A role in words.
fn title(role: SchoolRole) -> &'static str {
    match role {
        SchoolRole::Student => "Pupil",
        SchoolRole::Guardian => "Guardian",
        SchoolRole::Teacher => "Teacher",
        SchoolRole::Staff => "Staff",
        SchoolRole::Leadership => "School leadership",
        SchoolRole::SafeguardingLead => "Safeguarding lead",
    }
}
