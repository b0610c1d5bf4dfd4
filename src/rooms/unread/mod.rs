//! Unread counts: how many events notify a user, in a room and in each of its threads.
//!
//! Nothing happens when an event is sent. The counts of one user in one room are brought up to date when that user's
//! `/sync` asks: the events since the last time are put to the user's push rules, once each.
//!
//! | file | what |
//! |---|---|
//! | `facts` | what the rules ask of an event, found out once for all readers; the thread it belongs to |
//! | `glob` | patterns with `*` and `?`, matched in linear time |
//! | `rules` | a user's push rules, compiled and evaluated |
//! | `tally` | the counts of one user in one room, and what moves them |
//! | `counter` | `Unread`: brings counts up to date |

mod counter;
mod facts;
mod glob;
mod rules;
mod tally;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;

pub(super) use counter::from_users;
pub use counter::{Counts, Unread};
pub(super) use facts::{Facts, in_thread};
