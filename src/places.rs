//! Shares: whose one is, and places by key: how many do the same at once for one server, or from one address.
//!
//! Whoever has to wait for somebody slow takes a place under that one's name first, so that nobody uses up what is there
//! for all. Whatever is shared out among servers, places or rows, is counted by [`Holder`].

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Keys before those are forgotten for the first time that nobody uses.
const SWEPT_FROM: usize = 64;

/// Whose share it is: a server by its host, whatever port and case its name is written with.
///
/// `[federation] allow` lets a host in under every port unless it says one, so a server has as many names as it likes, and
/// each of them a key of its own. Counted by name, each would have a share. Servers of one host have one share together;
/// of an IPv6 address it is that of its network (/64), since whoever has one address has all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder(Box<str>);

impl Holder {
    /// Whose share it is what comes from a server. `server` is its name, also as a table has it.
    pub fn of(server: impl AsRef<str>) -> Self {
        let name = server.as_ref();
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some(address) = bracketed.and_then(|(address, _)| address.parse::<Ipv6Addr>().ok()) {
            return Self(match address.to_canonical() {
                IpAddr::V4(address) => address.to_string().into(),
                IpAddr::V6(address) => {
                    let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
                    format!("[{network}]").into()
                }
            });
        }
        let host = name.split_once(':').map_or(name, |(host, _)| host);
        // A dot at the end is the root of the same domain.
        let host = host.strip_suffix('.').unwrap_or(host);
        Self(host.to_ascii_lowercase().into())
    }

    /// The host, in the form of a server's name without a port.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So many places for each key. It holds about as many keys as there are who have a place or wait for one.
#[derive(Debug)]
pub struct Places<K> {
    each: usize,
    keys: Mutex<Keys<K>>,
}

#[derive(Debug)]
struct Keys<K> {
    places: HashMap<K, Weak<Semaphore>>,
    /// Keys at which those that nobody uses are forgotten.
    swept_at: usize,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash> Places<K> {
    /// So many for each key.
    pub fn new(each: usize) -> Self {
        Self { each, keys: Mutex::new(Keys { places: HashMap::new(), swept_at: SWEPT_FROM }) }
    }

    /// Waits for a place; who came first gets it first.
    pub async fn enter(&self, key: K) -> Place {
        // Nobody closes it.
        Place { _permit: self.of(key).acquire_owned().await.ok() }
    }

    /// A place, if one is free.
    pub fn try_enter(&self, key: K) -> Option<Place> {
        Some(Place { _permit: Some(self.of(key).try_acquire_owned().ok()?) })
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut keys = self.keys.lock();
        if keys.places.len() >= keys.swept_at {
            keys.places.retain(|_, places| places.strong_count() > 0);
            keys.swept_at = (2 * keys.places.len()).max(SWEPT_FROM);
        }
        let known = keys.places.entry(key).or_default();
        known.upgrade().unwrap_or_else(|| {
            let places = Arc::new(Semaphore::new(self.each));
            *known = Arc::downgrade(&places);
            places
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_server_has_one_share_under_all_its_names() {
        let of = |names: &[&str]| {
            let holders: Vec<_> = names.iter().map(Holder::of).collect();
            assert!(holders.iter().all(|holder| *holder == holders[0]), "{holders:?}");
            holders[0].as_str().to_owned()
        };
        let names = [
            "b.example",
            "b.example:1",
            "b.example:65535",
            "b.example:08448",
            "B.Example",
            "b.eXample:443",
            "b.example.",
        ];
        assert_eq!(of(&names), "b.example");
        assert_eq!(of(&["192.0.2.1", "192.0.2.1:8448", "[::ffff:192.0.2.1]", "[::FFFF:c000:201]:1"]), "192.0.2.1");
        let network =
            ["[2001:db8:0:1::7]", "[2001:DB8:0:1::7]:8448", "[2001:0db8:0000:0001:ffff::1]", "[2001:db8:0:1::]:1"];
        assert_eq!(of(&network), "[2001:db8:0:1::]");
        let others =
            ["b.example", "a.b.example", "bb.example", "192.0.2.2", "192.0.2.1", "[2001:db8:0:1::]", "[2001:db8::]"];
        let apart: std::collections::HashSet<_> = others.iter().map(Holder::of).collect();
        assert_eq!(apart.len(), others.len());
        // What a table or a name that is none may hold is somebody's too.
        for odd in ["", ":", ".", "[", "[::1", "[x]:1", "]", "b.example:x"] {
            Holder::of(odd);
        }
        for name in others {
            assert!(<&ruma::ServerName>::try_from(Holder::of(name).as_str()).is_ok());
        }
    }

    #[tokio::test]
    async fn who_has_all_places_of_one_key_keeps_nobody_from_those_of_another() {
        let places = Places::new(2);
        let (first, _second) = (places.enter("slow").await, places.enter("slow").await);
        assert!(places.try_enter("slow").is_none());
        let mut third = Box::pin(places.enter("slow"));
        assert!((&mut third).now_or_never().is_none());
        let _other = places.enter("quick").now_or_never().unwrap();
        drop(first);
        let _third = third.await;
        assert!(places.try_enter("slow").is_none(), "a place is given to one");
    }

    #[tokio::test]
    async fn keys_that_nobody_uses_are_forgotten() {
        let places = Places::new(1);
        let held = places.enter(0).await;
        for key in 1..10_000 {
            drop(places.enter(key).await);
            assert!(places.keys.lock().places.len() <= SWEPT_FROM);
        }
        assert!(places.try_enter(0).is_none(), "one that is used is not");
        drop(held);
        assert!(places.try_enter(0).is_some());
    }
}
