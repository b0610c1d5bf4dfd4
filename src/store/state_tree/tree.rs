//! Reading and changing room states.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};

use super::{
    build::{Builder, Edit},
    held::Held,
    node::{Entry, Node, NodeId, StateRoot, event_of, mix, sixteenth, slot_at},
};
use crate::store::{Batch, EventNo, StateKeyNo, Store, StoreError, schema::rooms::STATE_NODES};

/// Nodes read from the database in one go.
const READ_MAX: usize = 512;

/// The room states of this server. Cheap to clone.
#[derive(Clone)]
pub struct StateTree {
    pub(super) store: Store,
    pub(super) held: Arc<Held>,
    cache: Arc<Cache<NodeId, Arc<Node>, Weight>>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<NodeId, Arc<Node>> for Weight {
    fn weight(&self, _: &NodeId, node: &Arc<Node>) -> u64 {
        node.weight()
    }
}

impl StateTree {
    /// The states in `store`, keeping at most about `cache_bytes` of nodes in memory. Make one for each store: what
    /// is not yet durable is known to this value and its clones only.
    pub fn new(store: Store, cache_bytes: usize) -> Self {
        // About what a node takes; it only sizes the cache's table.
        let nodes = (cache_bytes / 400).max(16);
        Self { store, held: Arc::default(), cache: Arc::new(Cache::with_weighter(nodes, cache_bytes as u64, Weight)) }
    }

    /// The number of entries.
    pub async fn len(&self, root: StateRoot) -> Result<u64, StoreError> {
        Ok(if root.is_empty() { 0 } else { self.node(root.0).await?.count() })
    }

