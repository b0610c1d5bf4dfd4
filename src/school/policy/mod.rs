//! The contact policy: may one person see, write to, call another? Pure, and the same behind every door.
//!
//! The order is: no roster, no rules · oneself · the school's own account · hard denials · the target's own block ·
//! overrides · the matrix · no. Nothing hides a person but a hard denial, an override about seeing and the matrix: a
//! block keeps somebody from writing, never from knowing who is there, and never the safeguarding lead.
//!
//! | file | what |
//! |---|---|
//! | `ruling` | [`Ruling`]: the answer with its rule |
//! | `facts` | [`Facts`]: what an answer depends on |
//! | `decide` | [`decide`]: the answer |
//! | `matrix` | who may do what to whom, as a table |
//! | `switches`, `presets` | what narrows and widens it, and sets of that |
//! | `settings`, `scopes` | [`Settings`]: which preset and switches a school has, and for which part of it |
//! | `messages` | what people are told |

mod decide;
mod facts;
mod matrix;
mod messages;
mod presets;
mod ruling;
mod scopes;
mod settings;
mod switches;
#[cfg(test)]
mod tests;

pub(in crate::school) use self::decide::width;
pub use self::{
    decide::{Step, decide, decide_in_steps},
    facts::{Facts, PairOverrides, Scopes},
    presets::Preset,
    ruling::{Outcome, Ruling},
    scopes::scopes,
    settings::{Compiled, Grades, Level, ObjectRef, Scope, Scoped, Settings, SettingsProblem},
    switches::{Levels, SWITCHES, Switch, SwitchInfo},
};
