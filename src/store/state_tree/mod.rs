//! Room states as immutable trees that share what they have in common.
//!
//! | file | what |
//! |---|---|
//! | `node` | what a tree consists of: leaves, branches, their bytes and ids |
//! | `build` | from an old tree and changes to the new nodes; pure |
//! | `held` | nodes of batches that are not durable yet, and what a collection must not delete |
//! | `tree` | [`StateTree`]: reading and changing states |
//! | `diff` | what differs between two states |
//! | `parts` | the parts of states, by name |
//! | `collect` | deleting the nodes that no state uses any more |
//!
//! A state maps state keys to events. It is named by its root, the hash of its top node. The shape of a tree depends
//! on its entries only, never on their history: equal states have equal roots, and a subtree that two states share is
//! stored once. Changing one entry of a state writes the nodes from its leaf to the root, a few hundred bytes.

mod build;
mod collect;
mod diff;
mod held;
pub(in crate::store) mod node;
mod parts;
mod tree;

#[cfg(test)]
mod tests;

pub use collect::{Collected, Collection};
pub use diff::StateChange;
pub use node::StateRoot;
pub use parts::Part;
pub use tree::StateTree;
