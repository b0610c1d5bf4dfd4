//! The parts of states, for those who know something of each part and put it together.

use super::{
    StateRoot, StateTree,
    node::{Node, NodeId},
};
use crate::store::{EventNo, StoreError};

/// What stands directly below a place in a state's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The events of a few entries.
    Events(Vec<EventNo>),
    /// Parts with no entry in common, each named as if it were a state: equal parts have equal names, in whatever
    /// state they stand.
    Parts(Vec<StateRoot>),
}

impl StateTree {
    /// What many states or parts of states consist of, in the order of their names; no name may be that of the empty
    /// state.
    pub async fn parts(&self, names: &[StateRoot]) -> Result<Vec<Part>, StoreError> {
        let ids: Vec<NodeId> = names.iter().map(|name| name.0).collect();
        let nodes = self.nodes(&ids).await?;
        Ok(nodes.iter().map(|node| part(node)).collect())
    }
}

fn part(node: &Node) -> Part {
    match node {
        Node::Leaf(entries) => Part::Events(entries.iter().map(|(_, event)| EventNo(*event)).collect()),
        Node::Branch(slots) => Part::Parts(slots.iter().map(|slot| StateRoot(slot.child.id)).collect()),
    }
}
