//! Ids that a source uses again.
//!
//! A person who comes back gets their account again, with everything in it. Some sources hand the ids of those who have
//! left on to others: somebody has to say which of the two it is.

use std::collections::HashMap;

use super::{Imports, people::display_name};
use crate::{
    school::{
        SchoolError,
        reconcile::{NAMED_MAX, fold_name, words},
        roster::{Change, Object, Person, Roster},
    },
    store::{Store, StoreError, UserNo, schema::school::PERSON_ACCOUNTS},
};

/// Ids of a source that had a person once and have none now, with their accounts.
pub(super) struct Former(HashMap<String, UserNo>);

/// A new person under such an id.
pub(super) struct Return {
    id: String,
    user: UserNo,
    person: Person,
}

impl Former {
    /// Those that are not in what is stored.
    pub(super) fn read_blocking(store: &Store, source: &str, stored: &Roster) -> Result<Self, StoreError> {
        let mut former = HashMap::new();
        store.walk_part_blocking(&PERSON_ACCOUNTS, &source.to_owned(), |(_, id), account| {
            if !stored.people.contains_key(&id) {
                former.insert(id, account.user);
            }
            Ok(())
        })?;
        Ok(Self(former))
    }

    /// Whether a change brings somebody under one of the ids.
    pub(super) fn returning(&self, change: &Change) -> Option<Return> {
        let (None, Some(Object::Person(person))) = (&change.before, &change.after) else { return None };
        let user = *self.0.get(&change.id)?;
        Some(Return { id: change.id.clone(), user, person: person.clone() })
    }
}

impl Imports {
    /// Adds to `holds` who would get the account of somebody with another name.
    pub(super) async fn hold_returns(&self, returns: &[Return], holds: &mut Vec<String>) -> Result<(), SchoolError> {
        let users = &self.inner.parts.users;
        let mut count = 0;
        for one in returns {
            let account = users.accounts.by_number(one.user).await?;
            // Who comes back to a closed account gets a new one.
            let Some(account) = account.filter(|account| !account.deactivated) else { continue };
            let name = users.profiles.get(one.user).await?.displayname();
            if name.as_deref().is_some_and(|name| may_be(name, &one.person)) {
                continue;
            }
            count += 1;
            if count <= NAMED_MAX {
                let was = name.as_deref().unwrap_or("somebody without a name");
                let (id, is, localpart) = (&one.id, display_name(&one.person), &account.localpart);
                holds.push(format!(
                    "the id \"{id}\" was that of {was} and would be that of {is}, who would get the account \
                     \"{localpart}\": close it first if they are two people"
                ));
            }
        }
        match count.saturating_sub(NAMED_MAX) {
            0 => {}
            1 => holds.push("and one more id would come back as somebody else's".into()),
            more => holds.push(format!("and {more} more ids would come back as somebody else's")),
        }
        Ok(())
    }
}

/// Whether somebody called `name` may be this person: they share the given name, or the family name and the first letter
/// of the other.
fn may_be(name: &str, person: &Person) -> bool {
    if fold_name(name) == fold_name(&display_name(person)) {
        return true;
    }
    let (name, given, family) = (words(name), words(&person.given), words(&person.family));
    if !name.is_disjoint(&given) {
        return true;
    }
    let mut others = name.difference(&family).peekable();
    let initial = fold_name(&person.given).chars().next();
    !name.is_disjoint(&family) && (others.peek().is_none() || others.any(|word| word.chars().next() == initial))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn somebody_with_another_name_is_another() {
        let person = |given: &str, family: &str| Person {
            given: given.into(),
            family: family.into(),
            display: Some("Bibi".into()),
            username: None,
            email: None,
            master_id: None,
            enabled: true,
            grade: None,
            birth_year: None,
        };
        for (name, given, family, expected) in [
            ("Anna Keller", "Anna", "Keller", true),
            ("anna KELLER-Rot", "Änna", "Rot", true),
            ("Anna Keller", "Anna", "Berg", true),
            ("A. Keller", "Anna", "Keller", true),
            ("Keller", "Anna", "Keller", true),
            ("bibi", "Anna", "Keller", true),
            ("Anna Keller", "Ben", "Keller", false),
            ("Anna von Berg", "Ben", "von Tal", false),
            ("Anna Keller", "Ben", "Berg", false),
            ("", "Ben", "Berg", false),
        ] {
            assert_eq!(may_be(name, &person(given, family)), expected, "{name}: {given} {family}");
        }
    }
}
