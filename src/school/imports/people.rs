//! Whose accounts a step makes, finds again, locks or renames.
//!
//! A person keeps one account for ever, whatever becomes of their rows: it is found again by the id in the source, by
//! the master id, or by the user name or address of a row that the same import removes. Who has no enabled row in any
//! source is locked. Roles never change a user id: only at the first sight of somebody decides whether they work at the
//! school, and get a readable one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Imports,
    ahead::Ahead,
    names::{is_reserved, readable},
};
use crate::{
    school::{
        SchoolError,
        roster::{Change, Object, Person},
    },
    store::{
        Batch, Order, UserNo,
        schema::school::{ACCOUNT_PEOPLE, Import, ObjectKey, PEOPLE, PERSON_ACCOUNTS, PersonAccount},
    },
    users::{NewPerson, UsersError},
};

/// Numbers tried for a readable name before it is an opaque one.
const SUFFIX_MAX: u32 = 500;
/// Records of one person at most.
const RECORDS_MAX: usize = 1_000;

/// A person in a change.
struct Row<'a> {
    id: &'a str,
    before: Option<&'a Person>,
    after: Option<&'a Person>,
}

impl Row<'_> {
    fn enabled(&self) -> bool {
        self.after.is_some_and(|person| person.enabled)
    }

    /// Whether it may decide if the account is locked.
    fn admits_or_bars(&self) -> bool {
        self.before.is_some_and(|person| person.enabled) != self.enabled() || self.before.is_none()
    }
}

/// What becomes of the accounts of a step.
#[derive(Default)]
struct Accounts<'a> {
    new: Vec<(NewPerson, Vec<&'a Row<'a>>)>,
    /// Accounts that exist, with their rows; those whose row is new to the account are marked.
    known: BTreeMap<UserNo, Vec<(&'a Row<'a>, bool)>>,
    localparts: BTreeMap<UserNo, String>,
    /// Rows of accounts that are closed for good, and whose person gets another.
    parted: Vec<(UserNo, &'a str)>,
}

/// Somebody's name, for other people.
pub(super) fn display_name(person: &Person) -> String {
    match person.display.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(display) => display.to_owned(),
        None => format!("{} {}", person.given.trim(), person.family.trim()).trim().to_owned(),
    }
}

impl Imports {
    /// Commits a step that has people among its changes, with what becomes of their accounts.
    pub(super) async fn commit_people(
        &self,
        mut batch: Batch,
        (number, import): (u64, &Import),
        changes: &[Change],
        ahead: &mut Ahead,
    ) -> Result<(), SchoolError> {
        let rows: Vec<Row<'_>> = changes.iter().filter_map(row).collect();
        let accounts = self.accounts_of(&rows, (number, &import.source), ahead).await?;
        let instead: HashMap<ObjectKey, bool> =
            rows.iter().map(|row| ((import.source.clone(), row.id.to_owned()), row.enabled())).collect();
        let mut locked = BTreeMap::new();
        for (user, rows) in &accounts.known {
            if rows.iter().any(|(row, new)| *new || row.admits_or_bars()) {
                let enabled =
                    rows.iter().any(|(row, _)| row.enabled()) || self.has_enabled_row(*user, &instead).await?;
                locked.insert(*user, !enabled);
            }
        }
        let names: Vec<String> = accounts.new.iter().map(|(new, _)| new.localpart.clone()).collect();
        let users: Vec<UserNo> = accounts.known.keys().copied().collect();
        let held = self.inner.parts.users.hold(&names, &users).await;
        let put = |batch: &mut Batch, user: UserNo, localpart: &str, id: &str| {
            let key = (import.source.clone(), id.to_owned());
            batch.put(&PERSON_ACCOUNTS, &key, &PersonAccount { user, localpart: localpart.to_owned() });
            batch.put(&ACCOUNT_PEOPLE, &(user, key.0, key.1), &());
        };
        for (user, id) in &accounts.parted {
            batch.delete(&ACCOUNT_PEOPLE, &(*user, import.source.clone(), (*id).to_owned()));
        }
        for (new, rows) in &accounts.new {
            let (user, _) = held.stage_account(&mut batch, new).await?;
            for row in rows {
                put(&mut batch, user, &new.localpart, row.id);
            }
        }
        for (user, locked) in &locked {
            held.stage_roster_lock(&mut batch, *user, *locked).await?;
        }
        let mut renamed = Vec::new();
        for (user, rows) in &accounts.known {
            let localpart = accounts.localparts.get(user).map_or("", String::as_str);
            for (row, _) in rows.iter().filter(|(_, new)| *new) {
                put(&mut batch, *user, localpart, row.id);
            }
            let Some((name, before)) = rows.iter().find_map(|(row, _)| new_name(row)) else { continue };
            let own = self.works_here(*user);
            let follows = |now: Option<&str>| !own || now.is_none() || now == before.as_deref();
            if held.stage_displayname(&mut batch, *user, &name, follows).await? {
                renamed.push(*user);
            }
        }
        self.store().commit(batch).await?;
        drop(held);
        for user in renamed {
            let user_id = self.store().user_id(user).await?;
            self.inner.parts.rooms.profile_changed(user, &user_id);
        }
        Ok(())
    }

