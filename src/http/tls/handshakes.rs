//! Places for handshakes, shared out among addresses.
//!
//! While there are free ones everybody gets one. When all are taken, whoever comes from an address that holds fewer takes
//! the oldest place of the address that holds most: so a few addresses that begin handshakes and do not go on keep nobody
//! out. Between addresses that hold about as many nothing is taken; who comes then waits for a free place.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::http::address::Source;

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Handshakes {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The oldest place of each address first; none is empty.
    sources: HashMap<Source, VecDeque<Held>>,
    next: u64,
}

/// A place that somebody has.
#[derive(Debug)]
struct Held {
    number: u64,
    permit: Option<OwnedSemaphorePermit>,
    /// Dropped when the place goes to another.
    _lost: oneshot::Sender<Infallible>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    handshakes: Arc<Handshakes>,
    source: Source,
    number: u64,
    lost: oneshot::Receiver<Infallible>,
}

impl Handshakes {
    /// So many places.
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(places)), taken: Mutex::default() })
    }

    /// Takes a free place or that of another, or waits for one.
    pub(super) async fn enter(self: &Arc<Self>, source: Source) -> Place {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return self.place(source, Some(permit));
        }
        let taken_over = self.taken.lock().take_over(source);
        if let Some(held) = taken_over {
            return self.place(source, held.permit);
        }
        // Nobody closes it.
        let permit = self.free.clone().acquire_owned().await.ok();
        self.place(source, permit)
    }

    fn place(self: &Arc<Self>, source: Source, permit: Option<OwnedSemaphorePermit>) -> Place {
        let (told, lost) = oneshot::channel();
        let mut taken = self.taken.lock();
        let number = taken.next;
        taken.next += 1;
        taken.sources.entry(source).or_default().push_back(Held { number, permit, _lost: told });
        Place { handshakes: self.clone(), source, number, lost }
    }
}

impl Taken {
    /// The oldest place of the address that holds most, if it still holds no fewer than this one afterwards.
    fn take_over(&mut self, source: Source) -> Option<Held> {
        let own = self.sources.get(&source).map_or(0, VecDeque::len);
        let most = self.sources.values_mut().max_by_key(|held| held.len())?;
        if most.len() < own + 2 { None } else { most.pop_front() }
    }
}

impl Place {
    /// Waits until the place has gone to somebody else.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever said but by dropping the other end.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.handshakes.taken.lock();
        if let Some(held) = taken.sources.get_mut(&self.source) {
            held.retain(|held| held.number != self.number);
            if held.is_empty() {
                taken.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    /// A place that is had without waiting.
    fn at_once(handshakes: &Arc<Handshakes>, address: &str) -> Option<Place> {
        handshakes.enter(source(address)).now_or_never()
    }

    fn lost(places: &mut [Place]) -> Vec<bool> {
        let lost = |place: &mut Place| matches!(place.lost.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        places.iter_mut().map(lost).collect()
    }

    #[test]
    fn who_holds_less_takes_the_oldest_place_of_who_holds_most() {
        let handshakes = Handshakes::new(6);
        let mut most: Vec<Place> = (0..4).map(|_| at_once(&handshakes, "192.0.2.1").unwrap()).collect();
        let mut some: Vec<Place> = (0..2).map(|_| at_once(&handshakes, "192.0.2.2").unwrap()).collect();
        // One customer has a whole /64.
        let mut new = vec![at_once(&handshakes, "2001:db8::1").unwrap(), at_once(&handshakes, "2001:db8::2").unwrap()];
        assert_eq!(lost(&mut most), [true, true, false, false]);
        assert!(at_once(&handshakes, "2001:db8::3").is_none(), "all hold as many");
        assert!(at_once(&handshakes, "192.0.2.1").is_none());
        new.push(at_once(&handshakes, "192.0.2.3").unwrap());
        let all = [lost(&mut most), lost(&mut some), lost(&mut new)].concat();
        assert_eq!(all.iter().filter(|lost| **lost).count(), 3, "each newcomer took one");
        assert!(!lost(&mut new)[2]);
    }

    #[tokio::test]
    async fn places_come_back_once_each() {
        let handshakes = Handshakes::new(2);
        let first = at_once(&handshakes, "192.0.2.1").unwrap();
        let second = at_once(&handshakes, "192.0.2.1").unwrap();
        let other = at_once(&handshakes, "192.0.2.2").unwrap();
        // What was taken over is not given back by who lost it.
        drop(first);
        let mut waiting = Box::pin(handshakes.enter(source("192.0.2.2")));
        assert!((&mut waiting).now_or_never().is_none());
        drop(second);
        let waited = waiting.await;
        drop((other, waited));
        assert_eq!(handshakes.free.available_permits(), 2);
        assert!(handshakes.taken.lock().sources.is_empty());
    }
}
