//! What a step has to know of later changes.

use std::collections::{HashMap, HashSet};

use super::names::{alike, fold_name};
use crate::{
    school::{
        SchoolError,
        roster::{EnrollmentRole, Object, Person, SchoolRole},
    },
    store::{
        Store, StoreError,
        schema::school::{IMPORT_CHANGES, PEOPLE},
    },
};

/// What is known of an import beyond the step at work. Read when the first account has to be made.
#[derive(Default)]
pub(super) struct Ahead {
    known: Option<Known>,
}

#[derive(Default)]
struct Known {
    /// People who get a role or an enrollment of somebody who works at the school.
    staff: HashSet<String>,
    /// Of those, the ones with a master id, by that: another record of theirs may be the first one seen.
    staff_masters: HashMap<String, Record>,
    /// The person of each master id, with their names.
    masters: HashMap<String, Record>,
    /// Who is removed by this import, by user name and by address; `None` where that is not one person.
    leavers: HashMap<String, Option<Record>>,
    /// The next number for a readable name that others have too.
    suffixes: HashMap<String, u32>,
}

/// A record of somebody.
#[derive(Clone)]
struct Record {
    id: String,
    given: String,
    family: String,
}

impl Record {
    fn new(id: &str, person: &Person) -> Self {
        Self { id: id.to_owned(), given: person.given.clone(), family: person.family.clone() }
    }

    fn may_be(&self, person: &Person) -> bool {
        alike((&self.given, &self.family), (&person.given, &person.family))
    }
}

impl Ahead {
    /// Reads what is to be known, unless that is done.
    pub(super) async fn learn(&mut self, store: &Store, number: u64, source: &str) -> Result<(), SchoolError> {
        if self.known.is_none() {
            let (store, source) = (store.clone(), source.to_owned());
            let reading = tokio::task::spawn_blocking(move || Known::read(&store, number, &source));
            self.known = Some(reading.await.map_err(SchoolError::task)??);
        }
        Ok(())
    }

    /// Whether a new person will work at the school, by this record or another of theirs.
    pub(super) fn is_staff(&self, id: &str, person: &Person) -> bool {
        self.known.as_ref().is_some_and(|known| {
            let other = person.master_id.as_ref().and_then(|master| known.staff_masters.get(master));
            known.staff.contains(id) || other.is_some_and(|other| other.may_be(person))
        })
    }

    /// The id of an older record of a new person: one with the same master id, or one that this import removes with
    /// the same user name or address. The names have to agree as well: addresses and user names are handed on.
    pub(super) fn older_record(&self, id: &str, person: &Person) -> Option<&str> {
        let known = self.known.as_ref()?;
        let of_master = person.master_id.as_ref().and_then(|master| known.masters.get(master));
        let of_login = || logins(person).find_map(|login| known.leavers.get(&login)?.as_ref());
        let record = of_master.filter(|record| record.id != id).or_else(of_login)?;
        record.may_be(person).then_some(record.id.as_str())
    }

    /// Remembers a new person, who may come again under another id.
    pub(super) fn remember(&mut self, id: &str, person: &Person) {
        if let (Some(known), Some(master)) = (&mut self.known, &person.master_id) {
            known.masters.entry(master.clone()).or_insert_with(|| Record::new(id, person));
        }
    }

    /// The next number to try for a readable name: 1 at first.
    pub(super) fn next_suffix(&mut self, name: &str) -> u32 {
        let suffix = self.known.get_or_insert_default().suffixes.entry(name.to_owned()).or_insert(0);
        *suffix += 1;
        *suffix
    }
}

impl Known {
    fn read(store: &Store, number: u64, source: &str) -> Result<Self, StoreError> {
        let mut known = Self::default();
        let mut new = HashMap::new();
        store.walk_part_blocking(&IMPORT_CHANGES, &number, |_, change| {
            match (&change.before, &change.after) {
                (_, Some(Object::Role(role))) if !matches!(role.role, SchoolRole::Student | SchoolRole::Guardian) => {
                    known.staff.insert(role.person.clone());
                }
                (_, Some(Object::Enrollment(row))) if row.role != EnrollmentRole::Student => {
                    known.staff.insert(row.person.clone());
                }
                (None, Some(Object::Person(person))) => {
                    if let Some(master) = &person.master_id {
                        new.insert(change.id.clone(), (master.clone(), Record::new(&change.id, person)));
                    }
                }
                (Some(Object::Person(person)), None) => {
                    let record = Record::new(&change.id, person);
                    for login in logins(person) {
                        let first = !known.leavers.contains_key(&login);
                        known.leavers.insert(login, first.then(|| record.clone()));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        known.staff_masters = known.staff.iter().filter_map(|id| new.remove(id)).collect();
        store.walk_part_blocking(&PEOPLE, &source.to_owned(), |(_, id), person| {
            if let Some(master) = &person.master_id {
                known.masters.entry(master.clone()).or_insert_with(|| Record::new(&id, &person));
            }
            Ok(())
        })?;
        Ok(known)
    }
}

/// By what a person is known to other systems.
fn logins(person: &Person) -> impl Iterator<Item = String> {
    let name = person.username.as_deref().filter(|name| !name.is_empty()).map(|name| format!("u {}", fold_name(name)));
    let mail = person.email.as_deref().filter(|mail| !mail.is_empty()).map(|mail| format!("e {}", fold_name(mail)));
    name.into_iter().chain(mail)
}
