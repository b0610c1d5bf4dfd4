//! The school: imports, doors, rooms, the directory.
//!
//! `small` is a school of twenty people that runs, for everybody's tests.

mod announcements;
mod api;
mod chats;
mod departures;
mod directory;
mod directory_neutral;
mod doors;
mod endings;
mod imports;
mod imports_people;
mod pictures;
mod rooms;
mod small;
