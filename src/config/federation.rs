//! `[federation]`: conversations with other servers.

use std::path::PathBuf;

use ruma::{OwnedServerName, ServerName};

use super::{
    problem::{Problem, Refusal},
    section::{Check, section},
    value::{Value, quoted, string},
};

section! {
    /// Conversations with other servers.
    pub struct Federation in "federation" {
        /// The servers it talks to, as "school.example", "*.district.example" for a domain's subdomains, or "*" for
        /// every server. With an empty list it talks to none.
        pub allow: Vec<ServerPattern> = Vec::new();

        /// Authorities whose certificates are believed besides the system's, as PEM files.
        pub trusted_ca: Vec<PathBuf> = Vec::new();

        /// Servers that are asked for the signing keys of a server that does not answer, or that this one does not talk
        /// to though a neighbour has its people in a shared room. They are believed, so name only servers of people you
        /// trust; `allow` has to name them too.
        pub trusted_key_servers: Vec<OwnedServerName> = Vec::new();

        /// Identity servers, which know whose e-mail address is whose: people may invite others by their addresses through
        /// these, and what these tell of an address that was proved is heard. They learn the addresses, so name only
        /// servers of people you trust. With an empty list nobody is invited that way.
        pub identity_servers: Vec<OwnedServerName> = Vec::new();

        /// Whether other servers, push gateways and previewed pages may have addresses of private networks. Leave
        /// this off, unless this server is on a test network: it keeps outsiders from reaching machines inside
        /// through it.
        pub allow_private_addresses: bool = false;

        /// Whether other servers are told what people call their devices ("Ada's phone"). The devices themselves and their
        /// keys are told in any case, or nobody there could encrypt for them.
        pub device_names: bool = false;
    }
}

impl Check for Federation {
    fn check(&self, problems: &mut Vec<Problem>) {
        for file in &self.trusted_ca {
            if !file.is_file() {
                problems.push(Problem::new("federation.trusted_ca", format!("there is no file {}", file.display())));
            }
        }
        for server in self.trusted_key_servers.iter().filter(|server| !self.allows(server)) {
            let problem = Problem::new("federation.trusted_key_servers", format!("`allow` does not name {server}"));
            problems.push(problem.hint("name it in `allow` too"));
        }
    }
}

impl Federation {
    /// Whether this server talks to others at all.
    pub fn is_on(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether it talks to every server.
    pub fn is_open(&self) -> bool {
        self.allow.iter().any(ServerPattern::is_any)
    }

    /// Whether this server talks to `server`.
    pub fn allows(&self, server: &ServerName) -> bool {
        self.allow.iter().any(|pattern| pattern.matches(server))
    }
}

impl Federation {
    /// Whether the administrator has named this identity server.
    pub fn names_identity_server(&self, server: &ServerName) -> bool {
        self.identity_servers.iter().any(|named| named.as_str().eq_ignore_ascii_case(server.as_str()))
    }
}

/// `*` for every server, a server's name, or `*.` and a domain for all names below that domain. A pattern with a port
/// means that port only, one without means every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPattern {
    /// As it is written, in lower case.
    text: String,
    /// It without its port.
    host: String,
    port: Option<u16>,
}

impl ServerPattern {
    /// The pattern that `text` is; `None` where it is neither a server name nor `*.` and a domain nor `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Some(Self { host: text.clone(), text, port: None });
        }
        let (prefix, name) = text.strip_prefix("*.").map_or(("", text.as_str()), |name| ("*.", name));
        let server = <&ServerName>::try_from(name).ok()?;
        let (host, port) = (format!("{prefix}{}", server.host()), server.port());
        Some(Self { text, host, port })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its form in a server ACL, where ports do not count.
    pub fn acl_entry(&self) -> &str {
        &self.host
    }

    /// Whether it is `*`: it names nobody in particular.
    pub fn is_any(&self) -> bool {
        self.host == "*"
    }

    /// Whether `server` is meant.
    pub fn matches(&self, server: &ServerName) -> bool {
        if self.is_any() {
            return true;
        }
        if self.port.is_some() && self.port != server.port() {
            return false;
        }
        let host = server.host().to_ascii_lowercase();
        match self.host.strip_prefix('*') {
            // What remains begins with a dot, so "*.a.example" is not "ba.example".
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.host,
        }
    }
}

impl Value for ServerPattern {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "a server name")?;
        Self::parse(text).ok_or_else(|| {
            let refusal = Refusal::new(format!("{text:?} is neither a server name nor `*.` and a domain nor `*`"));
            refusal.hint("write a name such as \"school.example\" or \"*.district.example\", or \"*\" for all")
        })
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.text))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use ruma::server_name;

    use super::*;
    use crate::config::section::Section;

    fn pattern(text: &str) -> ServerPattern {
        ServerPattern::read(&toml::Value::from(text)).unwrap()
    }

    #[test]
    fn patterns_match_whole_names_and_subdomains() {
        assert!(pattern("A.example").matches(server_name!("a.example:8448")));
        assert!(!pattern("a.example").matches(server_name!("b.a.example")));
        assert!(pattern("*.a.example").matches(server_name!("B.a.example")));
        assert!(!pattern("*.a.example").matches(server_name!("a.example")));
        assert!(!pattern("*.a.example").matches(server_name!("ba.example")));
        assert!(pattern("*").matches(server_name!("anything.example:1")));
        for text in ["", "a.*", "https://a.example", "**.a", "*a.example"] {
            assert!(ServerPattern::read(&toml::Value::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_in_a_pattern_means_that_port_only() {
        let one = pattern("a.example:1234");
        assert!(one.matches(server_name!("A.example:1234")));
        assert!(!one.matches(server_name!("a.example:1235")));
        assert!(!one.matches(server_name!("a.example")));
        assert!(pattern("[::1]:7").matches(server_name!("[::1]:7")));
        assert!(pattern("*.a.example:1").matches(server_name!("b.a.example:1")));
        assert_eq!(one.acl_entry(), "a.example");
        assert_eq!(one.as_str(), "a.example:1234");
        assert_eq!(pattern("*").acl_entry(), "*");
    }

    #[test]
    fn nobody_is_allowed_while_the_list_is_empty() {
        let server = server_name!("a.example");
        let mut federation = Federation::defaults();
        assert!(!federation.allows(server) && !federation.is_on() && !federation.is_open());
        federation.allow.push(pattern("b.example"));
        assert!(!federation.allows(server) && federation.is_on() && !federation.is_open());
        federation.allow.push(pattern("*"));
        assert!(federation.allows(server) && federation.is_open());
    }
}
