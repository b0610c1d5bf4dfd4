//! The auth difference and the conflicted state subgraph.

use roaring::RoaringBitmap;
use ruma::events::StateEventType;

use super::{
    graph::Graph,
    load::Source,
    unconflicted::{Pair, Unconflicted},
};
use crate::store::{EventNo, RoomNo, StoreError, state_tree::StateRoot};

/// Events in doubt that are read one by one before whole states are asked.
const HOLDERS_MAX: u64 = 256;

/// What the conflicted events of each state lead to.
#[derive(Debug)]
pub(super) struct Spread {
    /// The events in conflict.
    pub conflicted: RoaringBitmap,
    /// What those of any state lead to, themselves included.
    pub any: RoaringBitmap,
    /// What those of every state lead to.
    pub all: RoaringBitmap,
}

impl Spread {
    /// From the conflicted events of each state, which are in the graph.
    pub(super) fn of(graph: &mut Graph, sides: &[Vec<EventNo>]) -> Self {
        let mut spread: Option<Self> = None;
        for side in sides {
            let dense: Vec<u32> = side.iter().filter_map(|event| graph.dense(*event)).collect();
            let reached = graph.reach(dense.iter().copied());
            let spread = spread.get_or_insert_with(|| Self {
                conflicted: RoaringBitmap::new(),
                any: RoaringBitmap::new(),
                all: reached.clone(),
            });
            spread.conflicted.extend(dense);
            spread.any |= &reached;
            spread.all &= &reached;
        }
        let nothing = RoaringBitmap::new;
        spread.unwrap_or_else(|| Self { conflicted: nothing(), any: nothing(), all: nothing() })
    }

    /// Every event on a path along auth events from one conflicted event to another, ends included.
    pub(super) fn subgraph(&self, graph: &Graph) -> RoaringBitmap {
        let mut found = self.conflicted.clone();
        let (Some(first), Some(last)) = (found.min(), found.max()) else { return found };
        // All in `any` are reached from a conflicted event. Whether they reach one is known when it is known of their
        // auth events, which come before them.
        for dense in self.any.range(first..=last) {
            if graph.auth(dense).iter().any(|auth| found.contains(*auth)) {
                found.insert(dense);
            }
        }
        found
    }
}

impl Source {
    /// The events that are in the auth chain of some state, but not of all; without those in conflict.
    ///
    /// The chain of a state is what its entries lead to, those that all states share and those in conflict. So only
    /// what `spread.any` has beyond `spread.all` can be in the difference, and it is unless a shared entry leads to it.
    /// With `shortcuts`, the entries that most likely do are tried first; what is left after that is decided by the
    /// covers of the states.
    pub(super) async fn auth_difference(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        roots: &[StateRoot],
        spread: &Spread,
        unconflicted: &mut Unconflicted,
        shortcuts: bool,
    ) -> Result<RoaringBitmap, StoreError> {
        let mut doubtful = &spread.any - &spread.all;
        doubtful -= &spread.conflicted;
        if shortcuts {
            self.clear_by_pillars(graph, room, &mut doubtful, unconflicted).await?;
            self.clear_by_holders(graph, room, &mut doubtful, unconflicted).await?;
        }
        if doubtful.is_empty() {
            return Ok(doubtful);
        }
        let mut all: Option<RoaringBitmap> = None;
        for root in roots {
            let cover = self.cover(graph, room, *root).await?;
            match &mut all {
                Some(all) => *all &= cover,
                None => all = Some(cover),
            }
        }
        doubtful -= all.unwrap_or_default();
        Ok(doubtful)
    }

    /// Takes away what the room's shared power levels and join rules lead to: nearly always the old ones.
    async fn clear_by_pillars(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        doubtful: &mut RoaringBitmap,
        unconflicted: &mut Unconflicted,
    ) -> Result<(), StoreError> {
        for kind in [StateEventType::RoomPowerLevels, StateEventType::RoomJoinRules] {
            if doubtful.is_empty() {
                break;
            }
            if let Some(event) = unconflicted.get(&(kind, String::new())).await? {
                self.clear(graph, room, doubtful, event).await?;
            }
        }
        Ok(())
    }

    /// Takes away what the shared entry of the same type and key leads to: who changed a name led to the name before.
    async fn clear_by_holders(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        doubtful: &mut RoaringBitmap,
        unconflicted: &mut Unconflicted,
    ) -> Result<(), StoreError> {
        if doubtful.len() > HOLDERS_MAX {
            return Ok(());
        }
        let numbers: Vec<EventNo> = doubtful.iter().filter_map(|dense| graph.event(dense)).collect();
        for event in self.events.require_many(room, &numbers).await? {
            let still = graph.dense(event.number).is_some_and(|dense| doubtful.contains(dense));
            let pair: Option<Pair> = event.pdu.state_pair().map(|(kind, key)| (kind, key.to_owned()));
            if still
                && let Some(pair) = pair
                && let Some(holder) = unconflicted.get(&pair).await?
            {
                self.clear(graph, room, doubtful, holder).await?;
            }
        }
        Ok(())
    }

    async fn clear(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        doubtful: &mut RoaringBitmap,
        event: EventNo,
    ) -> Result<(), StoreError> {
        self.load(graph, room, [event]).await?;
        let dense = graph.dense(event);
        *doubtful -= graph.reach(dense);
        Ok(())
    }
}
