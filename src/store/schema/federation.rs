//! Tables of the conversation with other servers: their keys, what came from them, what goes to them (tags 180–209).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::store::{
    Position, RoomNo, ServerNo, UserNo,
    codec::{Table, record},
};

/// Keys of other servers: (server name, key id) to the key.
pub static SERVER_KEYS: Table<(String, String), ServerKeyRecord> = Table::rows(180, "server_keys");
/// Signed key documents as they came, for notary answers: server name to the JSON.
pub static KEY_DOCUMENTS: Table<String, KeyDocumentRecord> = Table::rows(181, "key_documents");

/// Events that came in transactions and wait to be received: (room, arrival) to the event.
pub static INBOX: Table<(RoomNo, Position), InboxRecord> = Table::rows(185, "inbox");
/// Transactions that were answered: (server, transaction id) to Unix time in milliseconds. Old ones are swept out.
pub static INBOUND_TRANSACTIONS: Table<(ServerNo, String), u64> = Table::rows(186, "inbound_transactions");
/// To-device messages that were taken in: (server, message id) to Unix time in milliseconds. Old ones are swept out.
pub static INBOUND_MESSAGES: Table<(ServerNo, String), u64> = Table::rows(187, "inbound_messages");

/// What is known of another server: how far it was told, and whether it answers.
pub static DESTINATIONS: Table<ServerNo, DestinationRecord> = Table::rows(190, "destinations");
/// Events of this server that go to others, in the order they were made: position to its room. The event stands in the
/// room's timeline at that position.
pub static OUTGOING: Table<Position, RoomNo> = Table::rows(191, "outgoing");
/// The newest event of each room in [`OUTGOING`].
pub static OUTGOING_LAST: Table<RoomNo, Position> = Table::rows(192, "outgoing_last");
/// Durable items besides events, in their order: (server, position) to an EDU.
pub static OUTBOX: Table<(ServerNo, Position), OutboxRecord> = Table::rows(193, "outbox");

/// Device lists of users of other servers, as far as they are followed.
pub static REMOTE_DEVICE_LISTS: Table<UserNo, RemoteDeviceList> = Table::rows(196, "remote_device_lists");
/// The `stream_id` of the newest change of each local user's devices that others were told of.
pub static DEVICE_STREAMS: Table<UserNo, u64> = Table::rows(197, "device_streams");
/// What other servers were last told of each local user's devices: what differs is what they are told next.
pub static DEVICES_TOLD: Table<UserNo, DevicesTold> = Table::rows(198, "devices_told");
/// Changes of devices and keys up to here were told.
pub static DEVICES_TOLD_UPTO: Table<(), Position> = Table::rows(199, "devices_told_upto");

/// A key of another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeyRecord {
    /// The public key, unpadded base64.
    pub key: String,
    /// Until when it may be relied upon, Unix milliseconds; for an old key, when it was last in use.
    pub valid_until_ms: u64,
    /// It is in `old_verify_keys`: good for events before `valid_until_ms`, not for requests.
    pub old: bool,
}

/// A key document of another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocumentRecord {
    /// The signed JSON.
    pub json: String,
    /// `valid_until_ts` of it.
    pub valid_until_ms: u64,
    /// When it was fetched, Unix milliseconds.
    pub fetched_ms: u64,
}

/// An event that waits to be received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxRecord {
    /// The server that sent it.
    pub origin: String,
    /// The event as it came.
    pub json: String,
}

/// What is known of another server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationRecord {
    /// Everything of [`OUTGOING`] up to here has reached it.
    pub sent: Position,
    /// When it last answered a request of ours with success, Unix milliseconds; 0 for never.
    pub last_success_ms: u64,
    /// When it first failed since then; 0 while it answers.
    pub failing_since_ms: u64,
    /// Requests that have failed one after the other.
    pub failures: u32,
    /// Not before this time is it tried again, Unix milliseconds.
    pub retry_at_ms: u64,
}

/// An EDU that waits for a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// When it was made, Unix milliseconds.
    pub made_ms: u64,
    /// What it is about, where a newer EDU about the same makes it useless: a device, a user's keys. Empty for messages.
    pub about: String,
    /// The EDU as JSON.
    pub edu: String,
}

/// The device list of a user of another server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteDeviceList {
    /// The newest `stream_id` that was taken in.
    pub stream_id: u64,
    /// A change was missed: the list has to be fetched before it is used.
    pub stale: bool,
    /// When it was fetched; zero for never. It holds as long as a room was shared without a break since.
    pub at: Position,
}

/// What other servers were told of a local user's devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesTold {
    /// A hash of each device as it was told.
    pub devices: BTreeMap<String, [u8; 32]>,
    /// A hash of the cross-signing keys, once there were some.
    pub keys: Option<[u8; 32]>,
    /// Who was told last.
    pub servers: BTreeSet<ServerNo>,
}

record!(
    ServerKeyRecord,
    KeyDocumentRecord,
    InboxRecord,
    DestinationRecord,
    OutboxRecord,
    RemoteDeviceList,
    DevicesTold
);
