#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

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
    let [one, two, three] = batches;
    drop(two);
    assert_eq!(entries(&tree, third).await.len(), 2_999);
    tree.store.commit(one).await.unwrap();
    tree.store.commit(three).await.unwrap();
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
async fn a_collection_deletes_what_no_state_uses_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    let mut root = StateRoot::EMPTY;
    let (mut keep, mut model) = (Vec::new(), Model::new());
    for n in 0..300_u64 {
        let step = vec![(n * 7 % 190, (n % 5 > 0).then_some(n)), (n, Some(n))];
        root = apply(&tree, root, &step).await;
        change_model(&mut model, &step);
        if n % 60 == 10 {
            keep.push((root, model.clone()));
        }
    }
    let roots: Vec<_> = keep.iter().map(|(root, _)| *root).collect();
    let before = stored(&tree).len();
    let mut collection = tree.collection().unwrap();
    assert!(tree.collection().is_none(), "only one at a time");
    for root in &roots {
        collection.mark(&[*root]).await.unwrap();
    }
    let done = collection.sweep().await.unwrap();
    let left = stored(&tree);
    assert!(done.complete && done.deleted > 0);
    assert_eq!((done.live as usize, before - done.deleted as usize), (left.len(), left.len()));
    assert_eq!(left, reachable(&tree, &roots).await);
    drop(tree);
    let tree = open(dir.path());
    for (root, model) in &keep {
        assert_eq!(&entries(&tree, *root).await, model);
    }
    // A second one finds nothing, and one that is told of a lost state refuses.
    let mut collection = tree.collection().unwrap();
    collection.mark(&roots).await.unwrap();
    assert_eq!(collection.sweep().await.unwrap().deleted, 0);
    assert!(tree.collection().unwrap().mark(&[StateRoot([9; 16])]).await.is_err());
    tree.collection().unwrap().sweep().await.unwrap();
    assert_eq!(stored(&tree).len(), 0);
}

#[tokio::test]
async fn a_node_made_again_while_it_is_being_deleted_survives() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    let everybody: Edits = (0..500).map(|key| (key, Some(key))).collect();
    let dead = apply(&tree, StateRoot::EMPTY, &everybody).await;
    let nodes = reachable(&tree, &[dead]).await;
    // Uncommitted when the collection begins.
    let mut early = Batch::new();
    let one = tree.apply(StateRoot::EMPTY, &changes(&[(1, Some(1))]), &mut early).await.unwrap();
    let mut collection = tree.collection().unwrap();
    collection.mark(&[]).await.unwrap();
    // The dead state comes back after marking, and its batch is handed over before the deletions.
    let again = apply(&tree, StateRoot::EMPTY, &everybody).await;
    assert_eq!(again, dead);
    tree.store.commit(early).await.unwrap();
    collection.sweep().await.unwrap();
    let mut expected = nodes;
    expected.extend(reachable(&tree, &[one]).await);
    assert_eq!(stored(&tree), expected);
}

