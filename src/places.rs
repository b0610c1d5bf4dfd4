//! Places by key: how many do the same at once for one server, or from one address.
//!
//! Whoever has to wait for somebody slow takes a place under that one's name first, so that nobody uses up what is there
//! for all.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Keys before those are forgotten for the first time that nobody uses.
const SWEPT_FROM: usize = 64;

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
