//! Deleting the nodes that no state uses any more, in the background, in small steps.
//!
//! Mark, then sweep. Why nothing is lost that a writer uses meanwhile is told in `held`.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    StateRoot, StateTree,
    node::{Node, NodeId},
};
use crate::store::{Batch, Order, StoreError, schema::rooms::STATE_NODES};

/// Nodes read, or rows looked at, between two pauses.
const STEP: usize = 256;

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Nodes that states use.
    pub live: u64,
    /// Nodes deleted.
    pub deleted: u64,
    /// Whether all was swept; a collection gives up when too much is written meanwhile.
    pub complete: bool,
}

/// A collection under way: [`StateTree::collection`] → [`Collection::mark`] → [`Collection::sweep`]. Dropping it
/// ends it without harm. It takes about 20 bytes of memory for each node that is in use.
pub struct Collection {
    tree: StateTree,
    marked: HashSet<NodeId>,
}

impl StateTree {
    /// Begins a collection; `None` when one is running.
    ///
    /// From here on the nodes that writers make are safe. So the roots to keep are to be read from the tables after
    /// this call: every root that is stored by now and will still be stored when marking ends has to be marked. From
    /// the tables, not from what is kept in memory: that may lag behind by the batch being published.
    pub fn collection(&self) -> Option<Collection> {
        self.held.begin().then(|| Collection { tree: self.clone(), marked: HashSet::new() })
    }
}

impl Collection {
    /// Keeps these states. May be called many times, so that the roots need not all be in memory.
    ///
    /// # Errors
    /// A node is missing or damaged: nothing should be deleted then, and nothing is, unless `sweep` is called.
    pub async fn mark(&mut self, roots: &[StateRoot]) -> Result<(), StoreError> {
        let ids = roots.iter().filter(|root| !root.is_empty()).map(|root| root.0).collect();
        if self.mark_below(ids).await? {
            return Ok(());
        }
        Err(StoreError::Corrupt { table: STATE_NODES.name, what: "a node is missing" })
    }

    /// Deletes every node that is neither part of a marked state nor used by a writer since the collection began.
    pub async fn sweep(mut self) -> Result<Collected, StoreError> {
        while let Some(bases) = self.tree.held.next_bases() {
            // A batch that was given up may leave a base that is not stored: no state needs it.
            self.mark_below(bases).await?;
        }
        let deleted = Arc::new(AtomicU64::new(0));
        let mut from = [0; 17];
        loop {
            let page = self.tree.store.range(&STATE_NODES, &from, &[0xff_u8; 17], Order::Ascending, STEP).await?;
            let dead: Vec<NodeId> = page.iter().map(|(id, _)| *id).filter(|id| !self.marked.contains(id)).collect();
            if !dead.is_empty() {
                self.delete(dead, &deleted).await?;
            }
            let complete = !self.tree.held.overrun();
            match page.last() {
                Some((last, _)) if page.len() == STEP && complete => from = after(last),
                _ => return Ok(Collected { live: self.marked.len() as u64, deleted: deleted.load(Relaxed), complete }),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Deletes nodes, except those a writer made meanwhile: this is decided where the deletion stands in the order of
    /// commits.
    async fn delete(&self, mut dead: Vec<NodeId>, deleted: &Arc<AtomicU64>) -> Result<(), StoreError> {
        let (held, deleted) = (self.tree.held.clone(), deleted.clone());
        let mut batch = Batch::new();
        batch.rows_later(move |rows| {
            held.spare(&mut dead);
            deleted.fetch_add(dead.len() as u64, Relaxed);
            for id in &dead {
                rows.delete(&STATE_NODES, id);
            }
        });
        self.tree.store.commit(batch).await?;
        Ok(())
    }

    /// Marks trees; `false` when a branch of one is not there. Leaves are known by their count and not read.
    async fn mark_below(&mut self, ids: Vec<NodeId>) -> Result<bool, StoreError> {
        let mut whole = true;
        let mut unread: Vec<NodeId> = ids.into_iter().filter(|id| self.marked.insert(*id)).collect();
        while !unread.is_empty() {
            let step = unread.split_off(unread.len().saturating_sub(STEP));
            for node in self.tree.nodes_if_any(&step).await? {
                whole &= node.is_some();
                for slot in node.as_deref().map(Node::slots).unwrap_or_default() {
                    if self.marked.insert(slot.child.id) && !slot.child.is_leaf() {
                        unread.push(slot.child.id);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(whole)
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.tree.held.end();
    }
}

/// The first key after `id`.
fn after(id: &NodeId) -> [u8; 17] {
    let mut next = [0; 17];
    next.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
    next
}
