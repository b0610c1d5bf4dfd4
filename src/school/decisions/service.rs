//! What administrators decide, written down with its record and in force when the call returns.

use std::sync::Arc;

use ruma::UserId;
use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    school::{Rules, SERVICE_LOCALPART, SchoolError, audit::Audit, imports::Refresh, sequence::Sequence},
    store::{
        Store, UserNo,
        schema::{school::OVERRIDES, users::ACCOUNTS},
    },
};

/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1000;

/// Overrides, local roles, decisions about links, and the policy's settings. Cheap to clone.
#[derive(Clone)]
pub struct Decisions {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) rules: Arc<Rules>,
    pub(super) audit: Audit,
    pub(super) refresh: Refresh,
    /// Numbers of overrides.
    pub(super) numbers: Sequence,
    /// One decision at a time: each is made from what is in force.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Decisions {
    pub(in crate::school) async fn load(
        store: Store,
        clock: Clock,
        rules: Arc<Rules>,
        audit: Audit,
        refresh: Refresh,
    ) -> Result<Self, SchoolError> {
        let numbers = Sequence::load(&store, &OVERRIDES).await?;
        Ok(Self { store, clock, rules, audit, refresh, numbers, turn: Arc::default() })
    }

    /// The account of somebody about whom something can be decided.
    pub(super) async fn account(&self, user: &UserId) -> Result<UserNo, SchoolError> {
        if user.server_name() != self.rules.server() {
            return Err(SchoolError::Invalid(format!("{user} is a user of another server")));
        }
        if user.localpart() == SERVICE_LOCALPART {
            return Err(SchoolError::Invalid("the school's own account follows no rules".to_owned()));
        }
        let number = self.store.user(user).await?.ok_or(SchoolError::NotFound("account"))?;
        let account = self.store.get(&ACCOUNTS, &number).await?.ok_or(SchoolError::NotFound("account"))?;
        if account.deactivated {
            return Err(SchoolError::Invalid(format!("the account of {user} is closed")));
        }
        Ok(number)
    }

    /// The time something ends has to be ahead.
    pub(super) fn ends(&self, until_ms: Option<u64>) -> Result<(), SchoolError> {
        if until_ms.is_some_and(|until| until <= self.clock.now_ms()) {
            return Err(SchoolError::Invalid("the end lies in the past".to_owned()));
        }
        Ok(())
    }
}

/// Why something is decided has to be said, in a few words.
pub(super) fn reasoned(reason: &str) -> Result<String, SchoolError> {
    match reason.trim() {
        "" => Err(SchoolError::Invalid("a reason has to be given".to_owned())),
        text if text.len() > REASON_BYTES_MAX => {
            Err(SchoolError::Invalid(format!("a reason has at most {REASON_BYTES_MAX} bytes")))
        }
        text => Ok(text.to_owned()),
    }
}
