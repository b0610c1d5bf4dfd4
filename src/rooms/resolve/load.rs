//! Reading the parts of an auth graph that are not in memory.

use std::collections::{HashMap, HashSet};

use roaring::RoaringBitmap;

use super::{edges::edges, graph::Graph};
use crate::store::{
    EventNo, Events, RoomNo, Store, StoreError,
    state_tree::{Part, StateRoot, StateTree},
};

/// Rows read in one go.
const READ_MAX: usize = 256;

/// Where graphs are read from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Source {
    pub store: Store,
    pub events: Events,
    pub tree: StateTree,
}

impl Source {
    /// Adds events to a graph, with all that their auth events lead to.
    pub(super) async fn load(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        wanted: impl IntoIterator<Item = EventNo>,
    ) -> Result<(), StoreError> {
        let mut open: Vec<EventNo> = Vec::new();
        let mut seen = HashSet::new();
        let mut found = HashMap::new();
        open.extend(wanted.into_iter().filter(|event| graph.dense(*event).is_none() && seen.insert(*event)));
        while !open.is_empty() {
            let page = open.split_off(open.len().saturating_sub(READ_MAX));
            for (event, record) in page.iter().zip(edges(&self.store, &self.events, room, &page).await?) {
                let auth = record.auth_events.iter().copied();
                open.extend(auth.filter(|auth| graph.dense(*auth).is_none() && seen.insert(*auth)));
                found.insert(*event, record);
            }
            tokio::task::yield_now().await;
        }
        graph.add(&found);
        Ok(())
    }

    /// The auth chains of all events of a state, as one set. Parts that were met before, in whatever state, are not
    /// looked into.
    pub(super) async fn cover(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        state: StateRoot,
    ) -> Result<RoaringBitmap, StoreError> {
        if state.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        // From the top down, so that parts come after what they are part of.
        let mut unknown: Vec<(StateRoot, Part)> = Vec::new();
        let mut level: Vec<StateRoot> = vec![state];
        let mut seen: HashSet<StateRoot> = HashSet::new();
        while !level.is_empty() {
            level.retain(|name| graph.cover(*name).is_none() && seen.insert(*name));
            let mut below = Vec::new();
            for names in level.chunks(READ_MAX) {
                for (name, part) in names.iter().zip(self.tree.parts(names).await?) {
                    match &part {
                        Part::Parts(parts) => below.extend_from_slice(parts),
                        Part::Events(events) => self.load(graph, room, events.iter().copied()).await?,
                    }
                    unknown.push((*name, part));
                }
                tokio::task::yield_now().await;
            }
            level = below;
        }
        for (index, (name, part)) in unknown.into_iter().rev().enumerate() {
            let cover = match part {
                Part::Events(events) => {
                    let dense: Vec<u32> = events.iter().filter_map(|event| graph.dense(*event)).collect();
                    graph.reach(dense)
                }
                Part::Parts(parts) => {
                    parts.iter().filter_map(|part| graph.cover(*part)).fold(RoaringBitmap::new(), |mut all, part| {
                        all |= part;
                        all
                    })
                }
            };
            graph.keep_cover(name, cover);
            if index % READ_MAX == READ_MAX - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(graph.cover(state).cloned().unwrap_or_default())
    }
}
