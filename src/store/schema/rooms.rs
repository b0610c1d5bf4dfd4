//! Tables of events, rooms and what belongs to them (tags 20–59).

use serde::{Deserialize, Serialize};

use super::super::{
    EventNo, Position, RoomNo, ServerNo, UserNo,
    codec::{Table, record},
    events::StoredEvent,
    state_tree::StateRoot,
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
/// What local users are to rooms that this server is not in: invited by, or knocking at, another server.
pub static OUTSIDE: Table<(UserNo, RoomNo), OutsideRecord> = Table::rows(37, "outside");
/// Rooms a user has left and forgotten.
pub static FORGOTTEN: Table<(UserNo, RoomNo), ()> = Table::rows(38, "forgotten");
/// Unread counts, as far as they were evaluated.
pub static UNREAD: Table<(UserNo, RoomNo), String> = Table::rows(39, "unread");
/// Where a room stands that is not linear: several events without successors. Absent while the room is linear: then it
/// stands at its newest event.
pub static HEADS: Table<RoomNo, HeadRecord> = Table::rows(40, "heads");
/// Where history is missing: (room, order of the event whose predecessors this server does not have).
pub static GAPS: Table<(RoomNo, i64), GapRecord> = Table::rows(41, "gaps");
/// Other servers with joined members, and how many members.
pub static ROOM_SERVERS: Table<(RoomNo, ServerNo), u64> = Table::rows(42, "room_servers");
/// Rooms in which another server has or had joined members; the position at which the last of them went.
pub static SERVER_ROOMS: Table<(ServerNo, RoomNo), ServerRoomRecord> = Table::rows(43, "server_rooms");
/// Events that redact or relate to an event which is not known yet: (room, id of the unknown event, event).
pub static AWAITED: Table<(RoomNo, String, EventNo), ()> = Table::rows(44, "awaited");
/// Auth events of state events: what auth chains are made of. Written with the event itself.
pub static AUTH_EDGES: Table<(RoomNo, EventNo), AuthRecord> = Table::rows(45, "auth_edges");
/// Rooms that were joined with partial state (MSC3706): what is still to be fetched, or when the rest has come.
pub static PARTIAL: Table<RoomNo, PartialRecord> = Table::rows(46, "partial");

/// The room's state before and after an event came, where that is not the state at the event: (room, order).
pub static STANDS: Table<(RoomNo, i64), StandRecord> = Table::rows(47, "stands");
/// Earlier stays of this server in a room whose states still lack members: the join with which one began, and its newest
/// event. A room with one has a row of `PARTIAL`, too.
pub static STAYS: Table<(RoomNo, EventNo), EventNo> = Table::rows(48, "stays");

/// What is known of a room besides its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// The room version.
    pub version: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
}

/// Where a room stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// The forward extremities.
    pub extremities: Vec<EventNo>,
    /// The state they come to.
    pub state: StateRoot,
}

/// What a room's state was when an event came that belongs to another branch of its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandRecord {
    /// Before it came.
    pub before: StateRoot,
    /// Once it was there.
    pub after: StateRoot,
}

/// A piece of history that this server does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// The newest events of the missing history, by id.
    pub missing: Vec<String>,
    /// The order that the next event fetched gets; it falls with each.
    pub next: i64,
    /// The lowest order that may be used.
    pub floor: i64,
}

/// A room in which another server has or had members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRoomRecord {
    /// Where its first member came, if it has one: earlier events are not for it.
    pub since: Position,
    /// Where its last member left; `None` while it has one.
    pub left: Option<Position>,
}

/// An event of the auth graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthRecord {
    /// Its auth events. All of them have lower numbers.
    pub auth_events: Vec<EventNo>,
    /// Whether it is the room's `m.room.power_levels`: the mainline consists of these.
    pub power_levels: bool,
}

/// What is still to be fetched of a room's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRecord {
    /// The join event of this server; the state before it is asked for.
    pub event: EventNo,
    /// Servers that were in the room, to be asked and told: the one that answered the join first. None once the members
    /// are known.
    pub servers: Vec<String>,
    /// Since when all members are known.
    pub whole_since: Option<Position>,
}

/// What a local user is to a room that this server is not in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideRecord {
    /// Invited, knocking, or no longer either.
    pub membership: Membership,
    /// Since when.
    pub position: Position,
    /// The room's version.
    pub version: String,
    /// The member event in federation form.
    pub event: String,
    /// Its id.
    pub event_id: String,
    /// What is shown of the room: a JSON array of stripped state events.
    pub state: String,
    /// Who can be asked about the room.
    pub servers: Vec<String>,
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

record!(
    HeadRecord,
    StandRecord,
    GapRecord,
    ServerRoomRecord,
    AuthRecord,
    PartialRecord,
    OutsideRecord,
    RoomRecord,
    MemberRecord,
    ReceiptRecord,
    TransactionRecord,
    AliasRecord,
    (UserNo, String)
);
