//! Push rules: which events notify a user (specification v1.19, "Push rules").
//!
//! Users who never changed theirs have the default rules and nothing stored. Changed rules are global account data of
//! the type `m.push_rules`; default rules that a newer server knows are added when they are read.

mod follow;

use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::{
    UserId,
    push::{
        Action, AnyPushRuleRef, InsertPushRuleError, NewPushRule, RemovePushRuleError, RuleKind, RuleNotFoundError,
        Ruleset,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{AccountData, UsersError, account_data::PUSH_RULES};
use crate::store::{Batch, Store, UserNo};

/// Rulesets kept in memory, at about 8 KiB each.
const RULESETS_CACHED: usize = 2_000;

/// Rules of their own that one user may have, of all kinds together: all of them may be tried on each event.
const RULES_MAX: usize = 2_000;

/// Bytes of a rule's id.
const RULE_ID_BYTES_MAX: usize = 512;

/// The content of `m.push_rules`.
#[derive(Serialize, Deserialize)]
struct Content<R> {
    global: R,
}

/// Why a change of push rules was refused.
#[derive(Debug, thiserror::Error)]
pub enum PushRulesError {
    /// The rule, or the one to put it before or after, does not exist (404 `M_NOT_FOUND`).
    #[error("there is no such push rule")]
    NotFound,
    /// The change is impossible (400 `M_INVALID_PARAM`).
    #[error("{0}")]
    Invalid(String),
    /// Something that is not about push rules.
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl From<RuleNotFoundError> for PushRulesError {
    fn from(_: RuleNotFoundError) -> Self {
        Self::NotFound
    }
}

impl From<RemovePushRuleError> for PushRulesError {
    fn from(error: RemovePushRuleError) -> Self {
        match error {
            RemovePushRuleError::NotFound => Self::NotFound,
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<InsertPushRuleError> for PushRulesError {
    fn from(error: InsertPushRuleError) -> Self {
        match error {
            InsertPushRuleError::UnknownRuleId => Self::NotFound,
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// Reads and changes push rules. Cheap to clone.
#[derive(Clone)]
pub struct PushRules {
    store: Store,
    account_data: AccountData,
    rulesets: Arc<Cache<UserNo, Arc<Ruleset>>>,
}

impl PushRules {
    pub(super) fn new(store: Store, account_data: AccountData) -> Self {
        Self { store, account_data, rulesets: Arc::new(Cache::new(RULESETS_CACHED)) }
    }

    /// The rules of a user, ready to be evaluated.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ruleset(&self, user: UserNo) -> Result<Arc<Ruleset>, UsersError> {
        self.rulesets.get_or_insert_async(&user, async { self.read(user).await.map(Arc::new) }).await
    }

    /// The content of `m.push_rules`, as clients see it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn content(&self, user: UserNo) -> Result<Box<RawValue>, UsersError> {
        content(&*self.ruleset(user).await?)
    }

    /// Adds a rule, or changes one, and puts it after or before another one of the user.
    ///
    /// # Errors
    /// [`PushRulesError`].
    pub async fn insert(
        &self,
        user: UserNo,
        rule: NewPushRule,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<(), PushRulesError> {
        let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
        if id.is_empty() || id.len() > RULE_ID_BYTES_MAX {
            return Err(PushRulesError::Invalid("a rule's id has 1 to 512 bytes".to_owned()));
        }
        if [after, before].contains(&Some(id.as_str())) {
            return Err(PushRulesError::Invalid("a rule cannot be put before or after itself".to_owned()));
        }
        self.change(user, |rules| {
            let known = rules.get(kind.clone(), &id).map(AnyPushRuleRef::enabled);
            // A rule that moves is taken out first, so that positions count the others only.
            if known.is_some() && (after.is_some() || before.is_some()) && !id.starts_with('.') {
                rules.remove(kind.clone(), &id)?;
            }
            rules.insert(rule, after, before)?;
            if let Some(enabled) = known {
                rules.set_enabled(kind, &id, enabled)?;
            }
            if rules.iter().count() > RULES_MAX {
                return Err(PushRulesError::Invalid("there are too many push rules".to_owned()));
            }
            Ok(())
        })
        .await
    }

    /// Removes a rule of the user's own.
    ///
    /// # Errors
    /// [`PushRulesError`].
    pub async fn remove(&self, user: UserNo, kind: RuleKind, id: &str) -> Result<(), PushRulesError> {
        self.change(user, |rules| Ok(rules.remove(kind, id)?)).await
    }

    /// Switches a rule on or off.
    ///
    /// # Errors
    /// [`PushRulesError::NotFound`].
    pub async fn set_enabled(
        &self,
        user: UserNo,
        kind: RuleKind,
        id: &str,
        enabled: bool,
    ) -> Result<(), PushRulesError> {
        self.change(user, |rules| Ok(rules.set_enabled(kind, id, enabled)?)).await
    }

    /// Sets what a rule does.
    ///
    /// # Errors
    /// [`PushRulesError::NotFound`].
    pub async fn set_actions(
        &self,
        user: UserNo,
        kind: RuleKind,
        id: &str,
        actions: Vec<Action>,
    ) -> Result<(), PushRulesError> {
        self.change(user, |rules| Ok(rules.set_actions(kind, id, actions)?)).await
    }

    async fn change(
        &self,
        user: UserNo,
        change: impl FnOnce(&mut Ruleset) -> Result<(), PushRulesError>,
    ) -> Result<(), PushRulesError> {
        let _guard = self.account_data.lock(user).await;
        let mut rules = self.read(user).await?;
        change(&mut rules)?;
        let mut batch = Batch::new();
        self.account_data.stage(&mut batch, user, None, PUSH_RULES, &content(&rules)?).await?;
        let rulesets = self.rulesets.clone();
        batch.on_publish(move |_| {
            rulesets.remove(&user);
        });
        self.store.commit(batch).await.map_err(UsersError::from)?;
        Ok(())
    }

    async fn read(&self, user: UserNo) -> Result<Ruleset, UsersError> {
        let stored = self.account_data.get(user, None, PUSH_RULES).await?;
        let user_id = self.store.user_id(user).await?;
        Ok(effective(stored.as_deref(), &user_id))
    }
}

/// The rules that a user has: what is stored, brought up to the default rules of this server.
pub(super) fn effective(stored: Option<&RawValue>, user_id: &UserId) -> Ruleset {
    let default = Ruleset::server_default(user_id);
    let stored: Option<Content<Ruleset>> = stored.and_then(|content| serde_json::from_str(content.get()).ok());
    match stored {
        Some(Content { global: mut rules }) => {
            rules.update_with_server_default(default);
            rules
        }
        None => default,
    }
}

/// Rules as the content of `m.push_rules`. Kinds without rules are empty lists: clients index into all five.
pub(super) fn content(rules: &Ruleset) -> Result<Box<RawValue>, UsersError> {
    let mut global = serde_json::Map::new();
    for kind in ["content", "override", "room", "sender", "underride"] {
        global.insert(kind.to_owned(), serde_json::Value::Array(Vec::new()));
    }
    let unwritable = |_| UsersError::Internal("push rules cannot be written");
    if let serde_json::Value::Object(kinds) = serde_json::to_value(rules).map_err(unwritable)? {
        global.extend(kinds);
    }
    serde_json::value::to_raw_value(&Content { global }).map_err(unwritable)
}

#[cfg(test)]
mod tests;
