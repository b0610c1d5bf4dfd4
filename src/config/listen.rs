//! `[listen]`: the addresses this server answers on.

use std::{net::SocketAddr, path::PathBuf};

use ruma::OwnedServerName;

use super::{
    PublicUrl,
    network::Network,
    problem::{Problem, Refusal},
    section::{Check, section},
    value::{Value, quoted, string},
};

/// Domains of one certificate.
const ACME_DOMAINS_MAX: usize = 20;

section! {
    /// The addresses this server answers on.
    pub struct Listen in "listen" {
        /// Where clients connect, in plain HTTP: put a reverse proxy with TLS in front of it before it leaves the
        /// machine.
        pub client: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8008));

        /// Where other servers connect. With a certificate it speaks TLS, without it plain HTTP for a reverse
        /// proxy. The same address as `client` serves clients and servers together, with TLS if there is a
        /// certificate: with "0.0.0.0:443" for both, no reverse proxy is needed.
        pub federation: Option<SocketAddr> = None, example "0.0.0.0:8448";

        /// The certificate chain of the federation address, a PEM file. It is read again when it changes.
        pub tls_certificate: Option<PathBuf> = None, example "/etc/homeroom/tls.crt";

        /// Its private key, a PEM file.
        pub tls_key: Option<PathBuf> = None, example "/etc/homeroom/tls.key";

        /// The domains for which this server gets certificates by itself, from Let's Encrypt or another authority
        /// that speaks ACME, in place of `tls_certificate`. The authority has to reach `federation` on port 443 of
        /// each. Naming one means agreeing to the authority's terms of service.
        pub acme_domains: Vec<OwnedServerName> = Vec::new();

        /// The e-mail address that the authority writes to.
        pub acme_contact: Option<Mailbox> = None, example "it@school.example";

        /// The authority's directory.
        pub acme_directory: PublicUrl = PublicUrl::lets_encrypt();

        /// Where `/metrics` (Prometheus) and `/health` are answered. Both are open to whoever reaches the address.
        pub metrics: Option<SocketAddr> = None, example "127.0.0.1:9008";

        /// The reverse proxies, as addresses or networks ("10.0.0.0/8"): only from these is `X-Forwarded-For`
        /// believed. Without it, rate limits count everybody behind the proxy as one address.
        pub trusted_proxies: Vec<Network> = Vec::new();
    }
}

impl Listen {
    /// Whether clients and other servers are answered by one listener. Port 0 is a different port each time.
    pub fn is_one_port(&self) -> bool {
        self.federation == Some(self.client) && self.client.port() != 0
    }
}

impl Check for Listen {
    fn check(&self, problems: &mut Vec<Problem>) {
        self.check_certificate(problems);
        self.check_acme(problems);
        let others = [self.federation.filter(|_| !self.is_one_port()), self.metrics];
        let addresses = [Some(self.client), others[0], others[1]];
        for (name, address) in ["federation", "metrics"].into_iter().zip(others) {
            let uses = addresses.iter().flatten().filter(|other| Some(**other) == address).count();
            // Port 0 lets the system choose, a different port each time.
            if uses > 1 && address.is_some_and(|address| address.port() != 0) {
                let problem = Problem::new(format!("listen.{name}"), "another listener has the same address");
                problems.push(problem.hint("give each its own port"));
            }
        }
    }
}

