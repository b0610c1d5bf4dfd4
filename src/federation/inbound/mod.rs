//! What comes from other servers.
//!
//! A transaction is answered once its events are in the durable inbox; what they are is found out afterwards, room by
//! room. Ephemeral items never wait for events.
//!
//! | file | what |
//! |---|---|
//! | `transaction` | takes a transaction in: once, bounded, checked against each room's ACL |
//! | `edus` | ephemeral items |
//! | `inbox` | the rows that wait, and the worker of each room that has some |
//! | `pot` | how many wait for one room, and whose they are |
//! | `taken` | room that a transaction takes in it before it is written |
//! | `parked` | events that lack what came before them, fetched for where they delay nobody else |

mod edus;
mod inbox;
mod parked;
mod pot;
mod taken;
mod transaction;

pub use transaction::{Answers, Inbound, InboundParts, TransactionError};
