//! Invented schools, for the demo, for tests and for benchmarks. The same [`Plan`] gives the same roster for ever: no clock,
//! no randomness of the system. Names are drawn from lists of common given and family names.
//!
//! | file | what |
//! |---|---|
//! | `plan` | how large, how many, on which day |
//! | `build` | a plan becomes a roster, step by step |
//! | `objects` | one object of the roster at a time |
//! | `staff`, `families`, `teaching` | who works there; pupils and their adults; classes, groups, who is in them |
//! | `demo` | the two schools of the demo, and whom to look at |
//! | `next_year`, `mid_year` | what the source tells a year later, or some weeks later |
//! | `dirt` | what is wrong with the files of real schools |
//! | `keys`, `names`, `random` | ids and dates; names; a seeded generator of numbers |

mod build;
mod demo;
mod dirt;
mod families;
mod keys;
mod mid_year;
mod names;
mod next_year;
mod objects;
mod plan;
mod random;
mod staff;
mod teaching;
#[cfg(test)]
mod tests;

pub use build::roster;
pub use demo::{Demo, Notable, Part, demo};
pub use dirt::{Dirt, Verdict};
pub use mid_year::{MidYear, mid_year};
pub use next_year::next_year;
pub use plan::Plan;
