//! Who belongs to the school today, and what two people are to each other: the roster of every source, in memory.
//!
//! A [`People`] is immutable and belongs to one day. It is built from the tables when the server starts, when something
//! in them changes and when a new day begins, and then replaces the one before. Only what is in force on its day is in
//! it: ended roles and enrollments, removed people and classes of past terms are not.
//!
//! | file | what |
//! |---|---|
//! | `index` | [`People`]: looking people, classes, adults and children up |
//! | `build`, `draft`, `load` | making one: from rows, a person in the making, from the tables |
//! | `groups` | many short lists in two vectors |
//! | `relations` | what two people are to each other |
//! | `standing` | roles and age of one person, as the policy sees them |

mod build;
mod draft;
mod groups;
mod index;
mod load;
mod relations;
mod standing;
#[cfg(test)]
mod tests;

pub(in crate::school) use self::groups::Groups;
pub use self::{
    build::Builder,
    index::{Adult, ClassInfo, ClassNo, Member, OrgInfo, OrgNo, People, PersonNo},
    relations::Relations,
    standing::{Roles, Standing},
};
