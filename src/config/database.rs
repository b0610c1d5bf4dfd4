//! `[database]`: where everything is kept.

use std::path::PathBuf;

use super::{
    problem::Problem,
    section::{Check, section},
    size::Size,
    value::words,
};

section! {
    /// Where everything is kept.
    pub struct Database in "database" {
        /// The data folder: messages, accounts, keys and media. Like every relative path in this file, a relative
        /// one starts at the folder of this file.
        pub path: PathBuf = PathBuf::from("data");

        /// How much memory the database may use for its caches and buffers. Everything else is sized from it.
        pub memory: Size = Size::mib(256);

        /// When a message counts as kept: "fsync" once the disk has it, so that a power cut loses nothing that was
        /// acknowledged; "os" once the operating system has it: faster on slow disks, and safe against a crash of
        /// Homeroom but not of the machine.
        pub durability: Durability = Durability::Fsync;
    }
}

words! {
    /// When a write counts as kept.
    pub enum Durability {
        /// Once the disk has it.
        Fsync = "fsync",
        /// Once the operating system has it.
        Os = "os",
    }
}

/// Below this the database would spend its time on evictions.
const MEMORY_MIN: Size = Size::mib(16);

impl Check for Database {
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.memory < MEMORY_MIN {
            problems.push(Problem::new("database.memory", format!("{} is less than {MEMORY_MIN}", self.memory)));
        }
    }
}
