//! Overrides: decisions about one person, another one and a verb, for a time or for good.

use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::service::{Decisions, reasoned};
use crate::{
    rooms::policy::Verb,
    school::{SchoolError, audit::Author, overrides::OVERRIDES_MAX},
    store::{
        Batch, Order,
        schema::school::{OVERRIDES, Override, OverrideEffect},
    },
};

/// An override to be made.
#[derive(Debug, Clone)]
pub struct NewOverride {
    /// Who acts.
    pub actor: OwnedUserId,
    /// On whom. The other direction is another override.
    pub target: OwnedUserId,
    /// What; `None` for everything.
    pub verb: Option<Verb>,
    /// What holds from now on. `Supervised` is for `dm`, `call` and everything.
    pub effect: OverrideEffect,
    /// Why, for the record.
    pub reason: String,
    /// When it ends, as Unix time in milliseconds.
    pub until_ms: Option<u64>,
}

/// An override with the people's ids.
#[derive(Debug, Clone)]
pub struct KnownOverride {
    /// Its number.
    pub number: u64,
    /// Who acts.
    pub actor: OwnedUserId,
    /// On whom.
    pub target: OwnedUserId,
    /// The rest of it.
    pub row: Override,
    /// Whether it holds now: it has not ended.
    pub in_force: bool,
}

impl Decisions {
    /// Makes an override, which is in force when this returns. Its number is the answer. Recorded as `override.add`.
    ///
    /// # Errors
    /// `Invalid` for people of other servers, a pair that is always denied, an end in the past or a missing reason;
    /// `NotFound` for unknown accounts; `Conflict` when there are too many.
    pub async fn add_override(&self, new: &NewOverride, by: &Author) -> Result<u64, SchoolError> {
        let reason = reasoned(&new.reason)?;
        self.ends(new.until_ms)?;
        if new.effect == OverrideEffect::Supervised && !matches!(new.verb, None | Some(Verb::Dm | Verb::Call)) {
            return Err(SchoolError::Invalid("only dm and call can be supervised".to_owned()));
        }
        let _turn = self.turn.lock().await;
        let (actor, target) = (self.account(&new.actor).await?, self.account(&new.target).await?);
        if actor == target {
            return Err(SchoolError::Invalid("people may always do everything with themselves".to_owned()));
        }
        let rule = self.rules.ruling(&new.actor, &new.target, Verb::See).rule;
        if new.effect != OverrideEffect::Deny && rule.starts_with("hard.") {
            return Err(SchoolError::Invalid(format!("{rule} forbids this, whatever is decided here")));
        }
        let mut batch = Batch::new();
        let ended = self.stage_ended(&mut batch).await?;
        let number = self.numbers.next();
        let row = Override {
            actor,
            target,
            verb: new.verb.map(|verb| verb.name().to_owned()),
            effect: new.effect,
            reason: reason.clone(),
            by: by.as_str().to_owned(),
            at_ms: self.clock.now_ms(),
            until_ms: new.until_ms,
        };
        batch.put(&OVERRIDES, &number, &row);
        let detail = json!({
            "number": number, "target": new.target, "verb": row.verb, "effect": new.effect, "reason": reason,
            "until_ms": new.until_ms,
        });
        self.audit.stage(&mut batch, by, "override.add", new.actor.as_str(), &detail);
        self.store.commit(batch).await?;
        let overrides = &self.rules.in_force().overrides;
        overrides.remove(&ended);
        overrides.put(number, &row);
        self.rules.touch();
        Ok(number)
    }

    /// Takes an override back. Recorded as `override.remove`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_override(&self, number: u64, by: &Author) -> Result<(), SchoolError> {
        let _turn = self.turn.lock().await;
        let row = self.store.get(&OVERRIDES, &number).await?.ok_or(SchoolError::NotFound("override"))?;
        let (actor, target) = (self.store.user_id(row.actor).await?, self.store.user_id(row.target).await?);
        let mut batch = Batch::new();
        batch.delete(&OVERRIDES, &number);
        let detail = json!({ "number": number, "target": target, "verb": row.verb, "effect": row.effect });
        self.audit.stage(&mut batch, by, "override.remove", actor.as_str(), &detail);
        self.store.commit(batch).await?;
        self.rules.in_force().overrides.remove(&[number]);
        self.rules.touch();
        Ok(())
    }

    /// At most `limit` overrides with a number below `before`, newest first; only those about `user`, if one is given.
    ///
    /// # Errors
    /// `NotFound` for an unknown user.
    pub async fn overrides(
        &self,
        user: Option<&UserId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<KnownOverride>, SchoolError> {
        let wanted = match user {
            Some(user) => Some(self.store.user(user).await?.ok_or(SchoolError::NotFound("account"))?),
            None => None,
        };
        let rows = self
            .store
            .range(&OVERRIDES, &0_u64, &before.unwrap_or(u64::MAX), Order::Descending, OVERRIDES_MAX + 1)
            .await?;
        let now = self.clock.now_ms();
        let about = |row: &Override| wanted.is_none_or(|user| row.actor == user || row.target == user);
        let mut known = Vec::new();
        for (number, row) in rows.into_iter().filter(|(_, row)| about(row)).take(limit) {
            known.push(KnownOverride {
                number,
                actor: self.store.user_id(row.actor).await?,
                target: self.store.user_id(row.target).await?,
                in_force: row.until_ms.is_none_or(|until| now < until),
                row,
            });
        }
        Ok(known)
    }

    /// Deletes what has ended, so that only what somebody still wants counts against the bound. The record keeps it.
    async fn stage_ended(&self, batch: &mut Batch) -> Result<Vec<u64>, SchoolError> {
        let now = self.clock.now_ms();
        let rows = self.store.range(&OVERRIDES, &0_u64, &u64::MAX, Order::Ascending, OVERRIDES_MAX + 1).await?;
        let count = rows.len();
        let ended = rows.into_iter().filter(|(_, row)| row.until_ms.is_some_and(|until| until <= now));
        let ended: Vec<u64> = ended.map(|(number, _)| number).collect();
        if count - ended.len() >= OVERRIDES_MAX {
            return Err(SchoolError::Conflict(format!("there are {OVERRIDES_MAX} overrides; take some back first")));
        }
        for number in &ended {
            batch.delete(&OVERRIDES, number);
        }
        Ok(ended)
    }
}
