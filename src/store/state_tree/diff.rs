//! What differs between two states.

use std::cmp::Ordering;

use super::{
    StateRoot, StateTree,
    node::{Entry, NodeId, Slot},
};
use crate::store::{EventNo, StateKeyNo, StoreError};

/// One entry that differs between two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state key.
    pub key: StateKeyNo,
    /// Its event in the first state.
    pub old: Option<EventNo>,
    /// Its event in the second state; never the same.
    pub new: Option<EventNo>,
}

/// Trees whose entries have to be read, of the first state and of the second.
#[derive(Default)]
struct Unlike {
    old: Vec<NodeId>,
    new: Vec<NodeId>,
}

impl StateTree {
    /// What changes from `old` to `new`, by ascending state key. Costs as much as differs: what both share is not
    /// read, and where only one of them is split, at most a leaf's entries are read in vain.
    pub async fn diff(&self, old: StateRoot, new: StateRoot) -> Result<Vec<StateChange>, StoreError> {
        let mut unlike = Unlike::default();
        let mut pairs = Vec::new();
        match (old.is_empty(), new.is_empty()) {
            (false, false) if old != new => pairs.push((old.0, new.0)),
            (false, true) => unlike.old.push(old.0),
            (true, false) => unlike.new.push(new.0),
            _ => {}
        }
        while !pairs.is_empty() {
            let (old_ids, new_ids): (Vec<_>, Vec<_>) = pairs.drain(..).unzip();
            let old_nodes = self.nodes(&old_ids).await?;
            let new_nodes = self.nodes(&new_ids).await?;
            for ((old_id, old), (new_id, new)) in old_ids.iter().zip(&old_nodes).zip(new_ids.iter().zip(&new_nodes)) {
                if old.slots().is_empty() || new.slots().is_empty() {
                    unlike.old.push(*old_id);
                    unlike.new.push(*new_id);
                } else {
                    align(old.slots(), new.slots(), &mut pairs, &mut unlike);
                }
            }
        }
        Ok(compare(&self.entries_below(unlike.old).await?, &self.entries_below(unlike.new).await?))
    }
}

/// Pairs the slots of two branches that have the same place. A slot without a counterpart meets a leaf or nothing on
/// the other side, so most of its entries do differ.
fn align(old: &[Slot], new: &[Slot], pairs: &mut Vec<(NodeId, NodeId)>, unlike: &mut Unlike) {
    let same_place = |a: &Slot, b: &Slot| (a.start, a.span) == (b.start, b.span);
    for slot in old {
        match new.iter().find(|other| same_place(slot, other)) {
            Some(other) if other.child.id == slot.child.id => {}
            Some(other) if !slot.child.is_leaf() && !other.child.is_leaf() => {
                pairs.push((slot.child.id, other.child.id));
            }
            Some(other) => {
                unlike.old.push(slot.child.id);
                unlike.new.push(other.child.id);
            }
            None => unlike.old.push(slot.child.id),
        }
    }
    let alone = new.iter().filter(|slot| !old.iter().any(|other| same_place(slot, other)));
    unlike.new.extend(alone.map(|slot| slot.child.id));
}

/// The differences of two lists that ascend by key.
fn compare(mut old: &[Entry], mut new: &[Entry]) -> Vec<StateChange> {
    let mut changes = Vec::new();
    loop {
        let side = match (old.first(), new.first()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let gone = if side == Ordering::Greater { None } else { old.split_off_first() };
        let come = if side == Ordering::Less { None } else { new.split_off_first() };
        if let Some((key, _)) = gone.or(come)
            && gone != come
        {
            let event = |entry: Option<&Entry>| entry.map(|(_, event)| EventNo(*event));
            changes.push(StateChange { key: StateKeyNo(*key), old: event(gone), new: event(come) });
        }
    }
}
