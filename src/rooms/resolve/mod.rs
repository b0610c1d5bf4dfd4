//! State resolution: the one state that several states of a room come to.
//!
//! | file | what |
//! |---|---|
//! | `resolver` | `Resolver`: from the roots of states to the root of the one they come to; what it remembers |
//! | `conflict` | what the states disagree on, from the differences of their trees |
//! | `edges` | the auth graph as stored |
//! | `graph`, `graphs` | the auth graph of a room in memory, numbered densely; which rooms' graphs are kept |
//! | `load` | reading parts of the graph that are not in memory |
//! | `difference` | the auth difference and the conflicted state subgraph |
//! | `unconflicted` | what the states agree on, looked up one by one |
//! | `facts` | what sorting has to know of an event |
//! | `order` | reverse topological power ordering, mainline ordering |
//! | `replay` | the iterative auth checks |
//! | `first` | room version 1, which has an algorithm of its own |
//!
//! Source: spec v1.19, Room Versions 1, 2 and 12, "State resolution". The plain form over whole states is
//! `event::resolve`; tests hold this one against it. Why it is built like this: `docs/decisions`, number 8.

mod conflict;
mod difference;
mod edges;
mod facts;
mod first;
mod graph;
mod graphs;
mod load;
mod order;
mod replay;
mod resolver;
mod unconflicted;

pub use edges::auth_record;
pub use resolver::Resolver;

#[cfg(test)]
mod tests;
