//! Room in the inbox that a transaction takes before it is written.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;

use super::{
    inbox::{Inbox, Inner},
    parked::Lane,
};
use crate::{places::Holder, store::RoomNo};

/// Events of one server that lack something and are fetched for in a room; beyond, that server is asked to come back, and
/// nobody else.
const LANE_MAX: usize = 1_000;

/// Room in the inbox for events of one server. It is given back when this is dropped, unless they have arrived.
pub(super) struct Taken {
    inner: Weak<Inner>,
    holder: Holder,
    /// The room of each event.
    rooms: Vec<RoomNo>,
}

impl Taken {
    /// Nothing yet.
    pub(super) fn new(inbox: &Arc<Inner>, holder: Holder) -> Self {
        Self { inner: Arc::downgrade(inbox), holder, rooms: Vec::new() }
    }

    /// Takes room for one more event of a room, in which its server is or is not. `false` when there is none: that
    /// server is to come back.
    pub(super) fn add(&mut self, room: RoomNo, is_in_room: bool) -> bool {
        let Some(inner) = self.inner.upgrade() else { return false };
        let mut workers = inner.workers.lock();
        let worker = workers.entry(room).or_default();
        let parked = worker.lanes.get(&self.holder).map_or(0, Lane::len);
        let added = parked < LANE_MAX && worker.waiting.take(&self.holder, is_in_room);
        if added {
            self.rooms.push(room);
        } else if worker.is_idle() {
            workers.remove(&room);
        }
        added
    }

    /// Nothing was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The events are in the inbox now. Any thread may say so.
    pub(super) fn arrived(mut self, runtime: &Handle) {
        let Some(inner) = self.inner.upgrade() else { return };
        Inbox(inner).start(std::mem::take(&mut self.rooms), runtime);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        for room in std::mem::take(&mut self.rooms) {
            inner.give_back(room, std::iter::once(&self.holder));
        }
    }
}
