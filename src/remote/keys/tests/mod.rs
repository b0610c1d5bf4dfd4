//! The key ring in a network of servers in memory.

mod documents;
mod events;
mod fetching;
pub(crate) mod network;
mod notary;
mod own;
