//! How many requests of each server are answered at once.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ruma::ServerName;

use crate::places::Holder;

/// Requests of one server that are worked on at once; more are sent away. Servers send one transaction at a time, and
/// a few questions beside it.
const AT_ONCE_MAX: usize = 64;

/// Who is being answered. It holds as many names as there are requests.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<Mutex<HashMap<Holder, usize>>>);

/// The place of one request; given back when it is dropped.
#[derive(Debug)]
pub struct OriginPlace {
    origins: Origins,
    origin: Holder,
}

impl Origins {
    /// A place for a request of this server, if it has one left.
    pub fn enter(&self, origin: &ServerName) -> Option<OriginPlace> {
        let origin = Holder::of(origin);
        let mut places = self.0.lock();
        let taken = places.entry(origin.clone()).or_default();
        if *taken >= AT_ONCE_MAX {
            return None;
        }
        *taken += 1;
        Some(OriginPlace { origins: self.clone(), origin })
    }
}

impl Drop for OriginPlace {
    fn drop(&mut self) {
        let mut places = self.origins.0.lock();
        if let Some(taken) = places.get_mut(&self.origin) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn one_server_does_not_take_the_places_of_another() {
        let origins = Origins::default();
        let busy = server_name!("busy.example");
        let places: Vec<_> = std::iter::from_fn(|| origins.enter(busy)).collect();
        assert_eq!(places.len(), AT_ONCE_MAX);
        for name in [server_name!("busy.example:1"), server_name!("Busy.example")] {
            assert!(origins.enter(name).is_none(), "{name} is the same server");
        }
        assert!(origins.enter(server_name!("other.example")).is_some());
        drop(places);
        assert!(origins.0.lock().is_empty());
        assert!(origins.enter(busy).is_some());
    }
}
