use std::time::Instant;

use super::*;

/// What a state change costs. `cargo test --release --lib state_tree -- --ignored --nocapture measure`
#[tokio::test]
#[ignore = "a measurement"]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 64 << 20, durability: Durability::Os };
    let tree = StateTree::new(Store::open(dir.path(), &options).unwrap(), 32 << 20);
    for members in [10_u64, 1_000, 10_000] {
        // Ten entries of a new room, then its members; users have been met in some other order before.
        let user = |n: u64| 5_000 + n.wrapping_mul(7_919) % 100_003;
        let create: Edits =
            (1..=10).map(|n| (n, Some(n))).chain((0..members).map(|n| (user(n), Some(100 + n)))).collect();
        let mut root = apply(&tree, StateRoot::EMPTY, &create).await;
        let (nodes, rounds, start) = (reachable(&tree, &[root]).await.len(), 500, Instant::now());
        let (mut bytes, mut made) = (0, 0);
        for n in 0..rounds {
            let mut batch = Batch::new();
            let change = [(StateKeyNo(user(n % members)), Some(EventNo(1_000_000 + n)))];
            root = tree.apply(root, &change, &mut batch).await.unwrap();
            made += batch.rows.0.len();
            bytes +=
                batch.rows.0.iter().map(|(_, key, value)| key.len() + value.as_ref().unwrap().len()).sum::<usize>();
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
            "{members} members: {nodes} nodes; a change writes {}.{} nodes, {} bytes with keys, and takes {} us; get {get_ns} ns; entries {} us",
            made / rounds,
            made * 10 / rounds % 10,
            bytes / rounds,
            change_ns / 1_000,
            start.elapsed().as_micros(),
        );
    }
}
