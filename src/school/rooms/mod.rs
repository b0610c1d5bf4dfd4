//! Rooms from the roster.
//!
//! | file | what |
//! |---|---|
//! | `book` | which rooms the school made, and what for: in memory |
//! | `wanted` | which rooms there ought to be, with whom in them: a pure function |
//! | `keeper` | [`SchoolRooms`]: makes the rooms what they ought to be, whenever the people change |
//! | `apply` | one room of the roster made what it ought to be |
//! | `watched` | supervised rooms and rooms of families: made on first use, and kept |
//! | `announce` | announcements repeated to each family and homeroom on its own |
//! | `families` | the rooms of families for announcements: made for the first one |
//! | `rollover` | what a new school year will do to the rooms, and doing it |
//! | `direct` | chats that two people make for themselves: closed when the rules no longer allow them |
//! | `departures` | whoever has left the school leaves every room |
//! | `desk`, `edit`, `content` | the account the school acts through; changing one room in one commit; what it says |
//! | `admin` | lists, freezing, modes, supervisors |

mod admin;
mod announce;
mod apply;
mod book;
mod content;
mod departures;
mod desk;
mod direct;
mod edit;
mod families;
mod keeper;
mod rollover;
mod wanted;
mod watched;

pub use self::{
    admin::RoomLine,
    announce::ANNOUNCEMENT,
    book::{Chat, RoomBook},
    content::{Mode, ROOM_STATE},
    keeper::{Progress, SchoolRooms, Summary},
    rollover::{Preview, PreviewLine},
    wanted::{RoomSettings, Wanted, wanted},
};
pub(super) use self::{
    desk::{Desk, DeskParts},
    direct::CLOSED,
    wanted::is_family,
    watched::{Pair, pair_key},
};
