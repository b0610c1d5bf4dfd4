//! What administrators have decided, as rulings need it: in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, Guard};
use ruma::ServerName;

use crate::{
    config::{Config, Federation},
    school::{
        overrides::Overrides,
        policy::{Compiled, Settings},
    },
    store::{
        Store, StoreError,
        schema::school::{LOCAL_ROLES, POLICIES, PolicyVersion},
    },
    users::IgnoredLists,
};

/// A version of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number; 0 is what the configuration says.
    pub number: u64,
    /// The settings.
    pub settings: Settings,
    /// Who set them; `None` for the configuration.
    pub by: Option<String>,
    /// When, as Unix time in milliseconds; 0 for the configuration.
    pub at_ms: u64,
}

/// A version, ready to decide by.
#[derive(Debug)]
pub struct Policy {
    /// Which.
    pub version: Version,
    /// Its settings.
    pub compiled: Compiled,
}

/// Everything that was decided on this server about who reaches whom.
pub struct InForce {
    policy: ArcSwap<Policy>,
    pub(in crate::school) overrides: Overrides,
    pub(in crate::school) ignored: IgnoredLists,
    federation: Federation,
    /// When the next local role ends, as Unix time in milliseconds.
    role_ends_ms: AtomicU64,
}

impl InForce {
    /// Reads it, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(
        store: &Store,
        config: &Config,
        ignored: IgnoredLists,
        now_ms: u64,
    ) -> Result<Self, StoreError> {
        let in_force = Self {
            policy: ArcSwap::from_pointee(load_policy_blocking(store, config)?),
            overrides: Overrides::load_blocking(store)?,
            ignored,
            federation: config.federation.clone(),
            role_ends_ms: AtomicU64::new(u64::MAX),
        };
        in_force.look_at_roles_blocking(store, now_ms)?;
        Ok(in_force)
    }

    /// The settings in force.
    pub fn policy(&self) -> Guard<Arc<Policy>> {
        self.policy.load()
    }

    /// The same, to be kept.
    pub fn policy_full(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    pub(super) fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// Whether the administrator has named a server as one whose staff may be met. `*` names none, though
    /// federation takes it as all: whom the school trusts has to be said.
    pub fn is_listed(&self, server: &ServerName) -> bool {
        self.federation.allow.iter().any(|pattern| !pattern.is_any() && pattern.matches(server))
    }

    /// Whether the administrator has named any such server.
    pub fn names_servers(&self) -> bool {
        self.federation.allow.iter().any(|pattern| !pattern.is_any())
    }

    /// Whether there can be people of other servers.
    pub fn lists_servers(&self) -> bool {
        self.federation.is_on()
    }

    /// Notes when the next local role ends, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn look_at_roles_blocking(&self, store: &Store, now_ms: u64) -> Result<(), StoreError> {
        let mut next = u64::MAX;
        store.walk_blocking(&LOCAL_ROLES, |_, role| {
            next = next.min(role.until_ms.filter(|until| now_ms < *until).unwrap_or(u64::MAX));
            Ok(())
        })?;
        self.role_ends_ms.store(next, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a local role has ended since they were looked at.
    pub fn role_has_ended(&self, now_ms: u64) -> bool {
        self.role_ends_ms.load(Ordering::Relaxed) <= now_ms
    }
}

fn load_policy_blocking(store: &Store, config: &Config) -> Result<Policy, StoreError> {
    let mut last: Option<(u64, PolicyVersion)> = None;
    store.walk_blocking(&POLICIES, |number, row| {
        last = Some((number, row));
        Ok(())
    })?;
    if let Some((number, row)) = last {
        match Settings::read(&row.settings) {
            Ok((settings, compiled)) => {
                let version = Version { number, settings, by: Some(row.by), at_ms: row.at_ms };
                return Ok(Policy { version, compiled });
            }
            // Written by a newer server. The rules for children must not fall away with it.
            Err(problems) => {
                let problem = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
                tracing::error!(number, problem, "the policy's settings cannot be read; the preset `safe` is in force");
                let version = Version { number, settings: Settings::default(), by: Some(row.by), at_ms: row.at_ms };
                return Ok(Policy { version, compiled: Compiled::default() });
            }
        }
    }
    let settings = Settings::configured(&config.school);
    // The configuration was checked when it was read, and a test holds that both know the same switches.
    let compiled = settings.compile().unwrap_or_default();
    Ok(Policy { version: Version { number: 0, settings, by: None, at_ms: 0 }, compiled })
}
