//! Who is what to a room, and how that changes.
//!
//! Spec v1.19, Client-Server API "Room membership" and "Knocking"; Server-Server API "Authorization rules", which have
//! the last word on every change made here.
//!
//! | file | what |
//! |---|---|
//! | `content` | the content of member events |
//! | `join` | joining, also by restricted rules; knocking |
//! | `invite` | inviting |
//! | `removal` | leaving, kicking, banning, unbanning, and leaving everything |
//! | `forget` | no longer knowing a room one has left |

mod content;
mod forget;
mod invite;
mod join;
mod removal;

pub(super) use self::content::MemberContent;
pub use self::{join::Join, removal::MemberAction};
