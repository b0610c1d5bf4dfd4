#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

mod collections;

use proptest::prelude::*;

use super::{
    StateChange, StateRoot, StateTree,
    node::{Child, Node, NodeId, Slot, id_of},
};
use crate::store::{Batch, Durability, EventNo, StateKeyNo, Store, StoreOptions, schema::rooms::STATE_NODES};

type Model = BTreeMap<u64, u64>;
type Edits = Vec<(u64, Option<u64>)>;

/// So small that most nodes are evicted at once: what is held or stored must do.
const TINY_CACHE: usize = 2_000;

fn open(path: &Path) -> StateTree {
    let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
    StateTree::new(Store::open(path, &options).unwrap(), TINY_CACHE)
}

async fn apply(tree: &StateTree, root: StateRoot, edits: &[(u64, Option<u64>)]) -> StateRoot {
    let mut batch = Batch::new();
    let root = tree.apply(root, &changes(edits), &mut batch).await.unwrap();
    tree.store.commit(batch).await.unwrap();
    root
}

fn changes(edits: &[(u64, Option<u64>)]) -> Vec<(StateKeyNo, Option<EventNo>)> {
    edits.iter().map(|(key, event)| (StateKeyNo(*key), event.map(EventNo))).collect()
}

fn change_model(model: &mut Model, edits: &[(u64, Option<u64>)]) {
    for (key, event) in edits {
        match event {
            Some(event) => model.insert(*key, *event),
            None => model.remove(key),
        };
    }
}

async fn entries(tree: &StateTree, root: StateRoot) -> Model {
    tree.entries(root).await.unwrap().into_iter().map(|(key, event)| (key.0, event.0)).collect()
}

fn expected_diff(old: &Model, new: &Model) -> Vec<StateChange> {
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(key) != new.get(key))
        .map(|key| StateChange {
            key: StateKeyNo(*key),
            old: old.get(key).copied().map(EventNo),
            new: new.get(key).copied().map(EventNo),
        })
        .collect()
}

/// All nodes in the database.
fn stored(tree: &StateTree) -> HashSet<NodeId> {
    let mut ids = HashSet::new();
    tree.store
        .walk_blocking(&STATE_NODES, |id, bytes| {
            assert_eq!(id, id_of(&bytes));
            assert!(ids.insert(id));
            Ok(())
        })
        .unwrap();
    ids
}

