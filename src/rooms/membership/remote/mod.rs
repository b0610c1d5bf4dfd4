//! Joining, knocking, leaving and inviting through other servers: this server as the one that asks.
//!
//! Spec v1.19, Server-Server API "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms". Another
//! server only ever says where in the room's graph an event stands; everything else of it is built here.
//!
//! | file | what |
//! |---|---|
//! | `ask` | which servers are asked, one after the other, and what is told when none of them agrees |
//! | `company` | whom somebody meets who joins |
//! | `template` | what another server says of where an event stands; the event that is made of it |
//! | `join` | joining |
//! | `leave` | declining invitations, taking knocks back |
//! | `knock` | knocking |
//! | `invite` | inviting users of other servers |
//! | `invited` | users of this server who are invited by others |

mod ask;
mod company;
mod invite;
mod invited;
mod join;
mod knock;
mod leave;
mod template;

pub(super) use self::ask::Person;
pub use self::invited::Invitation;
