//! Rooms from the roster.
//!
//! | file | what |
//! |---|---|
//! | `book` | which rooms the school made, and what for: in memory |

mod book;

pub use self::book::RoomBook;
