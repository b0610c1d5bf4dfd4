//! The policy's settings: read, changed, and tried out.

use std::sync::Arc;

use serde_json::json;

use super::{
    in_force::{Policy, Version},
    preview::{Preview, preview},
    service::Decisions,
};
use crate::{
    school::{
        SchoolError,
        audit::Author,
        policy::{Compiled, Settings},
    },
    store::{
        Batch, Order,
        schema::school::{POLICIES, PolicyVersion},
    },
};

/// The largest settings, in bytes of JSON.
const SETTINGS_BYTES_MAX: usize = 256 * 1024;

impl Decisions {
    /// The settings in force, with their version.
    pub fn policy(&self) -> Arc<Policy> {
        self.rules.in_force().policy_full()
    }

    /// At most `limit` earlier and present versions with a number below `before`, newest first. Version 0, the
    /// configuration, is not among them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn policy_versions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, PolicyVersion)>, SchoolError> {
        let before = before.unwrap_or(u64::MAX);
        Ok(self.store.range(&POLICIES, &0_u64, &before, Order::Descending, limit).await?)
    }

    /// Sets new settings, in force when this returns; the answer is their version. `expected` is the version they were
    /// made from. Recorded as `policy.set`.
    ///
    /// # Errors
    /// `Conflict` when another version is in force by now; `Invalid` with everything that is wrong with them.
    pub async fn set_policy(&self, settings: &Settings, expected: u64, by: &Author) -> Result<u64, SchoolError> {
        let compiled = checked(settings)?;
        let text = serde_json::to_string(settings).map_err(|error| SchoolError::Failed(error.to_string()))?;
        if text.len() > SETTINGS_BYTES_MAX {
            return Err(SchoolError::Invalid(format!("settings have at most {SETTINGS_BYTES_MAX} bytes")));
        }
        let _turn = self.turn.lock().await;
        let current = self.policy().version.number;
        if current != expected {
            return Err(SchoolError::Conflict(format!("version {current} is in force by now, not {expected}")));
        }
        let (number, at_ms) = (current + 1, self.clock.now_ms());
        let row = PolicyVersion { settings: text, by: by.as_str().to_owned(), at_ms };
        let mut batch = Batch::new();
        batch.put(&POLICIES, &number, &row);
        let detail = json!({ "version": number, "settings": settings });
        self.audit.stage(&mut batch, by, "policy.set", &number.to_string(), &detail);
        self.store.commit(batch).await?;
        let version = Version { number, settings: settings.clone(), by: Some(row.by), at_ms };
        self.rules.in_force().set_policy(Policy { version, compiled });
        self.rules.touch();
        Ok(number)
    }

    /// What would change with other settings: whom people see and write to, counted over all pairs of a small school
    /// and over a sample of a large one, with at most `examples` of them. The same question has the same answer.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with the settings.
    pub async fn preview_policy(&self, settings: &Settings, examples: usize) -> Result<Preview, SchoolError> {
        let compiled = checked(settings)?;
        let rules = self.rules.clone();
        let work = tokio::task::spawn_blocking(move || preview(&rules, &compiled, examples));
        work.await.map_err(SchoolError::task)
    }
}

fn checked(settings: &Settings) -> Result<Compiled, SchoolError> {
    settings.compile().map_err(|problems| {
        let texts: Vec<String> =
            problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        SchoolError::Invalid(texts.join("; "))
    })
}