    /// Finds the account of every row, or says which is to be made.
    async fn accounts_of<'a>(
        &self,
        rows: &'a [Row<'a>],
        (number, source): (u64, &str),
        ahead: &mut Ahead,
    ) -> Result<Accounts<'a>, SchoolError> {
        let key = |id: &str| (source.to_owned(), id.to_owned());
        let keys: Vec<ObjectKey> = rows.iter().map(|row| key(row.id)).collect();
        let known = self.store().multi_get(&PERSON_ACCOUNTS, &keys).await?;
        let mut accounts = Accounts::default();
        let (mut new_ids, mut taken) = (HashMap::<&str, usize>::new(), BTreeSet::new());
        for (row, account) in rows.iter().zip(known) {
            if let Some(account) = account {
                let again = row.before.is_none() && row.after.is_some();
                if !(again && self.is_closed(account.user).await?) {
                    accounts.known.entry(account.user).or_default().push((row, false));
                    accounts.localparts.insert(account.user, account.localpart);
                    continue;
                }
                accounts.parted.push((account.user, row.id));
            }
            let Some(person) = row.after else { continue };
            ahead.learn(self.store(), number, source).await?;
            let older = ahead.older_record(row.id, person).map(str::to_owned);
            if let Some(older) = older {
                if let Some((new, rows)) = new_ids.get(older.as_str()).and_then(|new| accounts.new.get_mut(*new)) {
                    new.locked &= !row.enabled();
                    rows.push(row);
                    continue;
                }
                let account = self.store().get(&PERSON_ACCOUNTS, &key(&older)).await?;
                if let Some(account) = account
                    && !self.is_closed(account.user).await?
                {
                    accounts.known.entry(account.user).or_default().push((row, true));
                    accounts.localparts.insert(account.user, account.localpart);
                    continue;
                }
            }
            ahead.remember(row.id, person);
            let localpart = self.choose_name(row.id, person, ahead, &mut taken).await?;
            let new = NewPerson { localpart, displayname: display_name(person), locked: !row.enabled() };
            new_ids.insert(row.id, accounts.new.len());
            accounts.new.push((new, vec![row]));
        }
        Ok(accounts)
    }

    /// A name that no account has and none of this step gets.
    async fn choose_name(
        &self,
        id: &str,
        person: &Person,
        ahead: &mut Ahead,
        taken: &mut BTreeSet<String>,
    ) -> Result<String, SchoolError> {
        let parts = &self.inner.parts;
        let base = readable(&person.given, &person.family).filter(|_| ahead.is_staff(id, person));
        loop {
            let suffix = base.as_ref().map(|base| ahead.next_suffix(base)).filter(|suffix| *suffix <= SUFFIX_MAX);
            let name = match (&base, suffix) {
                (Some(base), Some(1)) => base.clone(),
                (Some(base), Some(suffix)) => format!("{base}{suffix}"),
                _ => parts.ids.roster_localpart(),
            };
            if taken.contains(&name) || is_reserved(&name) {
                continue;
            }
            match parts.users.accounts.check_available(&name).await {
                Ok(_) => {
                    taken.insert(name.clone());
                    return Ok(name);
                }
                Err(UsersError::NameTaken) => {}
                // Too long for a user id of this server: numbers would not make it shorter.
                Err(UsersError::InvalidName(_)) if suffix.is_some() => {
                    let name = parts.ids.roster_localpart();
                    parts.users.accounts.check_available(&name).await?;
                    taken.insert(name.clone());
                    return Ok(name);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether an account has an enabled row in any source, once the rows of a step are in force.
    pub(super) async fn has_enabled_row(
        &self,
        user: UserNo,
        instead: &HashMap<ObjectKey, bool>,
    ) -> Result<bool, SchoolError> {
        let records = self.store().prefix(&ACCOUNT_PEOPLE, &user, Order::Ascending, RECORDS_MAX).await?;
        let keys: Vec<ObjectKey> = records.into_iter().map(|((_, source, id), ())| (source, id)).collect();
        if keys.iter().any(|key| instead.get(key) == Some(&true)) {
            return Ok(true);
        }
        let others: Vec<ObjectKey> = keys.into_iter().filter(|key| !instead.contains_key(key)).collect();
        let others = self.store().multi_get(&PEOPLE, &others).await?;
        Ok(others.into_iter().flatten().any(|person| person.enabled))
    }

    /// Whether an account is that of a person whom a source tells of, and who has not left.
    ///
    /// # Errors
    /// The store failed.
    pub async fn knows(&self, user: UserNo) -> Result<bool, SchoolError> {
        let people = self.inner.parts.rules.people();
        let gone = people.of_user(user).is_some_and(|person| people.standing(person).gone);
        Ok(!gone && !self.store().prefix(&ACCOUNT_PEOPLE, &user, Order::Ascending, 1).await?.is_empty())
    }

    async fn is_closed(&self, user: UserNo) -> Result<bool, SchoolError> {
        let account = self.inner.parts.users.accounts.by_number(user).await?;
        Ok(account.is_none_or(|account| account.deactivated))
    }

    /// Whether somebody works at the school now, and so may choose how they are called.
    fn works_here(&self, user: UserNo) -> bool {
        let people = self.inner.parts.rules.people();
        people.of_user(user).is_some_and(|person| people.roles(person).works_here())
    }
}

/// The person in a change, if it is about one.
fn row(change: &Change) -> Option<Row<'_>> {
    let (before, after) = (as_person(change.before.as_ref()), as_person(change.after.as_ref()));
    (before.is_some() || after.is_some()).then_some(Row { id: &change.id, before, after })
}

fn as_person(object: Option<&Object>) -> Option<&Person> {
    match object {
        Some(Object::Person(person)) => Some(person),
        _ => None,
    }
}

/// The new name of somebody who stays or comes back, and the one that their row had before.
fn new_name(row: &Row<'_>) -> Option<(String, Option<String>)> {
    let (name, before) = (display_name(row.after?), row.before.map(display_name));
    (before.as_ref() != Some(&name)).then_some((name, before))
}
