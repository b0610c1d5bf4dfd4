//! `[registration]`: who may make an account.

use super::{
    problem::Problem,
    section::{Check, section},
    value::words,
};
use crate::secret::Secret;

section! {
    /// Who may make an account.
    pub struct Registration in "registration" {
        /// "closed": nobody but the administrator; "token": whoever knows one of `tokens`; "open": anybody who
        /// reaches the server.
        pub mode: RegistrationMode = RegistrationMode::Closed;

        /// The registration tokens of mode "token"; in the file, one in each line.
        pub tokens: Vec<Secret> = Vec::new(), secret "/etc/homeroom/registration_tokens";

        /// With this secret, tools register accounts at `/_synapse/admin/v1/register` in every mode, administrators
        /// among them. Without it that address answers as if it did not exist.
        pub shared_secret: Option<Secret> = None, secret "/etc/homeroom/shared_secret";

        /// Whether people may look in as guests, without an account.
        pub guests: bool = false;
    }
}

words! {
    /// Who may register.
    pub enum RegistrationMode {
        /// Nobody, except through the command line and the shared secret.
        Closed = "closed",
        /// Whoever knows a registration token.
        Token = "token",
        /// Anybody.
        Open = "open",
    }
}

impl Check for Registration {
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.mode == RegistrationMode::Token && self.tokens.is_empty() {
            let problem = Problem::new("registration.tokens", "mode \"token\" needs at least one token");
            problems.push(problem.hint("list tokens here or in `tokens_file`, or set `mode = \"closed\"`"));
        }
        // The specification's grammar of a registration token (v1.19, client-server API, m.login.registration_token).
        let valid = |token: &str| {
            token.len() <= 64 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
        };
        for (index, token) in self.tokens.iter().enumerate() {
            if !valid(token.expose()) {
                let message =
                    format!("token {} is longer than 64 characters or has more than A–Z a–z 0–9 . _ ~ -", index + 1);
                problems.push(Problem::new("registration.tokens", message));
            }
        }
    }
}
