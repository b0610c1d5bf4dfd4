//! `[federation]`: conversations with other servers.

use std::path::PathBuf;

use ruma::ServerName;

use super::{
    problem::{Problem, Refusal},
    section::{Check, section},
    value::{Value, quoted, string},
};

section! {
    /// Conversations with other servers.
    pub struct Federation in "federation" {
        /// Whether this server talks to others at all.
        pub enabled: bool = false;

        /// The servers it talks to, as "school.example", or "*.district.example" for a domain's subdomains; with an
        /// empty list, to all.
        pub allow: Vec<ServerPattern> = Vec::new();

        /// Authorities whose certificates are believed besides the system's, as PEM files.
        pub trusted_ca: Vec<PathBuf> = Vec::new();

        /// Whether other servers, push gateways and previewed pages may have addresses of private networks. Leave
        /// this off, unless this server is on a test network: it keeps outsiders from reaching machines inside
        /// through it.
        pub allow_private_addresses: bool = false;
    }
}

impl Check for Federation {
    fn check(&self, problems: &mut Vec<Problem>) {
        for file in &self.trusted_ca {
            if !file.is_file() {
                problems.push(Problem::new("federation.trusted_ca", format!("there is no file {}", file.display())));
            }
        }
    }
}

impl Federation {
    /// Whether this server talks to `server`: federation is on, and the list is empty or names it.
    pub fn allows(&self, server: &ServerName) -> bool {
        self.enabled && (self.allow.is_empty() || self.allow.iter().any(|pattern| pattern.matches(server)))
    }
}

/// A server's name, or `*.` and a domain for all names below that domain. Ports do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPattern(String);

impl ServerPattern {
    /// As it is written: also the form of server ACLs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `server` is meant.
    pub fn matches(&self, server: &ServerName) -> bool {
        let host = server.host().to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            // What remains begins with a dot, so "*.a.example" is not "ba.example".
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.0,
        }
    }
}

impl Value for ServerPattern {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "a server name")?.to_ascii_lowercase();
        let name = text.strip_prefix("*.").unwrap_or(&text);
        match <&ServerName>::try_from(name) {
            Ok(server) if server.port().is_none() => Ok(Self(text)),
            _ => {
                let refusal = Refusal::new(format!("{text:?} is neither a server name nor `*.` and a domain"));
                Err(refusal.hint("write a name without its port, such as \"school.example\" or \"*.district.example\""))
            }
        }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use ruma::server_name;

    use super::*;
    use crate::config::section::Section;

    #[test]
    fn patterns_match_whole_names_and_subdomains() {
        let pattern = |text: &str| ServerPattern::read(&toml::Value::from(text)).unwrap();
        assert!(pattern("A.example").matches(server_name!("a.example:8448")));
        assert!(!pattern("a.example").matches(server_name!("b.a.example")));
        assert!(pattern("*.a.example").matches(server_name!("B.a.example")));
        assert!(!pattern("*.a.example").matches(server_name!("a.example")));
        assert!(!pattern("*.a.example").matches(server_name!("ba.example")));
        for text in ["", "*", "a.*", "a.example:8448", "https://a.example", "**.a"] {
            assert!(ServerPattern::read(&toml::Value::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_is_allowed_while_federation_is_off() {
        let server = server_name!("a.example");
        let mut federation = Federation::defaults();
        assert!(!federation.allows(server));
        federation.enabled = true;
        assert!(federation.allows(server));
        federation.allow.push(ServerPattern("b.example".to_owned()));
        assert!(!federation.allows(server));
    }
}