    /// The event of one state key.
    pub async fn get(&self, root: StateRoot, key: StateKeyNo) -> Result<Option<EventNo>, StoreError> {
        if root.is_empty() {
            return Ok(None);
        }
        let (mixed, mut id) = (mix(key.0), root.0);
        for depth in 0.. {
            let node = self.node(id).await?;
            match &*node {
                Node::Leaf(entries) => return Ok(event_of(entries, key.0).map(EventNo)),
                Node::Branch(slots) => match slot_at(slots, sixteenth(mixed, depth)) {
                    Some(child) => id = child.id,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// The events of many state keys, in the order of the keys.
    pub async fn get_many(&self, root: StateRoot, keys: &[StateKeyNo]) -> Result<Vec<Option<EventNo>>, StoreError> {
        let mut found = HashMap::with_capacity(keys.len());
        let mut level = HashMap::new();
        if !root.is_empty() && !keys.is_empty() {
            level.insert(root.0, keys.to_vec());
        }
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            let (ids, wanted): (Vec<_>, Vec<_>) = level.drain().unzip();
            for (node, keys) in self.nodes(&ids).await?.iter().zip(wanted) {
                for key in keys {
                    match &**node {
                        Node::Leaf(entries) => {
                            found.insert(key, event_of(entries, key.0));
                        }
                        Node::Branch(slots) => {
                            if let Some(child) = slot_at(slots, sixteenth(mix(key.0), depth)) {
                                level.entry(child.id).or_default().push(key);
                            }
                        }
                    }
                }
            }
        }
        Ok(keys.iter().map(|key| found.get(key).copied().flatten().map(EventNo)).collect())
    }

    /// All entries, by ascending state key.
    pub async fn entries(&self, root: StateRoot) -> Result<Vec<(StateKeyNo, EventNo)>, StoreError> {
        let roots = if root.is_empty() { Vec::new() } else { vec![root.0] };
        let entries = self.entries_below(roots).await?;
        Ok(entries.into_iter().map(|(key, event)| (StateKeyNo(key), EventNo(event))).collect())
    }

    /// The state that `root` becomes when each named key gets its event, or loses its entry with `None`; of two
    /// changes of one key the later counts. The new nodes are written with `batch`.
    ///
    /// The answer can be read, and changed further, at once; but what is built on it must be committed after `batch`.
    /// `root` must be a stored or uncommitted state when this is called.
    pub async fn apply(
        &self,
        root: StateRoot,
        changes: &[(StateKeyNo, Option<EventNo>)],
        batch: &mut Batch,
    ) -> Result<StateRoot, StoreError> {
        let edits: BTreeMap<u64, Edit> = changes
            .iter()
            .map(|(key, event)| (mix(key.0), Edit { mixed: mix(key.0), key: key.0, event: event.map(|no| no.0) }))
            .collect();
        let edits: Vec<Edit> = edits.into_values().collect();
        let base = (!root.is_empty()).then_some(root.0);
        let mut hold = self.held.hold(base);
        let mut read: HashMap<NodeId, Arc<Node>> = HashMap::new();
        loop {
            let mut builder = Builder::new(|id: &NodeId| read.get(id).cloned().or_else(|| self.in_memory(id)));
            let new = builder.root(base, &edits);
            let Builder { missing, made, .. } = builder;
            if missing.is_empty() {
                hold.add(&made);
                // Until the batch is durable or given up.
                batch.on_publish(move |_| drop(hold));
                for made in made {
                    self.cache.insert(made.id, made.node);
                    batch.put_encoded(&STATE_NODES, &made.id, made.bytes);
                }
                return Ok(new.map_or(StateRoot::EMPTY, StateRoot));
            }
            let nodes = self.nodes(&missing).await?;
            read.extend(missing.into_iter().zip(nodes));
        }
    }

    /// The entries of several trees without common keys, by ascending key.
    pub(super) async fn entries_below(&self, mut level: Vec<NodeId>) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        while !level.is_empty() {
            let nodes = self.nodes(&level).await?;
            level.clear();
            for node in nodes {
                entries.extend_from_slice(node.entries());
                level.extend(node.slots().iter().map(|slot| slot.child.id));
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    async fn node(&self, id: NodeId) -> Result<Arc<Node>, StoreError> {
        if let Some(node) = self.in_memory(&id) {
            return Ok(node);
        }
        let bytes = self.store.get(&STATE_NODES, &id).await?;
        let node = Arc::new(decode(bytes)?.ok_or(MISSING)?);
        self.cache.insert(id, node.clone());
        Ok(node)
    }

    /// Many nodes, in the order of the ids.
    pub(super) async fn nodes(&self, ids: &[NodeId]) -> Result<Vec<Arc<Node>>, StoreError> {
        let mut nodes = self.nodes_if_any(ids).await?;
        for (id, node) in ids.iter().zip(&nodes) {
            if let Some(node) = node {
                self.cache.insert(*id, node.clone());
            }
        }
        nodes.drain(..).map(|node| node.ok_or(MISSING)).collect()
    }

    /// Many nodes, without making room for them in the cache; `None` for those that are not there.
    pub(super) async fn nodes_if_any(&self, ids: &[NodeId]) -> Result<Vec<Option<Arc<Node>>>, StoreError> {
        let mut nodes: Vec<_> = ids.iter().map(|id| self.in_memory(id)).collect();
        let mut places = nodes.iter_mut().zip(ids).filter(|(node, _)| node.is_none());
        loop {
            let (places, ids): (Vec<_>, Vec<_>) = places.by_ref().take(READ_MAX).unzip();
            if ids.is_empty() {
                break;
            }
            for (place, bytes) in places.into_iter().zip(self.store.multi_get(&STATE_NODES, &ids).await?) {
                *place = decode(bytes)?.map(Arc::new);
            }
        }
        Ok(nodes)
    }

    fn in_memory(&self, id: &NodeId) -> Option<Arc<Node>> {
        // In this order: a node that just left `held` is in the database.
        self.cache.get(id).or_else(|| self.held.node(id))
    }
}

const MISSING: StoreError = StoreError::Corrupt { table: "state_nodes", what: "a node is missing" };

fn decode(bytes: Option<Vec<u8>>) -> Result<Option<Node>, StoreError> {
    let damaged = StoreError::Corrupt { table: "state_nodes", what: "a node does not decode" };
    bytes.map(|bytes| Node::decode(&bytes).ok_or(damaged)).transpose()
}
