//! The command line: what somebody at a terminal, or a service manager, asks of Homeroom.
//!
//! - `args`: every command and argument, as clap reads them; `run`: from arguments to an exit code
//! - a file per command: `serve`, `check`, `user`, `school/`, `federation`, `demo`, `doctor`
//! - `office`: where orders are carried out, in the running server or here
//! - `logging`: the log's form and level; `failure`: why a command ends badly
//!
//! Exit codes: 0 all is well, 1 a problem (said on standard error), 2 the command line itself is wrong, 3 somebody has to
//! confirm it.

mod args;
mod check;
mod demo;
mod doctor;
mod failure;
mod federation;
mod logging;
mod office;
mod run;
mod school;
mod serve;
mod user;

pub use run::run;
