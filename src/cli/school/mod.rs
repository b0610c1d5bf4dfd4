//! `homeroom school`: the school, beside a running server or without one.
//!
//! | file | what |
//! |---|---|
//! | `commands` | every command: its order, and its answers as text or JSON |
//! | `files` | bringing files to the server and from it |
//! | `text` | imports, problems, people and decisions for people to read |

mod commands;
mod files;
mod text;

pub(super) use self::commands::school;
