//! `[listen]`: the addresses this server answers on.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    network::Network,
    problem::Problem,
    section::{Check, section},
};

section! {
    /// The addresses this server answers on.
    pub struct Listen in "listen" {
        /// Where clients connect, in plain HTTP: put a reverse proxy with TLS in front of it before it leaves the
        /// machine.
        pub client: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8008));

        /// Where other servers connect. With `tls_certificate` it speaks TLS, without it plain HTTP for a reverse
        /// proxy.
        pub federation: Option<SocketAddr> = None, example "0.0.0.0:8448";

        /// The certificate chain of the federation address, a PEM file.
        pub tls_certificate: Option<PathBuf> = None, example "/etc/homeroom/tls.crt";

        /// Its private key, a PEM file.
        pub tls_key: Option<PathBuf> = None, example "/etc/homeroom/tls.key";

        /// Where `/metrics` (Prometheus) and `/health` are answered. Both are open to whoever reaches the address.
        pub metrics: Option<SocketAddr> = None, example "127.0.0.1:9008";

        /// The reverse proxies, as addresses or networks ("10.0.0.0/8"): only from these is `X-Forwarded-For`
        /// believed. Without it, rate limits count everybody behind the proxy as one address.
        pub trusted_proxies: Vec<Network> = Vec::new();
    }
}

impl Check for Listen {
    fn check(&self, problems: &mut Vec<Problem>) {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => problems.push(
                Problem::new("listen.tls_key", "it has to be set, as `tls_certificate` is").hint("set both or neither"),
            ),
            (None, Some(_)) => problems.push(
                Problem::new("listen.tls_certificate", "it has to be set, as `tls_key` is").hint("set both or neither"),
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
        let addresses = [Some(self.client), self.federation, self.metrics];
        for (name, address) in [("federation", self.federation), ("metrics", self.metrics)] {
            let uses = addresses.iter().flatten().filter(|other| Some(**other) == address).count();
            // Port 0 lets the system choose, a different port each time.
            if uses > 1 && address.is_some_and(|address| address.port() != 0) {
                let problem = Problem::new(format!("listen.{name}"), "another listener has the same address");
                problems.push(problem.hint("give each its own port"));
            }
        }
    }
}
