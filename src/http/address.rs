//! Where a request really came from.
//!
//! Behind a reverse proxy the peer of the socket is the proxy, and the client stands in `X-Forwarded-For`. That header
//! can be written by anyone, so it counts only as far as it was written by proxies named in the configuration: it is
//! read from the right, and the first address that is not a trusted proxy is the client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{Extensions, HeaderMap};

use crate::config::Network;

/// The peer of the connection; `serve` sets it on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The client's address as far as it can be trusted; the middleware sets it on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request. Requests made inside the process have the unspecified address.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

/// Who is behind an address, as far as that can be told: IPv4 as it is, IPv6 by its /64, for one customer has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(u128);

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // As IPv6 writes it, so that it is none of that.
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() & (u128::MAX << 64)),
        }
    }
}

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// The proxies of the configuration's `[listen] trusted_proxies`.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address, given the peer of the socket and the headers.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return ClientAddress(client);
        }
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            let Ok(text) = value.to_str() else { break };
            for entry in text.rsplit(',') {
                // Beyond an entry nobody can read nothing can be trusted.
                let Some(address) = parse_entry(entry) else { return ClientAddress(client) };
                client = address;
                if !self.trusts(client) {
                    return ClientAddress(client);
                }
            }
        }
        ClientAddress(client)
    }
}

/// One entry: an address, with a port from some proxies, IPv6 then in brackets.
fn parse_entry(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    Some(address.ok().or_else(bracketed)?.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = TrustedProxies::new(trusted.iter().map(|text| text.parse().unwrap()).collect());
        proxies.client_address(peer.parse().unwrap(), &headers).0.to_string()
    }

    #[test]
    fn strangers_cannot_name_their_address() {
        assert_eq!(client(&[], "203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        // A client that writes the header itself: the proxy appends the truth on the right.
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.2.3.4, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["127.0.0.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.2.3.4", "203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn chains_of_trusted_proxies_are_followed() {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client(&trusted, "127.0.0.1", &["203.0.113.9, 10.1.2.3"]), "203.0.113.9");
        assert_eq!(client(&trusted, "::ffff:127.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(client(&trusted, "2001:db8::1", &["[2a00::1]:443"]), "2a00::1");
        assert_eq!(client(&trusted, "127.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&trusted, "127.0.0.1", &["10.1.1.1"]), "10.1.1.1");
    }

    #[test]
    fn unreadable_entries_end_the_chain() {
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &["1.2.3.4, unknown"]), "127.0.0.1");
        assert_eq!(client(&["127.0.0.1"], "127.0.0.1", &[""]), "127.0.0.1");
    }
}
