//! What is kept from being lost between a writer, the committer and a collection.
//!
//! **Uncommitted nodes.** A writer builds the state of the next event before the batch of the last one is durable.
//! Nodes of such batches are readable here, whatever the cache evicts, until their batch is published (they are in
//! the database then) or dropped.
//!
//! **Collection.** While one runs, it must not delete what writers are about to use. A new tree consists of nodes the
//! writer made and of nodes it shares with the tree it started from, so both are noted here, before the batch is
//! handed to the committer:
//! - nodes made: all of them since the collection began, and those uncommitted at that moment. A node in this list is
//!   never deleted; the question is asked on the committer's thread, where the deletion takes its place in the order
//!   of commits. If a batch with such a node came first, the node is in the list. If it comes later, it writes the
//!   node anew, for writers never leave out a node because it might be stored already.
//! - trees started from: they are marked like any live tree, even if their own row disappears meanwhile.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    build::Made,
    node::{Node, NodeId},
};

/// Nodes made during one collection at most; beyond this the collection gives up and a later one finds a calmer time.
const RECENT_MAX: usize = 1_000_000;

/// Uncommitted nodes and the notes of a running collection.
#[derive(Default)]
pub(super) struct Held(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// With the number of batches that contain the node.
    nodes: HashMap<NodeId, (Arc<Node>, usize)>,
    /// Trees that uncommitted batches started from, with the number of batches.
    bases: HashMap<NodeId, usize>,
    notes: Option<Notes>,
}

/// What a collection has to spare.
struct Notes {
    recent: HashSet<NodeId>,
    /// Trees to mark before deletion starts; `None` once it has. Those that writers start from later were live when
    /// marking ended, so they are marked.
    bases: Option<Vec<NodeId>>,
}

impl Held {
    /// An uncommitted node.
    pub(super) fn node(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.0.lock().nodes.get(id).map(|(node, _)| node.clone())
    }

    /// Holds the tree a writer starts from, until the answer is dropped.
    pub(super) fn hold(self: &Arc<Self>, base: Option<NodeId>) -> Hold {
        if let Some(id) = base {
            let mut inner = self.0.lock();
            *inner.bases.entry(id).or_default() += 1;
            if let Some(bases) = inner.notes.as_mut().and_then(|notes| notes.bases.as_mut()) {
                bases.push(id);
            }
        }
        Hold { held: self.clone(), base, made: Vec::new() }
    }

    /// Begins the notes for a collection; `false` when one is running.
    pub(super) fn begin(&self) -> bool {
        let mut inner = self.0.lock();
        if inner.notes.is_some() {
            return false;
        }
        inner.notes = Some(Notes {
            recent: inner.nodes.keys().copied().collect(),
            bases: Some(inner.bases.keys().copied().collect()),
        });
        true
    }

    /// The collection is over.
    pub(super) fn end(&self) {
        self.0.lock().notes = None;
    }

    /// Trees writers started from since the last call. `None` when there are no more: marking is over then.
    pub(super) fn next_bases(&self) -> Option<Vec<NodeId>> {
        let mut inner = self.0.lock();
        let bases = &mut inner.notes.as_mut()?.bases;
        if bases.as_ref().is_none_or(Vec::is_empty) {
            *bases = None;
            return None;
        }
        bases.replace(Vec::new())
    }

    /// Leaves in `dead` what may be deleted. To be called on the committer's thread.
    pub(super) fn spare(&self, dead: &mut Vec<NodeId>) {
        match &self.0.lock().notes {
            Some(notes) if notes.recent.len() <= RECENT_MAX => dead.retain(|id| !notes.recent.contains(id)),
            _ => dead.clear(),
        }
    }

    /// Whether more was written during the collection than it can keep in mind.
    pub(super) fn overrun(&self) -> bool {
        self.0.lock().notes.as_ref().is_none_or(|notes| notes.recent.len() > RECENT_MAX)
    }

    /// Uncommitted nodes, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let inner = self.0.lock();
        inner.nodes.len() + inner.bases.len()
    }
}

/// One writer's share: owned by its batch, so it ends when the batch is published or dropped.
pub(super) struct Hold {
    held: Arc<Held>,
    base: Option<NodeId>,
    made: Vec<NodeId>,
}

impl Hold {
    /// Holds new nodes. Before the batch is handed over.
    pub(super) fn add(&mut self, made: &[Made]) {
        let mut inner = self.held.0.lock();
        for Made { id, node, .. } in made {
            inner.nodes.entry(*id).or_insert_with(|| (node.clone(), 0)).1 += 1;
            self.made.push(*id);
            match &mut inner.notes {
                Some(notes) if notes.recent.len() <= RECENT_MAX => {
                    notes.recent.insert(*id);
                }
                _ => {}
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut inner = self.held.0.lock();
        for id in &self.made {
            if let Some((_, batches)) = inner.nodes.get_mut(id) {
                *batches -= 1;
                if *batches == 0 {
                    inner.nodes.remove(id);
                }
            }
        }
        if let Some(id) = self.base
            && let Some(batches) = inner.bases.get_mut(&id)
        {
            *batches -= 1;
            if *batches == 0 {
                inner.bases.remove(&id);
            }
        }
    }
}
