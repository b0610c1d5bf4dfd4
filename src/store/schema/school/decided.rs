//! What administrators decide on this server, and the record of what they did. No import writes here.

use serde::{Deserialize, Serialize};

use crate::store::{
    UserNo,
    codec::{Table, record},
};

/// Roles given on this server, by account and [`SchoolRole::number`].
pub static LOCAL_ROLES: Table<(UserNo, u8), LocalRole> = Table::rows(155, "school_local_roles");
/// Decisions about one pair of people and one verb, by number.
pub static OVERRIDES: Table<u64, Override> = Table::rows(156, "school_overrides");
/// What this server says of a pupil (first) and an adult, whatever the roster says.
pub static LINK_DECISIONS: Table<(UserNo, UserNo), LinkDecision> = Table::rows(157, "school_link_decisions");
/// Every version of the policy's settings: a JSON object as text.
pub static POLICIES: Table<u64, PolicyVersion> = Table::rows(158, "school_policies");
/// Administrative writes, by number.
pub static AUDIT: Table<u64, AuditRecord> = Table::rows(175, "school_audit");

/// A role given on this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRole {
    /// Who gave it: a user id, or `console` for the command line.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it ends; `None` for until it is taken back.
    pub until_ms: Option<u64>,
}

/// What an override says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideEffect {
    /// It is allowed.
    Allow,
    /// It is allowed with other adults present.
    Supervised,
    /// It is denied.
    Deny,
}

/// A decision about one pair of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Who acts.
    pub actor: UserNo,
    /// On whom.
    pub target: UserNo,
    /// What: a name of `rooms::policy::Verb`, or `None` for every verb.
    pub verb: Option<String>,
    /// The decision.
    pub effect: OverrideEffect,
    /// Why, for the audit.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it ends; `None` for until it is taken back.
    pub until_ms: Option<u64>,
}

/// What this server says of a pupil and an adult. `None` leaves it to the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDecision {
    /// Whether the school deals with the adult about the pupil.
    pub contact: Option<bool>,
    /// Whether the two must be kept apart.
    pub isolated: Option<bool>,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// A version of the policy's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The settings: a JSON object as text.
    pub settings: String,
    /// Who set them.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// An administrative write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Who: a user id, or `console` for the command line.
    pub by: String,
    /// What was done: a short word such as `override.add`.
    pub action: String,
    /// To whom or what.
    pub object: String,
    /// More: a JSON object as text, without anything secret.
    pub detail: String,
}

record!(LocalRole, Override, LinkDecision, PolicyVersion, AuditRecord);
