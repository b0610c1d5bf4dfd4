//! Which addresses may be reached. Names of other servers, their redirects and links that people post are the choice of
//! strangers: they must not lead to machines that only this one can reach.
//!
//! The filter stands where the connection is made: the resolver hands on only addresses that passed, so the address that
//! was checked is the one that is used. Addresses written in a URL never see the resolver and are checked on their own,
//! on every hop of a redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::config::Federation;

/// The filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Egress {
    allow_private: bool,
    /// Where the servers of a test listen.
    #[cfg(test)]
    pub(super) exempt: Option<IpAddr>,
}

impl Egress {
    /// What the configuration says.
    pub(super) fn new(config: &Federation) -> Self {
        Self {
            allow_private: config.allow_private_addresses,
            #[cfg(test)]
            exempt: None,
        }
    }

    /// Whether a connection to this address may be made.
    pub(super) fn allows(self, address: IpAddr) -> bool {
        #[cfg(test)]
        if self.exempt == Some(address) {
            return true;
        }
        self.allow_private
            || match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            }
    }

    /// Whether the host of a URL may be asked for: a name is checked once it is resolved, an address now.
    pub(super) fn allows_host(self, host: &str) -> bool {
        literal(host).is_none_or(|address| self.allows(address))
    }
}

/// The address that a host is, in brackets or without. URLs know more ways to write one (`127.1`, `0x7f000001`,
/// `2130706433`), and connections are made by URLs.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let plain = |host: &str| {
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inside.unwrap_or(host).parse().ok()
    };
    plain(host).or_else(|| plain(Url::parse(&format!("https://{host}")).ok()?.host_str()?))
}

/// Not in the registry of special-purpose addresses (RFC 6890 and its successors).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback; multicast, reserved and broadcast.
        (0 | 10 | 127 | 224..=255, _, _) |
        // Link-local, private.
        (169, 254, _) | (192, 168, _) |
        // Protocol assignments, documentation, relays of 6to4.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        // Carrier-grade NAT.
        (100, b, _) => b & 0xc0 == 64,
        // Private.
        (172, b, _) => b & 0xf0 == 16,
        // Benchmarks.
        (198, b, _) => b & 0xfe == 18,
        _ => false,
    };
    !special
}

/// Global unicast. What carries an IPv4 address inside (mapped, compatible, 6to4, Teredo, NAT64) is refused whatever
/// that address is: none of it is how a server is published.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Everything else is unspecified, loopback, mapped, NAT64, unique-local, link-local, multicast or not assigned.
    let global_unicast = a & 0xe000 == 0x2000;
    let special = match (a, b) {
        // Protocol assignments, with Teredo, ORCHID and benchmarks; documentation.
        (0x2001, b) => b < 0x0200 || b == 0x0db8,
        // 6to4.
        (0x2002, _) => true,
        // Documentation.
        (0x3fff, b) => b < 0x1000,
        _ => false,
    };
    global_unicast && !special
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    const STRICT: Egress = Egress { allow_private: false, exempt: None };

    #[track_caller]
    fn refused(addresses: &[&str]) {
        for address in addresses {
            assert!(!STRICT.allows(address.parse().unwrap()), "{address} could be reached");
            assert!(Egress { allow_private: true, exempt: None }.allows(address.parse().unwrap()));
        }
    }

    #[test]
    fn addresses_of_private_networks_are_refused() {
        refused(&["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255"]);
        refused(&["fc00::1", "fdff::1", "fec0::1"]);
    }

    #[test]
    fn addresses_of_this_machine_and_link_are_refused() {
        refused(&["127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.169.254", "255.255.255.255"]);
        refused(&["::1", "::", "fe80::1", "ff02::1"]);
    }

    #[test]
    fn addresses_that_are_nobodys_are_refused() {
        refused(&[
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
        ]);
        refused(&["2001:db8::1", "2001:2::1", "3fff::1", "100::1", "4000::1", "192.0.0.8", "192.88.99.1"]);
    }

    #[test]
    fn mapped_and_compatible_ipv6_addresses_are_refused() {
        refused(&["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8"]);
    }

    #[test]
    fn addresses_of_tunnels_are_refused() {
        // 6to4 and Teredo of 127.0.0.1, NAT64 of 10.0.0.1.
        refused(&["2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b::a00:1", "64:ff9b:1::a00:1"]);
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "198.20.0.1", "2a00::1", "2606:4700::1111"]
        {
            assert!(STRICT.allows(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn literal_hosts_are_checked_and_names_are_not() {
        assert!(!STRICT.allows_host("127.0.0.1") && !STRICT.allows_host("[::ffff:10.0.0.1]"));
        for host in ["127.1", "0x7f.1", "0X7F000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "10.1"] {
            assert!(!STRICT.allows_host(host), "{host}");
        }
        assert!(STRICT.allows_host("localhost") && STRICT.allows_host("[2a00::1]"));
    }
}