/// All nodes of these states.
async fn reachable(tree: &StateTree, roots: &[StateRoot]) -> HashSet<NodeId> {
    let mut below: Vec<NodeId> = roots.iter().filter(|root| !root.is_empty()).map(|root| root.0).collect();
    let mut all = HashSet::new();
    while let Some(id) = below.pop() {
        if all.insert(id) {
            below.extend(tree.nodes(&[id]).await.unwrap()[0].slots().iter().map(|slot| slot.child.id));
        }
    }
    all
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Keys from a small range collide and are removed again; large ones are what a server that has met many users has.
fn edits(max: usize) -> impl Strategy<Value = Edits> {
    let key = prop_oneof![4 => 0..200_u64, 2 => 0..5_000_u64, 1 => any::<u64>().prop_map(|key| key >> 1)];
    let event = prop_oneof![3 => (1..1_000_000_u64).prop_map(Some), 1 => any::<u64>().prop_map(Some), 3 => Just(None)];
    proptest::collection::vec((key, event), 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_a_map(steps in proptest::collection::vec(prop_oneof![3 => edits(4), 1 => edits(400)], 1..20)) {
        wait(async {
            let dir = tempfile::tempdir().unwrap();
            let tree = open(dir.path());
            let (mut root, mut model) = (StateRoot::EMPTY, Model::new());
            let mut history = vec![(root, model.clone())];
            for step in &steps {
                root = apply(&tree, root, step).await;
                change_model(&mut model, step);
                prop_assert_eq!(entries(&tree, root).await, model.clone());
                prop_assert_eq!(tree.len(root).await.unwrap(), model.len() as u64);
                let keys: Vec<_> = step.iter().map(|(key, _)| StateKeyNo(*key)).chain([StateKeyNo(77)]).collect();
                let found = tree.get_many(root, &keys).await.unwrap();
                for (key, found) in keys.iter().zip(found) {
                    let expected = model.get(&key.0).copied().map(EventNo);
                    prop_assert_eq!(found, expected);
                    prop_assert_eq!(tree.get(root, *key).await.unwrap(), expected);
                }
                history.push((root, model.clone()));
            }
            for (old_root, old) in &history {
                // Older states stay as they were.
                prop_assert_eq!(&entries(&tree, *old_root).await, old);
                prop_assert_eq!(tree.diff(*old_root, root).await.unwrap(), expected_diff(old, &model));
                prop_assert_eq!(tree.diff(root, *old_root).await.unwrap(), expected_diff(&model, old));
                prop_assert_eq!(*old_root == root, *old == model);
            }
            prop_assert_eq!(tree.held.len(), 0);
            Ok(())
        })?;
    }

    #[test]
    fn equal_states_have_equal_roots_whatever_their_history(
        first in edits(300),
        detour in edits(300),
        parts in 1..9_usize,
    ) {
        wait(async {
            let dir = tempfile::tempdir().unwrap();
            let tree = open(dir.path());
            let mut model = Model::new();
            change_model(&mut model, &first);
            let direct = apply(&tree, StateRoot::EMPTY, &first).await;
            // Another way: the detour, back from it, then the entries from the last to the first, in parts.
            let mut root = apply(&tree, StateRoot::EMPTY, &detour).await;
            let back: Edits = detour.iter().filter(|(key, _)| !model.contains_key(key)).map(|(key, _)| (*key, None)).collect();
            root = apply(&tree, root, &back).await;
            let rest: Edits = model.iter().rev().map(|(key, event)| (*key, Some(*event))).collect();
            for part in rest.chunks(rest.len() / parts + 1) {
                root = apply(&tree, root, part).await;
            }
            prop_assert_eq!(root, direct);
            prop_assert_eq!(root.is_empty(), model.is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn nodes_read_back_as_written(steps in edits(200)) {
        let leaf = |entries: &[(u64, u64)]| Node::Leaf(entries.into());
        let mut model = Model::new();
        change_model(&mut model, &steps);
        let all: Vec<_> = model.into_iter().collect();
        for part in all.chunks(32) {
            prop_assert_eq!(Node::decode(&leaf(part).encode()), Some(leaf(part)));
        }
    }

    #[test]
    fn damaged_nodes_are_refused_or_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80), kind in 0..4_u8) {
        let mut node = vec![kind];
        node.extend(bytes);
        if let Some(read) = Node::decode(&node) {
            prop_assert_eq!(Node::decode(&read.encode()), Some(read));
        }
    }
}

#[test]
fn impossible_nodes_are_refused() {
    let slot = |start, span, count| Slot { start, span, child: Child { id: [7; 16], count } };
    let branch = |slots: &[Slot]| Node::Branch(slots.into()).encode();
    assert!(Node::decode(&branch(&[slot(0, 8, 20), slot(8, 1, 99), slot(9, 1, 20)])).is_some());
    // Too few entries for a branch, overlapping slots, a wide branch, a crooked slot, a slot for nothing.
    assert!(Node::decode(&branch(&[slot(0, 8, 16), slot(8, 8, 16)])).is_none());
    assert!(Node::decode(&branch(&[slot(0, 8, 30), slot(4, 4, 30)])).is_none());
    assert!(Node::decode(&branch(&[slot(0, 8, 33), slot(8, 8, 30)])).is_none());
    assert!(Node::decode(&branch(&[slot(1, 2, 30), slot(8, 8, 30)])).is_none());
    assert!(Node::decode(&branch(&[slot(0, 8, 0), slot(8, 1, 60)])).is_none());
    let too_many: Vec<_> = (0..33).map(|n| (n, n)).collect();
    assert!(Node::decode(&Node::Leaf(too_many.into()).encode()).is_none());
    assert!(Node::decode(&[]).is_none());
    assert!(Node::decode(&[1]).is_none());
}

#[tokio::test]
async fn a_state_can_be_used_before_its_batch_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    let everybody: Edits = (0..3_000).map(|key| (key, Some(key))).collect();
    let mut batches = [Batch::new(), Batch::new(), Batch::new()];
    let first = tree.apply(StateRoot::EMPTY, &changes(&everybody), &mut batches[0]).await.unwrap();
    let second = tree.apply(first, &changes(&[(5, None)]), &mut batches[1]).await.unwrap();
    // Two writers come to the same state; one of them gives up.
    let third = tree.apply(first, &changes(&[(5, None)]), &mut batches[2]).await.unwrap();
    assert_eq!(second, third);
    assert_eq!(tree.len(first).await.unwrap(), 3_000);
    assert_eq!(entries(&tree, second).await.len(), 2_999);
    let [one, other, again] = batches;
    drop(other);
    assert_eq!(entries(&tree, third).await.len(), 2_999);
    tree.store.commit(one).await.unwrap();
    tree.store.commit(again).await.unwrap();
    assert_eq!(tree.held.len(), 0);
    assert_eq!(entries(&tree, third).await.len(), 2_999);
    // What nobody committed is gone from memory.
    let mut batch = Batch::new();
    tree.apply(third, &changes(&[(9, None)]), &mut batch).await.unwrap();
    assert!(tree.held.len() > 0);
    drop(batch);
    assert_eq!(tree.held.len(), 0);
}

#[tokio::test]
async fn a_shrinking_state_takes_the_shape_of_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    let all: Edits = (0..400).map(|key| (key, Some(key))).collect();
    let mut root = apply(&tree, StateRoot::EMPTY, &all).await;
    for step in 1..=100 {
        let left = all.len() - step * 4;
        let gone: Edits = all[left..left + 4].iter().map(|(key, _)| (*key, None)).collect();
        root = apply(&tree, root, &gone).await;
        assert_eq!(root, apply(&tree, StateRoot::EMPTY, &all[..left]).await, "with {left} entries");
    }
    assert_eq!(root, StateRoot::EMPTY);
}
