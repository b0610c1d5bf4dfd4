//! Tables of the school: the roster as each source tells it, the accounts behind it, what was decided here, the work of
//! imports, and the school's rooms.
//!
//! Objects of a roster are keyed by their source and their id in it, so an import only ever touches its own rows. What a
//! person decides on this server (roles, overrides, links, policy) has tables of its own, which no import writes.
//!
//! | tags | file | what |
//! |---|---|---|
//! | 140–149 | `roster` | organisations, classes, people, roles, enrollments, links |
//! | 150–152, 172–174 | `accounts` | the accounts of people, and their activation slips |
//! | 155–159, 175 | `decided` | local roles, overrides, links, the policy; the audit |
//! | 153, 160–164 | `imports` | sources, imports and their changes |
//! | 165–171 | `rooms` | rooms, tasks, requests for contact |

mod accounts;
mod decided;
mod imports;
mod rooms;
mod roster;

pub use self::{accounts::*, decided::*, imports::*, rooms::*, roster::*};

/// The key of an object of a roster: its source, and its `sourcedId` there.
pub type ObjectKey = (String, String);
