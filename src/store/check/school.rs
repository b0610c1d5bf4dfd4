//! People of rosters and their accounts.

use super::rows::Check;
use crate::store::{
    StoreError,
    schema::{
        school::{ACCOUNT_PEOPLE, PEOPLE, PERSON_ACCOUNTS, ROSTER_LOCKS},
        users::ACCOUNTS,
    },
};

impl Check<'_> {
    /// Every person has an account, which knows them; what the roster locked is locked.
    pub(super) fn school(&mut self) -> Result<(), StoreError> {
        self.walk(&PEOPLE, |check, (source, id), _| {
            if !check.has(&PERSON_ACCOUNTS, &(source.clone(), id.clone()))? {
                check.report.find(PEOPLE.name, || format!("{id} of {source} has no account"));
            }
            Ok(())
        })?;
        self.walk(&PERSON_ACCOUNTS, |check, (source, id), person| {
            let account = check.get(&ACCOUNTS, &person.user)?;
            if account.is_none_or(|account| account.localpart != person.localpart) {
                check
                    .report
                    .find(PERSON_ACCOUNTS.name, || format!("{id} of {source} has an account that is not there"));
            }
            if !check.has(&ACCOUNT_PEOPLE, &(person.user, source.clone(), id.clone()))? {
                check
                    .report
                    .find(PERSON_ACCOUNTS.name, || format!("the account of {id} of {source} does not know them"));
            }
            Ok(())
        })?;
        self.walk(&ACCOUNT_PEOPLE, |check, (user, source, id), ()| {
            let person = check.get(&PERSON_ACCOUNTS, &(source, id.clone()))?;
            if person.is_none_or(|person| person.user != user) {
                check.report.find(ACCOUNT_PEOPLE.name, || format!("{id} has another account than user {}", user.0));
            }
            Ok(())
        })?;
        self.walk(&ROSTER_LOCKS, |check, user, ()| {
            let account = check.get(&ACCOUNTS, &user)?;
            if account.is_none_or(|account| !account.locked && !account.deactivated) {
                check.report.find(ROSTER_LOCKS.name, || format!("user {} is not locked", user.0));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::{
        store::{Batch, UserNo, check::check, schema::school::PersonAccount},
        users::test::Fixture,
    };

    fn key() -> (String, String) {
        ("s".into(), "p".into())
    }

    #[tokio::test]
    async fn a_person_without_their_account_is_found() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        let person = |user| PersonAccount { user, localpart: "anna".into() };
        let mut batch = Batch::new();
        batch.put(&PERSON_ACCOUNTS, &key(), &person(anna.user));
        batch.put(&ACCOUNT_PEOPLE, &(anna.user, key().0, key().1), &());
        fixture.store.commit(batch).await.unwrap();
        assert!(check(&fixture.store).unwrap().findings.is_empty());
        let mut batch = Batch::new();
        batch.put(&PERSON_ACCOUNTS, &key(), &person(UserNo(999)));
        batch.put(&ROSTER_LOCKS, &anna.user, &());
        fixture.store.commit(batch).await.unwrap();
        let report = check(&fixture.store).unwrap();
        let mut tables: Vec<_> = report.findings.iter().map(|finding| finding.table).collect();
        tables.dedup();
        assert_eq!(tables, [PERSON_ACCOUNTS.name, ACCOUNT_PEOPLE.name, ROSTER_LOCKS.name]);
    }
}
