//! `[passwords]`: how passwords are kept.

use super::{
    problem::Problem,
    section::{Check, section},
    size::Size,
};

section! {
    /// How passwords are kept: as Argon2id hashes, with these costs for new ones.
    pub struct Passwords in "passwords" {
        /// The fewest characters of a new password.
        pub length_min: u32 = 8;

        /// The memory that one hash takes.
        pub memory: Size = Size::mib(19);

        /// How often a hash goes through that memory.
        pub iterations: u32 = 2;

        /// How many hashes are computed at once; more sign-ins than that wait for their turn.
        pub parallel_hashes: u32 = 2;
    }
}

impl Check for Passwords {
    fn check(&self, problems: &mut Vec<Problem>) {
        let mut within = |name: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                let message = format!("{value} is not between {least} and {most}");
                problems.push(Problem::new(format!("passwords.{name}"), message));
            }
        };
        within("length_min", self.length_min, 1, 128);
        within("iterations", self.iterations, 1, 1_000);
        within("parallel_hashes", self.parallel_hashes, 1, 64);
        // Argon2 needs eight blocks of 1 KiB; more than 1 GiB a sign-in is a slip of the unit.
        let bounds = Size::kib(8)..=Size::gib(1);
        if !bounds.contains(&self.memory) {
            let message = format!("{} is not between {} and {}", self.memory, bounds.start(), bounds.end());
            problems.push(Problem::new("passwords.memory", message));
        }
    }
}
