//! The school: the roster, who may see and reach whom, and the rooms that follow from it.
//!
//! | file | what |
//! |---|---|
//! | `roster`, `problem` | what a source tells, as pure values; what is wrong with its files |

pub mod problem;
pub mod roster;