#[tokio::test]
async fn the_state_a_writer_started_from_survives_its_own_row() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    let everybody: Edits = (0..500).map(|key| (key, Some(key))).collect();
    let base = apply(&tree, StateRoot::EMPTY, &everybody).await;
    // Before the collection begins, and after; the base itself is not marked, as if its room had been purged.
    let mut early = Batch::new();
    let first = tree.apply(base, &changes(&[(3, None)]), &mut early).await.unwrap();
    let collection = tree.collection().unwrap();
    let mut late = Batch::new();
    let second = tree.apply(base, &changes(&[(4, None)]), &mut late).await.unwrap();
    tree.store.commit(early).await.unwrap();
    tree.store.commit(late).await.unwrap();
    collection.sweep().await.unwrap();
    assert!(reachable(&tree, &[first, second]).await.is_subset(&stored(&tree)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collections_beside_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    // Each writer's newest states; replaced ones are garbage. Writers walk in circles, so dead nodes come back.
    let live: std::sync::Arc<parking_lot::Mutex<Vec<(StateRoot, Model)>>> =
        std::sync::Arc::new(parking_lot::Mutex::new(vec![(StateRoot::EMPTY, Model::new()); 8]));
    let mut writers = Vec::new();
    for writer in 0..8_usize {
        let (tree, live) = (tree.clone(), live.clone());
        writers.push(tokio::spawn(async move {
            let (mut root, mut model) = (StateRoot::EMPTY, Model::new());
            for n in 0..400_u64 {
                // The same few hundred entries, there and away again, in the same order for several writers.
                let key = n % 97 * (1 + writer as u64 % 2);
                let step = vec![(key, (n / 97 % 2 == 0).then_some(key)), (1_000 + n % 41, Some(n % 3))];
                let mut batch = Batch::new();
                let next = tree.apply(root, &changes(&step), &mut batch).await.unwrap();
                if n % 17 == 3 {
                    continue;
                }
                change_model(&mut model, &step);
                root = next;
                let (live, now) = (live.clone(), (root, model.clone()));
                batch.on_publish(move |_| live.lock()[writer] = now);
                tree.store.commit(batch).await.unwrap();
            }
        }));
    }
    let mut deleted = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let mut collection = tree.collection().unwrap();
        let roots: Vec<_> = live.lock().iter().map(|(root, _)| *root).collect();
        collection.mark(&roots).await.unwrap();
        deleted += collection.sweep().await.unwrap().deleted;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(deleted > 0);
    let live = live.lock().clone();
    let roots: Vec<_> = live.iter().map(|(root, _)| *root).collect();
    let mut collection = tree.collection().unwrap();
    collection.mark(&roots).await.unwrap();
    collection.sweep().await.unwrap();
    drop(tree);
    let tree = open(dir.path());
    for (root, model) in &live {
        assert_eq!(&entries(&tree, *root).await, model);
    }
    assert_eq!(stored(&tree), reachable(&tree, &roots).await);
}

/// What a state change costs. `cargo test --release --lib state_tree -- --ignored --nocapture measure`
#[tokio::test]
#[ignore = "a measurement"]
async fn measure() {
    use std::time::Instant;
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 64 << 20, durability: Durability::Os };
    let tree = StateTree::new(Store::open(dir.path(), &options).unwrap(), 32 << 20);
    for members in [10_u64, 1_000, 10_000] {
        // Ten entries of a new room, then its members; users have been met in some other order before.
        let user = |n: u64| 5_000 + n.wrapping_mul(7_919) % 100_003;
        let create: Edits = (1..=10).map(|n| (n, Some(n))).chain((0..members).map(|n| (user(n), Some(100 + n)))).collect();
        let mut root = apply(&tree, StateRoot::EMPTY, &create).await;
        let (nodes, rounds, start) = (reachable(&tree, &[root]).await.len(), 500, Instant::now());
        let (mut bytes, mut made) = (0, 0);
        for n in 0..rounds {
            let mut batch = Batch::new();
            let change = [(StateKeyNo(user(n % members)), Some(EventNo(1_000_000 + n)))];
            root = tree.apply(root, &change, &mut batch).await.unwrap();
            made += batch.rows.0.len();
            bytes += batch.rows.0.iter().map(|(_, key, value)| key.len() + value.as_ref().unwrap().len()).sum::<usize>();
            tree.store.commit(batch).await.unwrap();
        }
        let (rounds, change_ns) = (usize::try_from(rounds).unwrap(), start.elapsed().as_nanos() / u128::from(rounds));
        let start = Instant::now();
        for n in 0..20_000 {
            assert!(tree.get(root, StateKeyNo(user(n % members))).await.unwrap().is_some());
        }
        let get_ns = start.elapsed().as_nanos() / 20_000;
        let start = Instant::now();
        assert_eq!(tree.entries(root).await.unwrap().len() as u64, members + 10);
        eprintln!(
            "{members} members: {nodes} nodes; a change writes {:.1} nodes, {} bytes with keys, and takes {} us; get {get_ns} ns; entries {} us",
            made as f64 / rounds as f64,
            bytes / rounds,
            change_ns / 1_000,
            start.elapsed().as_micros(),
        );
    }
}
