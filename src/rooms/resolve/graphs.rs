//! The auth graphs that are kept in memory.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::graph::Graph;
use crate::store::RoomNo;

/// Bytes of all graphs together. Only rooms that fork have one.
const BYTES_MAX: usize = 64 << 20;

/// A room's graph, shared by those who resolve in that room.
pub(super) type SharedGraph = Arc<tokio::sync::Mutex<Graph>>;

/// The graphs of the rooms that forked lately.
#[derive(Default)]
pub(super) struct Graphs(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    rooms: HashMap<RoomNo, Kept>,
    uses: u64,
    bytes: usize,
}

struct Kept {
    graph: SharedGraph,
    used: u64,
    bytes: usize,
}

impl Graphs {
    /// The graph of a room, empty at first.
    pub(super) fn of(&self, room: RoomNo) -> SharedGraph {
        let mut inner = self.0.lock();
        inner.uses += 1;
        let used = inner.uses;
        let kept = inner.rooms.entry(room).or_insert_with(|| Kept { graph: SharedGraph::default(), used, bytes: 0 });
        kept.used = used;
        kept.graph.clone()
    }

    /// Says how large a graph has become; those unused for longest go when all together are too large. Whoever uses one
    /// of them keeps it until then.
    pub(super) fn weigh(&self, room: RoomNo, bytes: usize) {
        let mut inner = self.0.lock();
        if let Some(kept) = inner.rooms.get_mut(&room) {
            let before = std::mem::replace(&mut kept.bytes, bytes);
            inner.bytes = inner.bytes - before + bytes;
        }
        while inner.bytes > BYTES_MAX
            && let Some(oldest) = inner.rooms.iter().min_by_key(|(_, kept)| kept.used).map(|(room, _)| *room)
            && let Some(gone) = inner.rooms.remove(&oldest)
        {
            inner.bytes -= gone.bytes;
        }
    }
}
