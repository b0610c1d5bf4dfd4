//! `[sessions]`: how long a sign-in lasts.

use super::{
    period::Period,
    problem::Problem,
    section::{Check, section},
};

section! {
    /// How long a sign-in lasts.
    pub struct Sessions in "sessions" {
        /// How long an access token is valid in clients that can refresh it. In clients that cannot, it is valid
        /// until they sign out.
        pub access_token_lifetime: Period = Period::from_secs(3_600);

        /// How long somebody has from the first to the last step of an action that asks for the password again.
        pub ui_auth_lifetime: Period = Period::from_secs(900);
    }
}

/// Below this clients would refresh more than they ask.
const LIFETIME_MIN: Period = Period::from_secs(10);

impl Check for Sessions {
    fn check(&self, problems: &mut Vec<Problem>) {
        let lifetimes =
            [("access_token_lifetime", self.access_token_lifetime), ("ui_auth_lifetime", self.ui_auth_lifetime)];
        for (name, lifetime) in lifetimes {
            if lifetime < LIFETIME_MIN {
                problems
                    .push(Problem::new(format!("sessions.{name}"), format!("{lifetime} is less than {LIFETIME_MIN}")));
            }
        }
    }
}
