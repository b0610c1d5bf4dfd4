//! Every table. A tag is the first byte of each key of its table and is never used for anything else again.
//!
//! | tags | file | what |
//! |---|---|---|
//! | 1–9 | here | counters, server-wide values |
//! | 10–19 | here | interned names and their reverses |
//! | 20–59 | `rooms` | events, state, rooms, memberships, relations, receipts |
//! | 60–99 | `users` | accounts, sessions, devices, profiles, account data, filters |
//! | 100–109 | `media` | uploads |
//! | 110–139 | `keys` | end-to-end keys, to-device messages |
//! | 140–179 | `school` | the roster, decisions about it, imports, the school's rooms |
//! | 180–209 | `federation` | other servers: their keys, what came from them, what goes to them |

use super::{codec::Table, interner::Reserved};

pub mod federation;
pub mod keys;
pub mod media;
pub mod rooms;
pub mod school;
pub mod users;

/// The counters' reservation. One row.
pub(super) static COUNTERS: Table<(), Reserved> = Table::rows(1, "counters");
/// Server-wide values by name: the signing key, positions of background readers.
pub static META: Table<String, Vec<u8>> = Table::rows(2, "meta");

/// User id to number, and back.
pub(super) static USER_NUMBERS: Table<String, u64> = Table::rows(10, "user_numbers");
pub(super) static USER_NAMES: Table<u64, String> = Table::rows(11, "user_names");
/// Room id to number, and back.
pub(super) static ROOM_NUMBERS: Table<String, u64> = Table::rows(12, "room_numbers");
pub(super) static ROOM_NAMES: Table<u64, String> = Table::rows(13, "room_names");
/// Event type and state key, joined by NUL, to number, and back.
pub(super) static STATE_KEY_NUMBERS: Table<String, u64> = Table::rows(14, "state_key_numbers");
pub(super) static STATE_KEY_NAMES: Table<u64, String> = Table::rows(15, "state_key_names");
/// Server name to number, and back.
pub(super) static SERVER_NUMBERS: Table<String, u64> = Table::rows(16, "server_numbers");
pub(super) static SERVER_NAMES: Table<u64, String> = Table::rows(17, "server_names");
