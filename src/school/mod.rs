//! The school: the roster, who may see and reach whom, and the rooms that follow from it.
//!
//! | file | what |
//! |---|---|
//! | `facade`, `error` | [`School`]: all services, built together; what can go wrong |
//! | `rules` | [`Rules`]: what every decision is made from, in memory |
//! | `files/` | reads a school's files into a roster, with everything that is wrong with them |
//! | `roster`, `problem` | what a source tells, as pure values; what is wrong with its files |
//! | `people/` | who belongs to the school today, and what two people are to each other: in memory |
//! | `policy/` | the contact policy: may one person see, write to, call another? |
//! | `rooms/` | the rooms the school makes |
//! | `generate/`, `export/` | invented schools for the demo and the tests; a roster as the files of `OneRoster` |
//! | `slips/` | one-time codes on paper, for a first sign-in |
//! | `audit` | who did what as an administrator |
//! | `sequence` | numbers for rows |

pub mod audit;
mod error;
pub mod export;
mod facade;
pub mod files;
pub mod generate;
mod overrides;
pub mod people;
pub mod policy;
pub mod problem;
pub mod roster;
pub mod rooms;
mod rules;
mod sequence;
pub mod slips;

pub use self::{
    error::SchoolError,
    facade::{School, SchoolParts},
    rules::{Rules, SERVICE_LOCALPART},
};
