use super::*;
use crate::store::schema::META;

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
    assert_eq!((done.live, done.deleted), (left.len() as u64, (before - left.len()) as u64));
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
    for begun_before_apply in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let tree = open(dir.path());
        let everybody: Edits = (0..500).map(|key| (key, Some(key))).collect();
        let base = apply(&tree, StateRoot::EMPTY, &everybody).await;
        // The base is never marked, as if its room had been purged meanwhile.
        let early = begun_before_apply.then(|| tree.collection().unwrap());
        let mut batch = Batch::new();
        let root = tree.apply(base, &changes(&[(3, None)]), &mut batch).await.unwrap();
        let collection = early.unwrap_or_else(|| tree.collection().unwrap());
        tree.store.commit(batch).await.unwrap();
        collection.sweep().await.unwrap();
        assert!(reachable(&tree, &[root]).await.is_subset(&stored(&tree)));
        let collection = tree.collection().unwrap();
        collection.sweep().await.unwrap();
        assert_eq!(stored(&tree).len(), 0);
    }
}

/// Where the writers of the next test keep their newest states, as rooms would.
fn row(writer: usize) -> String {
    format!("writer {writer}")
}

async fn live(tree: &StateTree) -> Vec<StateRoot> {
    let mut roots = Vec::new();
    for writer in 0..8 {
        let root = tree.store.get(&META, &row(writer)).await.unwrap();
        roots.extend(root.map(|bytes| StateRoot(bytes.try_into().unwrap())));
    }
    roots
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collections_beside_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = open(dir.path());
    // Each writer keeps one state; replaced ones are garbage. Writers walk in circles, so dead nodes come back.
    let mut writers = Vec::new();
    for writer in 0..8_usize {
        let tree = tree.clone();
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
                batch.put(&META, &row(writer), &next.0.to_vec());
                tree.store.commit(batch).await.unwrap();
                change_model(&mut model, &step);
                root = next;
            }
            (root, model)
        }));
    }
    let mut deleted = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        let mut collection = tree.collection().unwrap();
        collection.mark(&live(&tree).await).await.unwrap();
        deleted += collection.sweep().await.unwrap().deleted;
    }
    assert!(deleted > 0);
    let mut collection = tree.collection().unwrap();
    collection.mark(&live(&tree).await).await.unwrap();
    collection.sweep().await.unwrap();
    let mut kept = Vec::new();
    for writer in writers {
        kept.push(writer.await.unwrap());
    }
    drop(tree);
    let tree = open(dir.path());
    for (root, model) in &kept {
        assert_eq!(&entries(&tree, *root).await, model);
    }
    let roots: Vec<_> = kept.iter().map(|(root, _)| *root).collect();
    assert_eq!(stored(&tree), reachable(&tree, &roots).await);
}
