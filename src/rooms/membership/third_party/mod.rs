//! People who are invited by an address: of whom the one who invites knows an e-mail address, and not who they are.
//!
//! Spec v1.19, Client-Server API "Third-party invites", Server-Server API "Third-party invites". An identity server that
//! the administrator has named says whose an address is. While it is nobody's, an `m.room.third_party_invite` stands in
//! the room; whoever proves the address gets the ordinary invitation in its place, from the same sender. That one is
//! built here, from what was checked: of what others say only the identity server's signed object goes into it.
//!
//! | file | what |
//! |---|---|
//! | `address` | addresses, in the one form that counts |
//! | `invite` | inviting by an address |
//! | `answer` | an address was proved: the invitation that follows, in a room of ours |
//! | `proof` | somebody joins, and brings the proof |
//! | `bound` | an identity server tells of a user of ours who has proved an address |

mod address;
mod answer;
mod bound;
mod invite;
mod proof;

pub use self::{
    answer::Exchange,
    bound::{Binding, BoundInvite},
    invite::{ByAddress, Unbound},
};
