//! Tables of events, rooms and what belongs to them (tags 20–59).

use serde::{Deserialize, Serialize};

use super::super::{
    EventNo, Position, RoomNo, UserNo,
    codec::{Table, record},
    events::StoredEvent,
};

/// An event: its header and its canonical JSON.
pub(crate) static EVENTS: Table<(RoomNo, EventNo), StoredEvent> = Table::events(20, "events");
/// Event id to the event's place.
pub static EVENT_IDS: Table<String, (RoomNo, EventNo)> = Table::rows(21, "event_ids");
/// A room's events in the order this server serves them: live ones at their stream position, history fetched later
/// at negative numbers. Rejected and soft-failed events are not here.
pub static TIMELINE: Table<(RoomNo, i64), EventNo> = Table::rows(22, "timeline");
/// Nodes of the state trees, by content.
pub static STATE_NODES: Table<[u8; 16], Vec<u8>> = Table::rows(23, "state_nodes");
/// What is known of a room besides its events.
pub static ROOMS: Table<RoomNo, RoomRecord> = Table::rows(24, "rooms");
/// Current membership by room, and by user.
pub static MEMBERS: Table<(RoomNo, UserNo), MemberRecord> = Table::rows(25, "members");
/// The same rows by user.
pub static USER_ROOMS: Table<(UserNo, RoomNo), MemberRecord> = Table::rows(26, "user_rooms");
/// Children of an event: (room, parent, relation type, child's order) to the child.
pub static RELATIONS: Table<(RoomNo, EventNo, String, i64), EventNo> = Table::rows(27, "relations");
/// Who reacted how, to refuse the same twice: (room, parent, sender, event type and key joined by NUL).
pub static ANNOTATIONS: Table<(RoomNo, EventNo, UserNo, String), EventNo> = Table::rows(28, "annotations");
/// Thread roots by the order of the newest reply: (room, order) to (root); and where a root stands now.
pub static THREADS: Table<(RoomNo, i64), EventNo> = Table::rows(29, "threads");
/// The order under which a thread root is listed in [`THREADS`].
pub static THREAD_ORDER: Table<(RoomNo, EventNo), i64> = Table::rows(30, "thread_order");
/// Receipts: (room, user, receipt type and thread joined by NUL).
pub static RECEIPTS: Table<(RoomNo, UserNo, String), ReceiptRecord> = Table::rows(31, "receipts");
/// The same by when they changed: (room, position) to (user, type and thread).
pub static RECEIPT_LOG: Table<(RoomNo, Position), (UserNo, String)> = Table::rows(32, "receipt_log");
/// What a client's transaction made: (user, device, path) to the event.
pub static TRANSACTIONS: Table<(UserNo, String, String), TransactionRecord> = Table::rows(33, "transactions");
/// Room aliases of this server.
pub static ALIASES: Table<String, AliasRecord> = Table::rows(34, "aliases");
/// Aliases by room.
pub static ROOM_ALIASES: Table<(RoomNo, String), ()> = Table::rows(35, "room_aliases");
/// Rooms in the published room directory.
pub static PUBLISHED: Table<RoomNo, ()> = Table::rows(36, "published");
/// State shown to somebody invited to or knocking on a room: (user, room) to stripped events as a JSON array.
pub static INVITE_STATE: Table<(UserNo, RoomNo), String> = Table::rows(37, "invite_state");
/// Rooms a user has left and forgotten.
pub static FORGOTTEN: Table<(UserNo, RoomNo), ()> = Table::rows(38, "forgotten");
/// Unread counts, as far as they were evaluated.
pub static UNREAD: Table<(UserNo, RoomNo), String> = Table::rows(39, "unread");

/// What is known of a room besides its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// The room version.
    pub version: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// The forward extremities; `None` while the room is linear: then it is the newest event of its timeline.
    pub extremities: Option<Vec<EventNo>>,
}

/// A user's membership in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// What the user is to the room.
    pub membership: Membership,
    /// The member event that says so.
    pub event: EventNo,
    /// Since when the membership has been what it is: a changed name or picture leaves it.
    pub position: Position,
    /// Whether the user had joined at some time before: then leaving lets them see what they saw.
    pub was_joined: bool,
    /// Whether the user is one of this server's.
    pub local: bool,
}

/// Membership as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Membership {
    /// In the room.
    Join,
    /// Invited, not yet joined.
    Invite,
    /// Asked to join.
    Knock,
    /// Left, was removed, or declined.
    Leave,
    /// Banned.
    Ban,
}

/// A read receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    /// The event read up to.
    pub event_id: String,
    /// Its place in the timeline, when it has one.
    pub order: Option<i64>,
    /// When the reader said so, Unix time in milliseconds.
    pub ts: u64,
    /// When it was recorded.
    pub position: Position,
}

/// The outcome of a client's transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    /// The event it made.
    pub event_id: String,
    /// Unix time in milliseconds; old ones are swept out.
    pub ts: u64,
}

/// A room alias of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The room it names.
    pub room: RoomNo,
    /// Who made it, and may remove it.
    pub creator: UserNo,
}

record!(RoomRecord, MemberRecord, ReceiptRecord, TransactionRecord, AliasRecord, (UserNo, String));
