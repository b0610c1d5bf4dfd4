//! `OneRoster` 1.1 and 1.2 CSV (1EdTech), and Microsoft School Data Sync v2.1, which is made of the same tables with a
//! few other columns.
//!
//! | file | what |
//! |---|---|
//! | `manifest` | which files there are, which tell everything, which format it is |
//! | `tables` | reads them in the order in which they refer to each other |
//! | `rows` | what all tables share: ids, states, references |
//! | `structure` | orgs, sessions, courses, classes |
//! | `people`, `roles` | people; what they are where |
//! | `enrollments`, `groups` | who is in which class, or group |
//! | `links` | which adult belongs to which pupil |

mod enrollments;
mod groups;
mod links;
mod manifest;
mod people;
mod roles;
mod rows;
mod structure;
mod tables;

pub(super) use tables::read;
