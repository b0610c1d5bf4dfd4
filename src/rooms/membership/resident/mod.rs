//! Other servers' users who join, leave and knock: this server as the one that is in the room.
//!
//! Spec v1.19, Server-Server API "Joining Rooms", "Knocking upon a room", "Leaving Rooms (Rejecting Invites)". What they
//! send goes the way of every received event; nothing of theirs is signed here but a restricted join that a user of this
//! server vouches for.
//!
//! | file | what |
//! |---|---|
//! | `template` | where an event of theirs would stand |
//! | `voucher` | who may vouch for a restricted join |
//! | `accept` | the event they made of it |
//! | `answer` | the state that a server is given when it joins |

mod accept;
mod answer;
mod template;
mod voucher;

pub use self::{accept::Handed, answer::JoinAnswer, template::Template};
