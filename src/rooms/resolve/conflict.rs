//! What states disagree on, from the differences of their trees.

use std::collections::{BTreeMap, HashMap};

use crate::store::{
    EventNo, StateKeyNo, StoreError,
    state_tree::{StateRoot, StateTree},
};

/// The entries in which states differ.
#[derive(Debug, Default)]
pub(super) struct Conflict {
    /// The first state: what is not in conflict is as it is there.
    pub base: StateRoot,
    /// The keys in conflict, and their events in the first state.
    in_base: BTreeMap<StateKeyNo, Option<EventNo>>,
    /// For each of the other states: its events where they differ from the first.
    others: Vec<HashMap<StateKeyNo, Option<EventNo>>>,
}

impl Conflict {
    /// Compares each state with the first.
    pub(super) async fn read(tree: &StateTree, roots: &[StateRoot]) -> Result<Self, StoreError> {
        let Some((base, others)) = roots.split_first() else { return Ok(Self::default()) };
        let mut conflict = Self { base: *base, ..Self::default() };
        for other in others {
            let changes = tree.diff(*base, *other).await?;
            conflict.in_base.extend(changes.iter().map(|change| (change.key, change.old)));
            conflict.others.push(changes.iter().map(|change| (change.key, change.new)).collect());
        }
        Ok(conflict)
    }

    /// Whether the states disagree on this key.
    pub(super) fn contains(&self, key: StateKeyNo) -> bool {
        self.in_base.contains_key(&key)
    }

    /// For each state its events of the keys in conflict.
    pub(super) fn sides(&self) -> impl Iterator<Item = Vec<EventNo>> {
        let first = self.in_base.values().filter_map(|event| *event).collect();
        std::iter::once(first).chain(self.others.iter().map(|other| {
            let in_other = |(key, event): (&StateKeyNo, &Option<EventNo>)| *other.get(key).unwrap_or(event);
            self.in_base.iter().filter_map(in_other).collect()
        }))
    }

    /// What the first state becomes when the keys in conflict get these events, and those without one lose theirs.
    pub(super) fn changes(&self, resolved: &HashMap<StateKeyNo, EventNo>) -> Vec<(StateKeyNo, Option<EventNo>)> {
        let entries = self.in_base.iter().map(|(key, event)| (*key, *event, resolved.get(key).copied()));
        entries.filter(|(_, before, after)| before != after).map(|(key, _, after)| (key, after)).collect()
    }
}