impl Listen {
    fn check_certificate(&self, problems: &mut Vec<Problem>) {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => problems.push(
                Problem::new("listen.tls_key", "it has to be set, as `tls_certificate` is").hint("set both or neither"),
            ),
            (None, Some(_)) => problems.push(
                Problem::new("listen.tls_certificate", "it has to be set, as `tls_key` is").hint("set both or neither"),
            ),
            (Some(_), Some(_)) if self.federation.is_none() => problems.push(
                Problem::new("listen.tls_certificate", "nothing speaks TLS")
                    .hint("set `federation` too; it may be the address of `client`"),
            ),
            _ => {}
        }
        let named = [("listen.tls_certificate", &self.tls_certificate), ("listen.tls_key", &self.tls_key)];
        for (path, file) in named {
            if let Some(file) = file
                && !file.is_file()
            {
                problems.push(Problem::new(path, format!("there is no file {}", file.display())));
            }
        }
    }

    fn check_acme(&self, problems: &mut Vec<Problem>) {
        let mut refuse = |message: String, hint: &str| {
            problems.push(Problem::new("listen.acme_domains", message).hint(hint));
        };
        if self.acme_domains.len() > ACME_DOMAINS_MAX {
            refuse(format!("these are more than {ACME_DOMAINS_MAX} domains"), "name those that others connect to");
        }
        for domain in &self.acme_domains {
            if domain.port().is_some() || domain.is_ip_literal() || !domain.as_str().contains('.') {
                refuse(format!("{domain} is not a domain"), "write names such as \"school.example\"");
            }
        }
        if !self.acme_domains.is_empty() && self.tls_certificate.is_some() {
            refuse("`tls_certificate` is set too".to_owned(), "keep one of the two");
        }
        if !self.acme_domains.is_empty() && self.federation.is_none() {
            refuse("nothing speaks TLS".to_owned(), "set `federation` too; it may be the address of `client`");
        }
    }
}

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox(String);

impl Mailbox {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Mailbox {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "an e-mail address")?;
        let parts = text.split_once('@').filter(|(name, domain)| !name.is_empty() && domain.contains('.'));
        let clean = text.len() <= 254 && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,\"".contains(&byte));
        if parts.is_some_and(|(_, domain)| !domain.contains('@')) && clean {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::new(format!("{text:?} is not an e-mail address"))
                .hint("write one such as \"it@school.example\""))
        }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;
    use crate::config::section::Section as _;

    /// What is wrong with a section that was changed so.
    fn problems(change: impl FnOnce(&mut Listen)) -> Vec<String> {
        let mut listen = Listen::defaults();
        change(&mut listen);
        let mut problems = Vec::new();
        listen.check(&mut problems);
        problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn one_address_may_serve_clients_and_servers() {
        assert!(problems(|listen| listen.federation = Some(listen.client)).is_empty());
        let mut listen = Listen::defaults();
        assert!(!listen.is_one_port());
        listen.federation = Some(listen.client);
        assert!(listen.is_one_port());
        let both = problems(|listen| {
            listen.federation = Some(listen.client);
            listen.metrics = Some(listen.client);
        });
        assert_eq!(both, ["listen.metrics: another listener has the same address"]);
    }

    #[test]
    fn a_certificate_needs_a_listener() {
        let file = Some(PathBuf::from("Cargo.toml"));
        let unused = problems(|listen| (listen.tls_certificate, listen.tls_key) = (file.clone(), file.clone()));
        assert_eq!(unused, ["listen.tls_certificate: nothing speaks TLS"]);
        let used = problems(|listen| {
            (listen.tls_certificate, listen.tls_key) = (file.clone(), file.clone());
            listen.federation = Some(listen.client);
        });
        assert!(used.is_empty(), "{used:?}");
    }

    #[test]
    fn authorities_certify_domains_only() {
        let with = |name: &str| {
            let name = OwnedServerName::try_from(name).unwrap();
            problems(|listen| {
                listen.federation = Some(listen.client);
                listen.acme_domains.push(name);
            })
        };
        assert!(with("school.example").is_empty());
        for name in ["school.example:443", "192.0.2.1", "[::1]", "localhost"] {
            assert_eq!(with(name), [format!("listen.acme_domains: {name} is not a domain")]);
        }
    }

    #[test]
    fn contacts_are_addresses() {
        let read = |text: &str| Mailbox::read(&toml::Value::from(text));
        assert_eq!(read("it@school.example").unwrap().as_str(), "it@school.example");
        for text in
            ["", "it", "it@school", "@school.example", "a b@school.example", "a@b@school.example", "<a@b.example>"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
