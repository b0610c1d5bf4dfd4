//! Rooms: everything that makes, accepts, stores and shows events.
//!
//! | file | what |
//! |---|---|
//! | `room` | one room in memory: the writer's head, the readers' view, the newest events |
//! | `registry` | `Rooms`: finds and loads rooms; what the layers above hold |
//! | `writer` | **the one writer of events**: build, authorise, sign, append |
//! | `effects` | what an event changes besides the timeline: memberships, relations, redactions |
//! | `policy` | the trait asked before this server accepts an event (the school's rules) |

mod effects;
mod error;
pub mod policy;
mod registry;
mod room;
mod writer;

pub use error::RoomsError;
pub use registry::{Rooms, RoomsParts, UserRoom};
pub use room::{Room, RoomView};
pub use writer::{NewEvent, Writer};
