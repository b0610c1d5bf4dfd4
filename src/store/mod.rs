//! Storage: the only user of RocksDB.
//!
//! | file | what |
//! |---|---|
//! | `folder` | the data folder: its marker file, refusal of foreign or damaged folders |
//! | `engine` | the seam: get, multi-get, scan and write over ordered byte keys |
//! | `codec` | keys as ordered bytes, values as versioned records |
//! | `schema` | every table: tag, name, key and value types |
//! | `batch`, `commit` | what one writer changes, and the one thread that makes changes durable and visible, in order |
//! | `database` | `Store`: typed reads, commits, ids; what the rest of the server holds |
//! | `numbers`, `interner` | ids as integers, minted once |
//! | `events`, `state_tree` | events with their cache, room states as a persistent tree |
//! | `check` | the invariants of the tables, for `homeroom doctor --deep` |
//!
//! Nothing above this folder knows which engine runs. Reads name a table and a typed key; writes go through a
//! [`Batch`] to the one committer, which assigns stream positions.

mod batch;
pub mod check;
mod codec;
mod commit;
mod database;
mod engine;
mod error;
pub mod events;
mod folder;
mod interner;
mod numbers;
pub mod schema;
pub mod state_tree;

pub use batch::{Batch, Rows};
pub use codec::{Key, Record, Table, Value};
pub use commit::Health;
pub use database::{Order, Store, StoreOptions};
pub use engine::{Durability, EngineOptions};
pub use error::StoreError;
pub use events::{Event, Events, Verdict};
pub use folder::DataFolder;
pub use numbers::{EventNo, Position, RoomNo, ServerNo, StateKeyNo, UserNo};
