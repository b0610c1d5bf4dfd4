//! Imports: what a source tells becomes what the school knows.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Imports`]: what is kept of each import, read |
//! | `plan` | from a bundle to stored changes, which nobody has applied yet |
//! | `decide` | apply it, drop it, undo it |
//! | `work` | applying and undoing in bounded steps, going on after a crash |
//! | `step` | one step: rows and accounts in one commit |
//! | `people` | whose accounts a step makes, finds again, locks or renames |
//! | `ahead` | what a step has to know of later changes: who works at the school, who leaves |
//! | `names` | readable names of accounts |
//! | `merge` | two accounts of one person |
//! | `returns` | ids that a source uses again, perhaps for somebody else |
//! | `tidy` | what is no longer needed |
//! | `load` | a source's rows as a [`Roster`](super::roster::Roster) |
//! | `refresh` | reading the people anew |
//!
//! One import is at work at a time. Its cursor is in the commit of each step, so nothing is done twice or left out,
//! whenever the server stops.

mod ahead;
mod decide;
mod load;
mod merge;
mod names;
mod people;
mod plan;
mod refresh;
mod returns;
mod service;
mod step;
mod tidy;
mod work;

pub use self::{
    plan::NewImport,
    refresh::Refresh,
    service::{Imports, ImportsParts},
};
