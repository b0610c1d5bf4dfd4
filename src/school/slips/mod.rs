//! Activation slips: one-time codes on paper, with which people who never signed in set their first password.
//!
//! | file | what |
//! |---|---|
//! | `code` | [`Code`]: what a person types; mistakes are told from wrong codes |
//! | `service` | [`Slips`]: making, listing, revoking and redeeming them |

mod code;
mod service;
#[cfg(test)]
mod tests;

pub use self::{
    code::{Code, CodeError},
    service::{MadeSlips, NewSlip, SkipReason, SlipInfo, SlipRequest, Slips},
};
