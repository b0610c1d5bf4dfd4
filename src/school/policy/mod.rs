//! The contact policy: may one person see, write to, call another? Pure, and the same behind every door.
//!
//! | file | what |
//! |---|---|
//! | `ruling` | [`Ruling`]: the answer with its rule |

mod ruling;

pub use self::ruling::{Outcome, Ruling};
