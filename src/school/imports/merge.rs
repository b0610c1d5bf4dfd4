//! Two accounts of one person.

use std::collections::HashMap;

use serde_json::json;

use super::Imports;
use crate::{
    school::{SERVICE_LOCALPART, SchoolError, audit::Author},
    store::StoreError,
    store::{
        Batch, Order, UserNo,
        schema::school::{
            ACCOUNT_PEOPLE, LINK_DECISIONS, LOCAL_ROLES, LinkDecision, OVERRIDES, Override, PERSON_ACCOUNTS,
            PersonAccount,
        },
    },
    users::is_ordinary,
};

/// Records of one person at most.
const RECORDS_MAX: usize = 1_000;

impl Imports {
    /// Makes two accounts that are one person one: what rosters tell of `from` is told of `into` from now on, and so is
    /// what was decided here: roles, overrides, and above all who must be kept apart. `from` is locked, as if by an
    /// administrator, and leaves the school's rooms; its name is never given to anybody else.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] while an import is at work, [`SchoolError::Invalid`] for one account twice
    /// and for the school's own,
    /// [`SchoolError::NotFound`] for an account that is not there or is closed.
    pub async fn merge(&self, from: UserNo, into: UserNo, by: &Author) -> Result<(), SchoolError> {
        let _deciding = self.inner.deciding.lock().await;
        self.check_idle()?;
        if from == into {
            return Err(SchoolError::Invalid("these are one account already".into()));
        }
        let users = &self.inner.parts.users;
        let open = |account: Option<crate::store::schema::users::Account>| {
            account.filter(|account| !account.deactivated).ok_or(SchoolError::NotFound("account"))
        };
        let loser = open(users.accounts.by_number(from).await?)?;
        let winner = open(users.accounts.by_number(into).await?)?;
        if [&loser, &winner].into_iter().any(|one| one.localpart == SERVICE_LOCALPART && !is_ordinary(one)) {
            return Err(SchoolError::Invalid("the school's own account is nobody's".into()));
        }
        let mut batch = Batch::new();
        let records = self.store().prefix(&ACCOUNT_PEOPLE, &from, Order::Ascending, RECORDS_MAX).await?;
        let moved = records.len();
        for (key, ()) in records {
            let account = PersonAccount { user: into, localpart: winner.localpart.clone() };
            batch.delete(&ACCOUNT_PEOPLE, &key);
            batch.put(&ACCOUNT_PEOPLE, &(into, key.1.clone(), key.2.clone()), &());
            batch.put(&PERSON_ACCOUNTS, &(key.1, key.2), &account);
        }
        self.move_decisions(&mut batch, from, into).await?;
        let enabled =
            self.has_enabled_row(from, &HashMap::new()).await? || self.has_enabled_row(into, &HashMap::new()).await?;
        let held = users.hold(&[], &[from, into]).await;
        held.stage_lock(&mut batch, from).await?;
        held.stage_roster_lock(&mut batch, into, !enabled).await?;
        let detail = json!({ "into": winner.localpart, "records": moved });
        self.inner.parts.audit.stage(&mut batch, by, "people.merge", &loser.localpart, &detail);
        self.store().commit(batch).await?;
        drop(held);
        self.inner.parts.refresh.now().await
    }

    async fn move_decisions(&self, batch: &mut Batch, from: UserNo, into: UserNo) -> Result<(), SchoolError> {
        for (key, role) in self.store().prefix(&LOCAL_ROLES, &from, Order::Ascending, RECORDS_MAX).await? {
            batch.delete(&LOCAL_ROLES, &key);
            if self.store().get(&LOCAL_ROLES, &(into, key.1)).await?.is_none() {
                batch.put(&LOCAL_ROLES, &(into, key.1), &role);
            }
        }
        let store = self.store().clone();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut overrides, mut links) = (Vec::new(), Vec::new());
            store.walk_blocking(&OVERRIDES, |number, row: Override| {
                if row.actor == from || row.target == from {
                    overrides.push((number, row));
                }
                Ok(())
            })?;
            store.walk_blocking(&LINK_DECISIONS, |pair, row: LinkDecision| {
                if pair.0 == from || pair.1 == from {
                    links.push((pair, row));
                }
                Ok(())
            })?;
            Ok::<_, StoreError>((overrides, links))
        });
        let (overrides, links) = reading.await.map_err(SchoolError::task)??;
        let renamed = |user: UserNo| if user == from { into } else { user };
        for (number, row) in overrides {
            let (actor, target) = (renamed(row.actor), renamed(row.target));
            if actor == target {
                batch.delete(&OVERRIDES, &number);
            } else {
                batch.put(&OVERRIDES, &number, &Override { actor, target, ..row });
            }
        }
        for (pair, row) in links {
            batch.delete(&LINK_DECISIONS, &pair);
            let pair = (renamed(pair.0), renamed(pair.1));
            if pair.0 == pair.1 {
                continue;
            }
            let merged = match self.store().get(&LINK_DECISIONS, &pair).await? {
                // Of two decisions the one that keeps apart stands.
                Some(other) => LinkDecision {
                    contact: strictest(other.contact, row.contact, false),
                    isolated: strictest(other.isolated, row.isolated, true),
                    ..other
                },
                None => row,
            };
            batch.put(&LINK_DECISIONS, &pair, &merged);
        }
        Ok(())
    }
}

/// The strict value if either says so, else whichever says anything.
fn strictest(a: Option<bool>, b: Option<bool>, strict: bool) -> Option<bool> {
    if a == Some(strict) || b == Some(strict) { Some(strict) } else { a.or(b) }
}
