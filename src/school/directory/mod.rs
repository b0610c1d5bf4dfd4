//! The directory: who is there, for whom.
//!
//! Nobody is counted, ranked or paged before the policy has said that they may be seen, so one visible Müller is found
//! behind any number of hidden ones, and no number in an answer tells of somebody hidden.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Directory`]: what the handlers ask |
//! | `folding` | names and queries as plain words |
//! | `index`, `marks` | everybody's names, in memory beside the people of the day; sets of people |
//! | `viewer` | one person who looks at the others |
//! | `search` | people found by name: order and pages |
//! | `contacts` | people with what may be done with them, filters and counts |
//! | `classes` | classes, a guardian's children, oneself |
//! | `neutral` | who shares a room with the searcher: all there is without a roster |
//! | `answers` | what is answered |

mod answers;
mod classes;
mod contacts;
mod folding;
mod index;
mod marks;
mod neutral;
mod search;
mod service;
#[cfg(test)]
mod tests;
mod viewer;

/// Most people of one answer to a stock client.
pub const SEARCH_MAX: usize = 100;

pub(in crate::school) use self::index::NameIndex;
pub use self::{
    answers::{
        Can, Child, ChildTeacher, Children, ClassCount, ClassDetail, ClassMember, ClassName, ClassesPage, Contact,
        ContactsPage, Explanation, Facets, Me, OrgName, Permission, Permissions, PersonName,
    },
    contacts::ContactsQuery,
    service::{Directory, Listed},
};
