//! The school's rooms, and who asks whom for one.

use serde::{Deserialize, Serialize};

use crate::store::{
    Position, RoomNo, UserNo,
    codec::{Table, record},
};

/// Rooms that the school made, and the chats of two that people made under its rules.
pub static ROOM_LINKS: Table<RoomNo, RoomLink> = Table::rows(165, "school_room_links");
/// The room of an object: [`RoomKind::number`] and the object's key as text.
pub static OBJECT_ROOMS: Table<(u8, String), RoomNo> = Table::rows(166, "school_object_rooms");
/// What a room was last made to be, as a SHA-256: a room that is to be the same again is not looked at.
pub static ROOM_APPLIED: Table<RoomNo, [u8; 32]> = Table::rows(168, "school_room_applied");
/// How far the announcements of a room have been sent on: the order of the last event.
pub static ROOM_SENT_ON: Table<RoomNo, Position> = Table::rows(169, "school_room_sent_on");
/// What somebody has to look after, by number.
pub static TASKS: Table<u64, Task> = Table::rows(167, "school_tasks");
/// Requests for contact, by number.
pub static KNOCKS: Table<u64, Knock> = Table::rows(170, "school_knocks");
/// Those of each person, both of who asks and of who is asked.
pub static USER_KNOCKS: Table<(UserNo, u64), ()> = Table::rows(171, "school_user_knocks");

/// What a room of the school is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// The space of an organisation.
    SchoolSpace,
    /// The space of a year.
    YearSpace,
    /// The space of a homeroom.
    ClassSpace,
    /// A class.
    Class,
    /// Announcements to one family of a homeroom, or to all of them where the school lets guardians meet.
    ClassFamily,
    /// A pupil's adults and the tutor.
    Family,
    /// The staff of an organisation.
    Staff,
    /// A department.
    Department,
    /// Announcements to a whole organisation.
    Announce,
    /// A pupil, an adult, and others who watch over it.
    Supervised,
    /// A chat of two that they made for themselves, and that is theirs. Not in [`OBJECT_ROOMS`]: two may have several.
    Direct,
}

impl RoomKind {
    /// Its number in keys. Never changes.
    pub fn number(self) -> u8 {
        match self {
            Self::SchoolSpace => 0,
            Self::YearSpace => 1,
            Self::ClassSpace => 2,
            Self::Class => 3,
            Self::ClassFamily => 4,
            Self::Family => 5,
            Self::Staff => 6,
            Self::Department => 7,
            Self::Announce => 8,
            Self::Supervised => 9,
            Self::Direct => 10,
        }
    }

    /// Whether it is a space.
    pub fn is_space(self) -> bool {
        matches!(self, Self::SchoolSpace | Self::YearSpace | Self::ClassSpace)
    }
}

/// What a room of the school belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomLink {
    /// What it is for.
    pub kind: RoomKind,
    /// The object's key as text, as in [`OBJECT_ROOMS`].
    pub object: String,
    /// Read-only, because its invariant is broken or its object is gone.
    pub frozen: bool,
    /// Its year is over.
    pub archived: bool,
    /// An administrator, or a rule that has become tighter, keeps it frozen until an administrator opens it.
    pub held: bool,
}

/// Something that a person has to look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What happened: a short word.
    pub kind: String,
    /// The room, if it is about one.
    pub room: Option<RoomNo>,
    /// Whose it is; administrators see all.
    pub assignee: Option<UserNo>,
    /// For people.
    pub text: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it was done.
    pub done_ms: Option<u64>,
}

/// How far a request for contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnockState {
    /// It waits for an answer.
    Open,
    /// The other agreed; there is a room.
    Accepted,
    /// The other declined.
    Declined,
    /// Who asked took it back.
    Withdrawn,
    /// The other declined, and who asked took it back without knowing.
    DeclinedAndWithdrawn,
}

/// A request for contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    /// Who asks.
    pub from: UserNo,
    /// Whom.
    pub to: UserNo,
    /// What it is about.
    pub text: String,
    /// How far it is.
    pub state: KnockState,
    /// The room that came of it.
    pub room: Option<RoomNo>,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it was answered.
    pub answered_ms: Option<u64>,
}

record!(RoomLink, Task, Knock);
