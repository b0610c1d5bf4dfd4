//! From an old tree and changes to the nodes of the new tree. Pure: nodes that are not in memory are asked for, and
//! the caller starts again when it has read them.

use std::{collections::BTreeMap, sync::Arc};

use super::node::{Child, Entry, LEAF_MAX, Node, NodeId, SLOTS, Slot, id_of, mix, sixteenth};

/// A change of one entry: the mixed key (changes are sorted by it), the key, the new event or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    pub mixed: u64,
    pub key: u64,
    pub event: Option<u64>,
}

/// A new node with its bytes.
pub(super) struct Made {
    pub id: NodeId,
    pub node: Arc<Node>,
    pub bytes: Vec<u8>,
}

/// A contiguous part of a branch's place: `span` sixteenths from `start` on, `depth` branches below the top.
#[derive(Clone, Copy)]
struct Part {
    start: u8,
    span: u8,
    depth: u32,
}

impl Part {
    fn whole(depth: u32) -> Self {
        Self { start: 0, span: SLOTS, depth }
    }

    fn middle(self) -> u8 {
        self.start + self.span / 2
    }

    fn halves(self) -> (Self, Self) {
        let span = self.span / 2;
        (Self { span, ..self }, Self { start: self.middle(), span, ..self })
    }
}

/// Builds one new tree.
pub(super) struct Builder<F> {
    /// Nodes that are in memory.
    find: F,
    /// What was not: when this is not empty, the result means nothing.
    pub missing: Vec<NodeId>,
    /// The new nodes.
    pub made: Vec<Made>,
}

impl<F: FnMut(&NodeId) -> Option<Arc<Node>>> Builder<F> {
    pub(super) fn new(find: F) -> Self {
        Self { find, missing: Vec::new(), made: Vec::new() }
    }

    /// The tree that `root` becomes; `edits` ascend by `mixed`. `None` is the empty tree.
    pub(super) fn root(&mut self, root: Option<NodeId>, edits: &[Edit]) -> Option<NodeId> {
        let Some(id) = root else { return self.subtree(None, 0, edits).map(|child| child.id) };
        let count = self.node(id)?.count();
        self.subtree(Some(Child { id, count }), 0, edits).map(|child| child.id)
    }

    /// What stands below one sixteenth of a branch, or at the top.
    fn subtree(&mut self, old: Option<Child>, depth: u32, edits: &[Edit]) -> Option<Child> {
        let before = match old {
            None => Vec::new(),
            Some(child) if child.is_leaf() => vec![Slot { start: 0, span: SLOTS, child }],
            Some(child) => self.node(child.id)?.slots().to_vec(),
        };
        let after = self.part(&before, Part::whole(depth), edits);
        if after == before { old } else { self.seal(after) }
    }

    /// The slots of a part after the edits.
    fn part(&mut self, before: &[Slot], part: Part, edits: &[Edit]) -> Vec<Slot> {
        if edits.is_empty() {
            return before.to_vec();
        }
        if part.span == 1 {
            let child = self.subtree(before.first().map(|slot| slot.child), part.depth + 1, edits);
            return child.map(|child| Slot { start: part.start, span: 1, child }).into_iter().collect();
        }
        let count: u64 = before.iter().map(|slot| slot.child.count).sum();
        let removals = edits.iter().filter(|edit| edit.event.is_none()).count() as u64;
        // At least `count - removals` entries will be left: only when a leaf could hold those, one may come out.
        // Otherwise the part stays split, and only the halves with edits are looked into.
        if count.saturating_sub(removals) <= LEAF_MAX {
            let old = self.gather(before);
            let mut new: BTreeMap<u64, u64> = old.iter().copied().collect();
            for edit in edits {
                match edit.event {
                    Some(event) => new.insert(edit.key, event),
                    None => new.remove(&edit.key),
                };
            }
            let new: Vec<Entry> = new.into_iter().collect();
            return if new == old { before.to_vec() } else { self.split(new, part) };
        }
        let (low, high) = part.halves();
        let (low_slots, high_slots) = before.split_at(before.partition_point(|slot| slot.start < part.middle()));
        let in_low = |edit: &Edit| sixteenth(edit.mixed, part.depth) < part.middle();
        let (low_edits, high_edits) = edits.split_at(edits.partition_point(in_low));
        let mut after = self.part(low_slots, low, low_edits);
        after.extend(self.part(high_slots, high, high_edits));
        after
    }

    /// Slots for entries, which ascend by key, in an empty part.
    fn split(&mut self, entries: Vec<Entry>, part: Part) -> Vec<Slot> {
        if entries.is_empty() {
            return Vec::new();
        }
        let slot = |child| Slot { start: part.start, span: part.span, child };
        if entries.len() as u64 <= LEAF_MAX {
            return vec![slot(self.make(Node::Leaf(entries.into())))];
        }
        if part.span == 1 {
            let below = self.split(entries, Part::whole(part.depth + 1));
            return self.seal(below).map(slot).into_iter().collect();
        }
        let (low, high) = part.halves();
        let (low_entries, high_entries) =
            entries.into_iter().partition(|(key, _)| sixteenth(mix(*key), part.depth) < part.middle());
        let mut slots = self.split(low_entries, low);
        slots.extend(self.split(high_entries, high));
        slots
    }

    /// All entries of slots, ascending by key.
    fn gather(&mut self, slots: &[Slot]) -> Vec<Entry> {
        let mut below: Vec<NodeId> = slots.iter().map(|slot| slot.child.id).collect();
        let mut entries = Vec::new();
        while let Some(id) = below.pop() {
            let Some(node) = self.node(id) else { continue };
            entries.extend_from_slice(node.entries());
            below.extend(node.slots().iter().map(|slot| slot.child.id));
        }
        entries.sort_unstable();
        entries
    }

    /// One node for the slots of a whole branch.
    fn seal(&mut self, slots: Vec<Slot>) -> Option<Child> {
        match *slots.as_slice() {
            [] => None,
            // One leaf needs no branch above it.
            [Slot { span: SLOTS, child, .. }] => Some(child),
            _ => Some(self.make(Node::Branch(slots.into()))),
        }
    }

    fn make(&mut self, node: Node) -> Child {
        let count = node.count();
        if !self.missing.is_empty() {
            // This attempt is in vain already: spare the hashing.
            return Child { id: NodeId::default(), count };
        }
        let bytes = node.encode();
        let id = id_of(&bytes);
        self.made.push(Made { id, node: Arc::new(node), bytes });
        Child { id, count }
    }

    fn node(&mut self, id: NodeId) -> Option<Arc<Node>> {
        let found = (self.find)(&id);
        if found.is_none() {
            self.missing.push(id);
        }
        found
    }
}
