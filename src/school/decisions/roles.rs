//! Roles given on this server: the safeguarding lead's, and any role of accounts that no roster tells of.

use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::service::Decisions;
use crate::{
    school::{SchoolError, audit::Author, roster::SchoolRole},
    store::{
        Batch, Order,
        schema::school::{LOCAL_ROLES, LocalRole},
    },
};

/// Roles that may be given at once.
const LOCAL_ROLES_MAX: usize = 10_000;

/// A role given on this server.
#[derive(Debug, Clone)]
pub struct KnownRole {
    /// Who has it.
    pub user_id: OwnedUserId,
    /// Which.
    pub role: SchoolRole,
    /// Who gave it, and until when.
    pub grant: LocalRole,
    /// Whether it holds now: it has not ended.
    pub in_force: bool,
}

impl Decisions {
    /// Gives a role, in force when this returns. Given again, it has the new end. Recorded as `role.grant`.
    ///
    /// # Errors
    /// `NotFound` for an unknown account, `Invalid` for people of other servers, who have left or are locked, and for
    /// an end in the past; `Conflict` when there are too many.
    pub async fn grant_role(
        &self,
        user: &UserId,
        role: SchoolRole,
        until_ms: Option<u64>,
        by: &Author,
    ) -> Result<(), SchoolError> {
        self.ends(until_ms)?;
        let _turn = self.turn.lock().await;
        let number = self.account(user).await?;
        let people = self.rules.people();
        if people.of_user(number).is_some_and(|person| people.standing(person).gone) {
            return Err(SchoolError::Invalid(format!("{user} has left the school or is locked")));
        }
        let others = self.store.prefix(&LOCAL_ROLES, &(), Order::Ascending, LOCAL_ROLES_MAX).await?;
        if others.len() >= LOCAL_ROLES_MAX {
            return Err(SchoolError::Conflict(format!("{LOCAL_ROLES_MAX} roles are given; take some back first")));
        }
        let mut batch = Batch::new();
        let grant = LocalRole { by: by.as_str().to_owned(), at_ms: self.clock.now_ms(), until_ms };
        batch.put(&LOCAL_ROLES, &(number, role.number()), &grant);
        let detail = json!({ "role": role.name(), "until_ms": until_ms });
        self.audit.stage(&mut batch, by, "role.grant", user.as_str(), &detail);
        self.store.commit(batch).await?;
        self.refresh.now().await
    }

    /// Takes a role back that was given here. Recorded as `role.revoke`.
    ///
    /// # Errors
    /// `NotFound`, also for a role that only the roster tells of.
    pub async fn revoke_role(&self, user: &UserId, role: SchoolRole, by: &Author) -> Result<(), SchoolError> {
        let _turn = self.turn.lock().await;
        let number = self.store.user(user).await?.ok_or(SchoolError::NotFound("account"))?;
        let key = (number, role.number());
        self.store.get(&LOCAL_ROLES, &key).await?.ok_or(SchoolError::NotFound("role given on this server"))?;
        let mut batch = Batch::new();
        batch.delete(&LOCAL_ROLES, &key);
        self.audit.stage(&mut batch, by, "role.revoke", user.as_str(), &json!({ "role": role.name() }));
        self.store.commit(batch).await?;
        self.refresh.now().await
    }

    /// The roles given on this server, of everybody or of one user.
    ///
    /// # Errors
    /// `NotFound` for an unknown user.
    pub async fn roles(&self, user: Option<&UserId>) -> Result<Vec<KnownRole>, SchoolError> {
        let rows = match user {
            Some(user) => {
                let number = self.store.user(user).await?.ok_or(SchoolError::NotFound("account"))?;
                self.store.prefix(&LOCAL_ROLES, &number, Order::Ascending, LOCAL_ROLES_MAX).await?
            }
            None => self.store.prefix(&LOCAL_ROLES, &(), Order::Ascending, LOCAL_ROLES_MAX).await?,
        };
        let now = self.clock.now_ms();
        let mut known = Vec::new();
        for ((number, role), grant) in rows {
            let Some(role) = SchoolRole::ALL.into_iter().find(|known| known.number() == role) else { continue };
            let in_force = grant.until_ms.is_none_or(|until| now < until);
            known.push(KnownRole { user_id: self.store.user_id(number).await?, role, grant, in_force });
        }
        Ok(known)
    }
}
