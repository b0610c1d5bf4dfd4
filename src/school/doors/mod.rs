//! The doors: what the rooms and the client API ask before they show a person or a room, or let an event pass.
//!
//! Whom a person may see and reach is the policy's to say; this folder knows what that means for rooms. There are three
//! kinds of them. What happens in *school rooms* follows from the roster, and almost nothing in them is their members'
//! to change. *Rooms of families* are made by anybody with a pupil or guardian in them: they never leave this server,
//! have no encryption, and let nobody in who was not invited. All others are ordinary rooms of people who work here.
//!
//! | file | what |
//! |---|---|
//! | `answers` | the implementation of `rooms::policy::Policy` |
//! | `scene` | an event about to be added, with who is who in its room |
//! | `newcomers` | who may come into which company |
//! | `names` | by what name somebody goes in a room |
//! | `families` | what rooms of families cannot be made to be |
//! | `direct` | chats of two, in which nobody else watches |
//! | `calls` | who may call into a room |
//! | `school_rooms` | what members may do in rooms that the school made |
//! | `supervised` | that adults watch over supervised rooms |
//! | `denial` | refusals in words |

mod answers;
mod calls;
mod denial;
mod direct;
mod families;
mod names;
mod newcomers;
mod scene;
mod school_rooms;
mod supervised;

pub use self::names::{MESSAGE as NAME_MESSAGE, REASON as NAME_REASON};
pub(super) use self::scene::may_hold_families;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
