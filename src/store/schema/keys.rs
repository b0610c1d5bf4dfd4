//! Tables of end-to-end encryption: keys of devices and users, their changes, messages to devices, key backups.
//!
//! Keys are kept as canonical JSON text, with the signatures they were uploaded with. Device ids and key ids are text.

use serde::{Deserialize, Serialize};

use crate::store::{
    Position, ServerNo, UserNo,
    codec::{Table, record},
};

/// Identity keys by user and device id.
pub static DEVICE_KEYS: Table<(UserNo, String), String> = Table::rows(110, "device_keys");
/// Unclaimed one-time keys by user, device id, algorithm and order of upload.
pub static ONE_TIME_KEYS: Table<(UserNo, String, String, u64), OneTimeKeyRow> = Table::rows(111, "one_time_keys");
/// The place of each unclaimed one-time key: user, device id and key id (`algorithm:name`) to order.
pub static ONE_TIME_KEY_IDS: Table<(UserNo, String, String), u64> = Table::rows(112, "one_time_key_ids");
/// Fallback keys by user, device id and algorithm.
pub static FALLBACK_KEYS: Table<(UserNo, String, String), FallbackKeyRow> = Table::rows(113, "fallback_keys");
/// Cross-signing keys by user and usage ([`MASTER`], [`SELF_SIGNING`], [`USER_SIGNING`]).
pub static CROSS_SIGNING_KEYS: Table<(UserNo, u8), String> = Table::rows(114, "cross_signing_keys");
/// Signatures added later: whose key, device id or public key, who signed, with which key id; to the signature.
pub static KEY_SIGNATURES: Table<(UserNo, String, UserNo, String), String> = Table::rows(115, "key_signatures");
/// Every change of somebody's devices or keys.
pub static KEY_CHANGES: Table<Position, KeyChange> = Table::rows(116, "key_changes");

/// Messages to devices by user, device id and arrival: the event as JSON text.
pub static TO_DEVICE: Table<(UserNo, String, Position), String> = Table::rows(120, "to_device");
/// The last answer to a device that could not hold all of its messages.
pub static TO_DEVICE_PARTS: Table<(UserNo, String), DeliveredPart> = Table::rows(121, "to_device_parts");
/// Transactions of senders: user, device id, event type and transaction id; to Unix time in milliseconds.
pub static TO_DEVICE_TRANSACTIONS: Table<(UserNo, String, String), u64> = Table::rows(122, "to_device_transactions");
/// Which of the messages to devices users of other servers have sent: receiver, device id, server and arrival.
pub static TO_DEVICE_ORIGINS: Table<(UserNo, String, ServerNo, Position), ()> = Table::rows(123, "to_device_origins");

/// Key backups by user and version.
pub static BACKUPS: Table<(UserNo, u64), Backup> = Table::rows(130, "backups");
/// Backed-up sessions by user, version, room id and session id.
pub static BACKUP_SESSIONS: Table<(UserNo, u64, String, String), BackupSession> = Table::rows(131, "backup_sessions");

/// Usage of a cross-signing key in [`CROSS_SIGNING_KEYS`].
pub const MASTER: u8 = 0;
/// Usage of a cross-signing key in [`CROSS_SIGNING_KEYS`].
pub const SELF_SIGNING: u8 = 1;
/// Usage of a cross-signing key in [`CROSS_SIGNING_KEYS`].
pub const USER_SIGNING: u8 = 2;

/// An unclaimed one-time key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeKeyRow {
    /// `algorithm:name`.
    pub key_id: String,
    /// The key: JSON text.
    pub key: String,
}

/// A fallback key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackKeyRow {
    /// `algorithm:name`.
    pub key_id: String,
    /// The key: JSON text.
    pub key: String,
    /// It was given to somebody.
    pub used: bool,
}

/// Somebody's devices or keys changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Whose.
    pub user: UserNo,
    /// Only this user sees the change: signatures of theirs. Otherwise all who share a room with `user`.
    pub seen_by: Option<UserNo>,
}

/// What an answer to a device held of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredPart {
    /// The position that was the token of the answer.
    pub token: Position,
    /// The last message in it.
    pub delivered: Position,
}

/// A key backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// How its sessions are encrypted.
    pub algorithm: String,
    /// What the algorithm needs: JSON text.
    pub auth_data: String,
    /// Raised whenever the sessions change.
    pub etag: u64,
    /// Sessions in it.
    pub count: u64,
    /// Deleted; its number is not used again.
    pub deleted: bool,
}

/// A backed-up session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSession {
    /// The index of the first message it can decrypt.
    pub first_message_index: u64,
    /// How often it was forwarded.
    pub forwarded_count: u64,
    /// Whether its device was verified.
    pub is_verified: bool,
    /// The encrypted session: JSON text.
    pub session_data: String,
}

record!(OneTimeKeyRow, FallbackKeyRow, KeyChange, DeliveredPart, Backup, BackupSession);
