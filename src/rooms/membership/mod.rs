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
//! | `outside` | what users are to rooms that this server is not in |
//! | `remote` | this server as the one that asks others |
//! | `resident` | this server as the one that others ask |
//! | `third_party` | people of whom only an e-mail address or the like is known |
//! | `crossing` | what is under way between the two |

mod content;
mod crossing;
mod forget;
mod invite;
mod join;
mod outside;
mod remote;
mod removal;
mod resident;
mod third_party;

pub(super) use self::{content::MemberContent, crossing::Crossings};
pub use self::{
    join::{Join, Knock},
    outside::Outside,
    remote::Invitation,
    removal::MemberAction,
    resident::{Handed, JoinAnswer, Template},
    third_party::{Binding, BoundInvite, ByAddress, Exchange, Unbound},
};
