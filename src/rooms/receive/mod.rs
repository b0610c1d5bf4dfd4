//! Events from other servers: the checks on receipt, one file each, and the one way through them.
//!
//! Spec v1.19, Server-Server API "Checks performed on receipt of a PDU". Whatever way an event comes (a transaction, an
//! answer about missing events, history, a state, a join), it becomes a [`Verified`] first, by the first three checks,
//! and nothing else is ever stored. Nothing is decided by `origin_server_ts`.
//!
//! | check | file | when it fails |
//! |---|---|---|
//! | 1 | `format` | dropped |
//! | 2 | `signatures` | dropped |
//! | 3 | `hash` | redacted, then goes on |
//! | 4 | `auth_events` | stored as rejected |
//! | 5 | `state_before` | stored as rejected |
//! | 6 | `current_state` | stored as soft-failed |
//! | 7 | `policy_server` | stored as soft-failed |
//!
//! | file | what |
//! |---|---|
//! | `house_rules` | what the policy refuses although the room allows it |
//! | `verify` | checks 1 to 3 of many events at once |
//! | `pipeline` | checks 4 to 7 of events that are part of a room's history, and their place in it |
//! | `outliers` | events of auth chains and states, which have no place yet |
//! | `gaps` | what is missing before an event, asked of other servers |
//! | `fetch` | the questions to other servers |
//! | `history` | history that is fetched after what followed it |
//! | `enter` | a room made of the answer to a join |

mod auth_events;
mod current_state;
mod enter;
mod fetch;
mod format;
mod gaps;
mod hash;
mod history;
mod house_rules;
mod outliers;
mod pipeline;
mod policy_server;
mod signatures;
mod state_before;
mod verify;

pub use enter::Entrance;
pub use pipeline::{Outcome, ReceiveError};
pub(in crate::rooms) use policy_server::Disagreement;
pub use verify::{Refusal, Verified};
