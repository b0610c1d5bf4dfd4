//! Addresses and networks: `"192.0.2.1"`, `"10.0.0.0/8"`.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    problem::Refusal,
    value::{Value, string},
};

/// All addresses that begin with the same bits; one address is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many of the leading bits count.
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in this network. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is taken as the
    /// IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let ignored = 32 - u32::from(self.prefix);
                (own.to_bits() ^ other.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let ignored = 128 - u32::from(self.prefix);
                (own.to_bits() ^ other.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == width(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(drop)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let prefix = prefix.unwrap_or(width(address));
        if prefix > width(address) { Err(()) } else { Ok(Self { address, prefix }) }
    }
}

impl Value for Network {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "an address")?;
        text.parse().map_err(|()| {
            Refusal::new(format!("{text:?} is not an address or network"))
                .hint("write an IP address, such as \"127.0.0.1\", or a network, such as \"10.0.0.0/8\"")
        })
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

/// The bits of an address of that family.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, inside) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::1", "::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_and_the_rest_is_refused() {
        for text in ["192.0.2.1", "10.0.0.0/8", "::1", "2001:db8::/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0.1:80"] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }
}
