//! The policy asked before this server accepts an event or shows a person: the school's contact rules stand behind it.
//!
//! The rule lives in a higher folder; `app.rs` hands the implementation in. Decisions come from memory, so asking is
//! not asynchronous.

use std::sync::Arc;

use ruma::{RoomId, UserId, events::TimelineEventType};
use serde_json::value::RawValue;

/// What one person wants of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To know that they exist: directory, profile, member lists.
    See,
    /// To start a direct chat.
    Dm,
    /// To ask for contact.
    Knock,
    /// To bring them into a group.
    Add,
    /// To call them.
    Call,
    /// To see whether they are online.
    Presence,
    /// To see their picture.
    Photo,
}

/// The answer, with what the refused person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// No. `reason` is the rule's id, `message` readable by a person.
    Deny {
        /// The rule's id.
        reason: String,
        /// For the person who asked.
        message: String,
    },
}

/// A room about to be made by a client.
pub struct Creation<'a> {
    /// Who makes it.
    pub creator: &'a UserId,
    /// Whom they invite.
    pub invites: &'a [ruma::OwnedUserId],
    /// Whether it is a direct chat.
    pub is_direct: bool,
}

/// An event about to be accepted.
pub struct Proposal<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Who sends it.
    pub sender: &'a UserId,
    /// Its type.
    pub kind: &'a TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<&'a str>,
    /// Its content.
    pub content: &'a RawValue,
}

/// The rules of the house. Every method allows unless told otherwise, so a server without a school is an ordinary one.
pub trait Policy: Send + Sync {
    /// May `actor` do this with `target`?
    fn decide(&self, actor: &UserId, target: &UserId, verb: Verb) -> Decision {
        let _ = (actor, target, verb);
        Decision::Allow
    }

    /// May this room be made?
    fn creation(&self, creation: &Creation<'_>) -> Decision {
        let _ = creation;
        Decision::Allow
    }

    /// May this event of a local user be accepted?
    fn event(&self, proposal: &Proposal<'_>) -> Decision {
        let _ = proposal;
        Decision::Allow
    }
}

/// The policy of a server without a school.
pub struct Neutral;

impl Policy for Neutral {}

/// A policy as it is handed around.
pub type SharedPolicy = Arc<dyn Policy>;

impl Decision {
    /// Turns a denial into the error the caller reports.
    ///
    /// # Errors
    /// The denial.
    pub fn check(self) -> Result<(), super::RoomsError> {
        match self {
            Self::Allow => Ok(()),
            Self::Deny { reason, message } => Err(super::RoomsError::Policy { message, reason }),
        }
    }
}
