//! Imports: what they read, plan and change.

use serde::{Deserialize, Serialize};

use super::Change;
use crate::store::codec::{Table, record};

/// What is known of each source, by its name.
pub static SOURCES: Table<String, Source> = Table::rows(153, "school_sources");
/// Imports, by number.
pub static IMPORTS: Table<u64, Import> = Table::rows(160, "school_imports");
/// What an import changes, in the order it is applied: import, number from 0.
pub static IMPORT_CHANGES: Table<(u64, u64), Change> = Table::rows(161, "school_import_changes");
/// What was wrong with an import's files: import, number from 0; a JSON object as text.
pub static IMPORT_PROBLEMS: Table<(u64, u64), String> = Table::rows(162, "school_import_problems");
/// What an import does in short, by its number: a JSON object as text.
pub static IMPORT_SUMMARIES: Table<u64, String> = Table::rows(163, "school_import_summaries");

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// Its files have errors; nothing was applied.
    Refused,
    /// Nothing was wrong, and nothing is applied: the changes can be looked at.
    Planned,
    /// It would remove so much that somebody has to confirm it.
    Held,
    /// It is being applied; after a crash it goes on.
    Applying,
    /// It is in force.
    Applied,
    /// It is being undone; after a crash that goes on.
    RollingBack,
    /// It was undone.
    RolledBack,
    /// Somebody dropped it, or another import made its plan untrue.
    Discarded,
}

impl ImportState {
    /// Its name in the API: `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Planned => "planned",
            Self::Held => "held",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Discarded => "discarded",
        }
    }
}

/// How many objects an import touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New ones.
    pub created: u64,
    /// Changed ones.
    pub updated: u64,
    /// Removed ones.
    pub removed: u64,
    /// Errors in the files.
    pub errors: u64,
    /// Warnings about the files.
    pub warnings: u64,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Whose rows it touches.
    pub source: String,
    /// What it was read from, such as `oneroster-1.2`.
    pub format: String,
    /// Whether it tells only what changed.
    pub delta: bool,
    /// The SHA-256 of its files.
    pub sha256: [u8; 32],
    /// How far it is.
    pub state: ImportState,
    /// Its size.
    pub counts: Counts,
    /// Changes applied so far, or, while rolling back, still in force.
    pub done: u64,
    /// Why it is held: texts for the administrator.
    pub holds: Vec<String>,
    /// The number of the last change to this source's rows that the plan was made against.
    pub base: u64,
    /// Who imports.
    pub by: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// When its state changed last.
    pub changed_ms: u64,
}

/// What is known of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Grows whenever its rows begin or have ended to change.
    pub version: u64,
    /// The imports in force that can be undone, newest last.
    pub applied: Vec<u64>,
    /// The SHA-256 of the files that made the rows what they are; `None` when they were changed otherwise since.
    pub sha256: Option<[u8; 32]>,
    /// The version of the server that read those files: another may read them otherwise.
    pub reader: String,
}

record!(Import, Source);
