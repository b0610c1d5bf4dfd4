//! The school: the roster, who may see and reach whom, and the rooms that follow from it.
//!
//! | file | what |
//! |---|---|
//! | `roster`, `problem` | what a source tells, as pure values; what is wrong with its files |
//! | `people/` | who belongs to the school today, and what two people are to each other: in memory |

pub mod people;
pub mod problem;
pub mod roster;
