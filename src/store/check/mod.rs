//! The invariants of the tables, for `homeroom doctor --deep`.
//!
//! | file | what |
//! |---|---|
//! | `report` | what was found |
//! | `rows` | walking tables that may be damaged, comparing one with its counterpart |
//! | `names` | ids and their numbers |
//! | `states` | the state trees |
//! | `events` | events, timelines, relations |
//! | `rooms` | memberships, receipts, aliases |
//! | `federation` | other servers: rooms, inbox, what goes out, device lists |
//! | `users` | accounts, sessions, account data, uploads |
//! | `school` | people of rosters and their accounts |
//! | `keys` | end-to-end keys, messages to devices, backups |
//!
//! Everything is read and compared, nothing is changed or repaired. What is looked at is one moment: a stopped store,
//! or a running one as it was when [`check_folder`] opened it.

mod events;
mod federation;
mod keys;
mod names;
mod report;
mod rooms;
mod rows;
mod school;
mod states;
mod users;

#[cfg(test)]
mod tests;

pub use report::{Finding, Report};
pub use rows::{check, check_folder};
