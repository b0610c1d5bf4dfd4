//! The policy asked before this server accepts an event or shows a person: the school's contact rules stand behind it.
//!
//! The rules live in a higher folder; `app.rs` hands the implementation in. Decisions come from memory, so asking is
//! not asynchronous. Who may not know of a person is answered as if there were none: [`Denial::hidden`].

use std::sync::Arc;

use ruma::{OwnedUserId, RoomId, UserId, events::TimelineEventType};
use serde_json::value::RawValue;

use super::{RoomsError, room::RoomView};
use crate::store::RoomNo;

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

impl Verb {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::See, Self::Dm, Self::Knock, Self::Add, Self::Call, Self::Presence, Self::Photo];

    /// Its name in the API and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Dm => "dm",
            Self::Knock => "knock",
            Self::Add => "add",
            Self::Call => "call",
            Self::Presence => "presence",
            Self::Photo => "photo",
        }
    }

    /// The verb of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// Beginnings of the types of events that show a page from elsewhere in a room. Clients begin calls that way too.
const WIDGETS: [&str; 2] = ["im.vector.modular.widgets", "m.widget"];

/// Beginnings of the types of events that belong to calls, finished proposals and such as clients use today.
const CALLS: [&str; 7] = [
    "m.call",
    "m.rtc.",
    "org.matrix.call.",
    "org.matrix.msc3401.",
    "org.matrix.msc4075.",
    "org.matrix.msc4143.",
    "org.matrix.msc4310.",
];

/// Whether events and messages of a type belong to calls, or may begin one.
pub fn is_call(event_type: &str) -> bool {
    CALLS.iter().any(|prefix| event_type.starts_with(prefix)) || is_widget(event_type)
}

/// Whether events of a type show a page from elsewhere.
pub fn is_widget(event_type: &str) -> bool {
    WIDGETS.iter().any(|prefix| event_type.starts_with(prefix))
}

/// Why something is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The rule's id, for clients that know it (`org.homeroom.reason`).
    pub reason: String,
    /// For the person who asked.
    pub message: String,
    /// Who asked may not know of the other: the answer has to be that for a user who does not exist.
    pub hidden: bool,
}

impl From<Denial> for RoomsError {
    fn from(denial: Denial) -> Self {
        if denial.hidden { Self::NoUser } else { Self::Policy { message: denial.message, reason: denial.reason } }
    }
}

/// Allowed, or why not.
pub type Decision = Result<(), Denial>;

/// A room about to be made by a client.
pub struct Creation<'a> {
    /// Who makes it.
    pub creator: &'a UserId,
    /// Whom they invite.
    pub invites: &'a [OwnedUserId],
    /// Whether it is a direct chat.
    pub is_direct: bool,
    /// Whether anybody could join or find it: a public preset, or published.
    pub is_public: bool,
    /// The room it replaces, whose members are asked to follow.
    pub replaces: Option<(RoomNo, &'a RoomView)>,
}

/// The key of `m.room.create` under which a room made under [`Terms::Family`] says `family`.
pub const TERMS: &str = "org.homeroom.terms";

/// What a new room has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// What its creator wants.
    Ordinary,
    /// A room in which pupils or guardians are: it never leaves this server, has no encryption, and shows its history
    /// only from the moment of joining. What the client asked for otherwise is dropped, not refused.
    Family,
}

/// An event of a local user about to be added to a room, whose lock is held.
pub struct Proposal<'a> {
    /// The room's number.
    pub room: RoomNo,
    /// The room's id.
    pub room_id: &'a RoomId,
    /// The room as it is before the event.
    pub view: &'a RoomView,
    /// The room is being made, and this is one of its first events.
    pub new: bool,
    /// Whether the room has encryption; only set for member events.
    pub encrypted: bool,
    /// Whether the room lets guests in; only set for member events.
    pub guests: bool,
    /// Who sends it.
    pub sender: &'a UserId,
    /// Its type.
    pub kind: &'a TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<&'a str>,
    /// Its content.
    pub content: &'a RawValue,
    /// The display name in the profile of whom a member event is about; only set for these.
    pub name: Option<&'a str>,
    /// The content of the state that it would replace.
    pub before: Option<&'a RawValue>,
}

/// A room that somebody who is not in it might be shown.
pub struct Shown<'a> {
    /// Who would see it; `None` for somebody who has not signed in.
    pub viewer: Option<&'a UserId>,
    /// The room's number.
    pub room: RoomNo,
    /// The room.
    pub view: &'a RoomView,
}

/// A room about to get an alias or a place in the directory.
pub struct Publication<'a> {
    /// Who wants it.
    pub actor: &'a UserId,
    /// The room's number.
    pub room: RoomNo,
    /// The room.
    pub view: &'a RoomView,
}

/// The rules of the house. Every method allows unless told otherwise, so a server without a school is an ordinary one.
pub trait Policy: Send + Sync {
    /// May `actor` do this with `target`? A chat that needs other adults in it is not allowed here: the school makes
    /// it another way.
    fn decide(&self, actor: &UserId, target: &UserId, verb: Verb) -> Decision {
        let _ = (actor, target, verb);
        Ok(())
    }

    /// May `actor` invite people of whom only an e-mail address is known, whoever they turn out to be? Who that is, is asked
    /// about once it is known.
    fn by_address(&self, actor: &UserId) -> Decision {
        let _ = actor;
        Ok(())
    }

    /// May this room be made, and as what? The invitations are asked about one by one besides.
    fn creation(&self, creation: &Creation<'_>) -> Result<Terms, Denial> {
        let _ = creation;
        Ok(Terms::Ordinary)
    }

    /// May this event of a local user be added? Asked for every event, under the room's lock.
    fn event(&self, proposal: &Proposal<'_>) -> Decision {
        let _ = proposal;
        Ok(())
    }

    /// May somebody who is not in a room be shown that it exists: in the directory, in a space, by its alias?
    fn shows_room(&self, shown: &Shown<'_>) -> bool {
        let _ = shown;
        true
    }

    /// May a room get an alias, or a place in the directory?
    fn publication(&self, publication: &Publication<'_>) -> Decision {
        let _ = publication;
        Ok(())
    }

    /// Whether those who are in a room know of each other by that. Of a room that is only kept to be read they do not.
    fn is_company(&self, room: RoomNo) -> bool {
        let _ = room;
        true
    }

    /// Whether a user's picture stands in their member events, which everybody in a room reads.
    fn shows_picture(&self, user: &UserId) -> bool {
        let _ = user;
        true
    }

    /// Whether there are rules at all: `false` spares the walks that only they need.
    fn is_active(&self) -> bool {
        false
    }
}

/// The policy of a server without a school.
pub struct Neutral;

impl Policy for Neutral {}

/// A policy as it is handed around.
pub type SharedPolicy = Arc<dyn Policy>;
