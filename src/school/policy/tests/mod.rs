//! Tests of the policy.
//!
//! | file | what |
//! |---|---|
//! | `grid` | every pair of roles, verb, relation and age against the table of the design, written as text |
//! | `order` | what goes before what: hard denials, blocks, overrides |
//! | `settings` | presets, switches and their scopes |
//! | `families` | the cases that schools ask about first, with people and links |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod families;
mod grid;
mod order;
mod settings;
