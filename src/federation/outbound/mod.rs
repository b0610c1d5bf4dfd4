//! What goes to other servers: events of this one, and what the [`Outbox`](crate::remote::Outbox) holds.
//!
//! The dispatcher follows the stream and hands each event to the servers that are to have it. A server has a task only
//! while there is something to send to it, and one transaction on its way at a time. What has not arrived is never lost:
//! the position up to which a server has everything is stored, and the rest follows from the tables.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Outbound`], what the rest of the server holds, and its tasks |
//! | `dispatch` | which servers an event goes to |
//! | `board` | what memory knows of each server with something to send; `destination`: of one |
//! | `worker` | the task of a server: a transaction after the other |
//! | `transaction` | what goes at once, within the bounds, and what came of it |
//! | `behind` | what a server has missed |
//! | `lanes` | how many transactions are on their way at the same time |
//! | `retention` | old rows are swept out |
//! | `orders` | what the command line can ask |

mod behind;
mod board;
mod destination;
mod dispatch;
mod lanes;
mod orders;
mod retention;
mod service;
mod transaction;
mod worker;

pub use self::{
    orders::{FederationAnswer, FederationOrder, PREFIX, ServerLine},
    service::{Outbound, OutboundParts},
};
