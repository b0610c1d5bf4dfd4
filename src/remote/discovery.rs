//! Where a server is found (spec v1.19, Server-Server API, "Server discovery").
//!
//! A server name leads to a [`Route`]: what stands as host in the URL, which is also the name on the certificate, and the
//! `Host` header where it differs. What a *host without a port* resolves to (SRV records, else port 8448) depends on
//! the host alone, so it is left to the resolver of the connection ([`targets`]) and connections can be pooled by host.

mod freshness;
mod services;
mod well_known;

use ruma::ServerName;

pub(super) use self::{
    services::{Target, targets},
    well_known::WellKnown,
};
use super::{
    connect::Ports,
    egress::{Egress, literal},
    error::{RemoteError, Unreachable},
};

/// How a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Host of the URL and name on the certificate, with the port where one is said.
    pub(super) authority: String,
    /// The `Host` header, where it is not the authority.
    pub(super) host: Option<String>,
    /// The port is said, or the host is an address: no SRV records are looked at.
    pub(super) direct: bool,
}

impl Route {
    /// The route to a name that nothing more is known of: its own, or the one it delegates to.
    pub(super) fn to(name: &ServerName, egress: Egress, ports: Ports) -> Result<Self, RemoteError> {
        let (host, port) = (name.host(), name.port());
        if literal(host).is_some() {
            if !egress.allows_host(host) {
                return Err(RemoteError::unreachable(Unreachable::Dns, "its address may not be reached"));
            }
            let authority = format!("{host}:{}", port.unwrap_or(ports.matrix));
            return Ok(Self { host: (authority != name.as_str()).then(|| name.to_string()), authority, direct: true });
        }
        Ok(match port {
            // The URL's own default, which it leaves out of the header.
            Some(443) => Self { authority: host.to_owned(), host: Some(name.to_string()), direct: true },
            Some(_) => Self { authority: name.to_string(), host: None, direct: true },
            None => Self { authority: host.to_owned(), host: None, direct: false },
        })
    }
}

/// Whether a name is to be asked for a well-known document: it says neither an address nor a port.
pub(super) fn may_delegate(name: &ServerName) -> bool {
    name.port().is_none() && literal(name.host()).is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;
    use crate::config::{Config, ServerPattern};

    fn route(name: &str, allow_private: bool) -> Result<Route, RemoteError> {
        let mut config = Config::defaults(ruma::owned_server_name!("a.example")).federation;
        config.allow = vec![ServerPattern::parse("*").unwrap()];
        config.allow_private_addresses = allow_private;
        Route::to(<&ServerName>::try_from(name).unwrap(), Egress::new(&config), Ports::default())
    }

    #[test]
    fn each_form_of_a_name_has_its_certificate_name_and_host_header() {
        for (name, authority, host, direct) in [
            ("b.example", "b.example", None, false),
            ("b.example:8448", "b.example:8448", None, true),
            ("b.example:443", "b.example", Some("b.example:443"), true),
            ("[2a00::1]", "[2a00::1]:8448", Some("[2a00::1]"), true),
            ("8.8.8.8:99", "8.8.8.8:99", None, true),
        ] {
            let expected = Route { authority: authority.to_owned(), host: host.map(str::to_owned), direct };
            assert_eq!(route(name, false).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_a_private_address_has_no_route() {
        for name in ["127.0.0.1", "[::ffff:10.0.0.1]:8448", "2130706433", "127.1:22", "0x7f.1:443", "127.0.0.1."] {
            assert!(matches!(route(name, false), Err(RemoteError::Unreachable { .. })), "{name}");
            assert!(!may_delegate(<&ServerName>::try_from(name).unwrap()), "{name}");
            assert!(route(name, true).is_ok());
        }
    }
}
