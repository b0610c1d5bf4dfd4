//! `[previews]`, `[presence]` and `[appservices]`: features with little to set.

use std::path::PathBuf;

use super::{
    problem::Problem,
    section::{Check, section},
};

section! {
    /// Previews of links.
    pub struct Previews in "previews" {
        /// Whether clients may ask for previews of links. This server then fetches pages of people's choice, but
        /// none from private networks unless `[federation] allow_private_addresses` is on.
        pub enabled: bool = false;
    }
}

section! {
    /// Who is online.
    pub struct Presence in "presence" {
        /// Whether people see who among those they share a room with is online.
        pub enabled: bool = true;
    }
}

section! {
    /// Bots and bridges.
    pub struct Appservices in "appservices" {
        /// The registration files of application services, in YAML.
        pub registrations: Vec<PathBuf> = Vec::new();
    }
}

impl Check for Appservices {
    fn check(&self, problems: &mut Vec<Problem>) {
        for file in &self.registrations {
            if !file.is_file() {
                problems
                    .push(Problem::new("appservices.registrations", format!("there is no file {}", file.display())));
            }
        }
    }
}
