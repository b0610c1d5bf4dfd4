//! What administrators decide on this server about who is who and who reaches whom. No import writes any of it.
//!
//! Each decision is one commit together with its record in the audit, and is in force when the call returns.
//!
//! | file | what |
//! |---|---|
//! | `service` | [`Decisions`]: all of it |
//! | `pairs` | overrides: two people, a verb, until when |
//! | `roles` | roles given here: the safeguarding lead's, and those of people no roster tells of |
//! | `links` | relatives confirmed, and pupils kept apart from an adult |
//! | `settings`, `preview` | the policy's versions, and what others would change |
//! | `in_force` | [`InForce`]: all of it in memory, as rulings need it |

mod in_force;
mod links;
mod pairs;
mod preview;
mod roles;
mod service;
mod settings;
#[cfg(test)]
mod tests;

pub use self::{
    in_force::{InForce, Policy, Version},
    links::{KnownLinkDecision, NewLinkDecision},
    pairs::{KnownOverride, NewOverride},
    preview::{ChangeCount, ChangeExample, Preview},
    roles::KnownRole,
    service::Decisions,
};
