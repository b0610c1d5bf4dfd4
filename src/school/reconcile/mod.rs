//! From what is stored and what the files tell to a list of changes. Pure: the same twice gives none.
//!
//! | file | what |
//! |---|---|
//! | `changes` | [`reconcile`]: the list, in the order in which it is applied |
//! | `gone` | what is removed, and what goes or changes with it |
//! | `holds` | what is so much that somebody has to confirm it |
//! | `identity` | whether two names may be those of one person |
//! | `outline` | how large an import is, in numbers and in words |

mod changes;
mod gone;
mod holds;
mod identity;
mod outline;
#[cfg(test)]
mod tests;

pub use self::{
    changes::{Plan, reconcile, walk},
    holds::NAMED_MAX,
    identity::{fold_name, words},
    outline::{Moved, Outline, Summary, Touched},
};
