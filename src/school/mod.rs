//! The school: the roster, who may see and reach whom, and the rooms that follow from it.
//!
//! | file | what |
//! |---|---|
//! | `facade`, `error` | [`School`]: all services, built together; what can go wrong |
//! | `rules` | [`Rules`]: what every decision is made from, in memory |
//! | `files/` | reads a school's files into a roster, with everything that is wrong with them |
//! | `roster`, `problem` | what a source tells, as pure values; what is wrong with its files |
//! | `reconcile/`, `imports/` | what would change; changing it in steps, with the accounts of people |
//! | `people/` | who belongs to the school today, and what two people are to each other: in memory |
//! | `directory/` | who finds whom by name, and what they may do with each other |
//! | `rulings` | the policy's answers about two people, and why |
//! | `decisions/`, `overrides` | what administrators decide here: overrides, roles, links, the policy's settings |
//! | `policy/` | the contact policy: may one person see, write to, call another? |
//! | `rooms/` | the rooms the school makes |
//! | `generate/`, `export/` | invented schools for the demo and the tests; a roster as the files of `OneRoster` |
//! | `knocks` | requests for contact |
//! | `listing` | people and decisions as administrators read them |
//! | `orders` | what the command line orders |
//! | `exchange` | files on their way in and out |
//! | `slips/` | one-time codes on paper, for a first sign-in |
//! | `chats` | starting chats: what becomes of a client's `createRoom` |
//! | `tasks` | what somebody has to look after |
//! | `doors/` | what the rooms and the client API ask before they show a person or let an event pass |
//! | `audit` | who did what as an administrator |
//! | `sequence` | numbers for rows |

pub mod audit;
pub mod chats;
pub mod decisions;
pub mod directory;
pub mod doors;
mod error;
pub mod exchange;
pub mod export;
mod facade;
pub mod files;
pub mod generate;
pub mod imports;
pub mod knocks;
mod listing;
pub mod orders;
mod overrides;
pub mod people;
pub mod policy;
pub mod problem;
pub mod reconcile;
pub mod rooms;
pub mod roster;
mod rules;
mod rulings;
mod sequence;
pub mod slips;
pub mod tasks;

pub use self::{
    error::SchoolError,
    facade::{School, SchoolParts},
    listing::{ClassLine, Explained, ExplainedStep, PeopleQuery, PersonLine, RecordLine},
    rules::{Rules, SERVICE_LOCALPART},
    rulings::Why,
};
