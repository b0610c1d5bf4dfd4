//! The school: imports, doors, rooms, the directory.
//!
//! `small` is a school of twenty people that runs, for everybody's tests.

mod imports;
mod imports_people;
mod rooms;
mod small;
