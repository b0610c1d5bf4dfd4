//! From the roots of states to the root of the one they come to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};
use roaring::RoaringBitmap;
use ruma::{
    events::StateEventType,
    room_version_rules::{RoomVersionRules, StateResolutionV2Rules},
};
use tokio::sync::OwnedMutexGuard;

use super::{
    conflict::Conflict,
    difference::Spread,
    graph::Graph,
    graphs::Graphs,
    load::Source,
    order,
    replay::Replay,
    unconflicted::{Pair, Unconflicted},
};
use crate::{
    event::format::PREV_EVENTS_MAX,
    store::{
        Batch, EventNo, Events, RoomNo, StateKeyNo, Store, StoreError,
        schema::rooms::EVENTS,
        state_tree::{StateRoot, StateTree},
    },
};

/// Bytes of resolutions that are remembered.
const MEMO_BYTES: u64 = 8 << 20;
/// Events up to which sorting is done at once: some hundred microseconds. With more, as somebody who means harm may bring
/// about, another thread does it.
const SORTED_AT_ONCE: u64 = 500;

/// Finds the state that several states of one room come to. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    pub(super) source: Source,
    graphs: Arc<Graphs>,
    memo: Arc<Cache<Question, Arc<Outcome>, Weight>>,
    /// Whether whole states are asked only when nothing simpler answers; only tests say no.
    pub(super) shortcuts: bool,
    /// Only tests have another number.
    pub(super) sorted_at_once: u64,
}

/// A graph of which the lock is held.
type Held = OwnedMutexGuard<Graph>;

/// Different states of a room, ascending.
type Question = (RoomNo, Box<[StateRoot]>);

/// What a resolution came to: changes of one of its states. The new state itself cannot be remembered, because its
/// nodes exist only where a batch wrote them.
struct Outcome {
    base: StateRoot,
    changes: Vec<(StateKeyNo, Option<EventNo>)>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Question, Arc<Outcome>> for Weight {
    fn weight(&self, (_, roots): &Question, outcome: &Arc<Outcome>) -> u64 {
        let bytes = size_of_val::<[StateRoot]>(roots) + size_of_val::<[_]>(&outcome.changes) + 160;
        bytes as u64
    }
}

impl Resolver {
    /// A resolver of the rooms in this store.
    pub fn new(store: Store, events: Events, tree: StateTree) -> Self {
        Self {
            source: Source { store, events, tree },
            graphs: Arc::default(),
            memo: Arc::new(Cache::with_weighter(4096, MEMO_BYTES, Weight)),
            shortcuts: true,
            sorted_at_once: SORTED_AT_ONCE,
        }
    }

    /// The state that these states of a room come to: those after the events that an event follows, or after the room's
    /// forward extremities. When all are equal it is that one, without any work.
    ///
    /// The empty root stands for a state that is not known: it is left out. Of more different states than an event can
    /// follow the first are taken. Nodes of a new state are written with `batch`.
    ///
    /// Costs about what the states and their auth chains differ in. The room's other resolutions wait meanwhile.
    pub async fn resolve(
        &self,
        room: RoomNo,
        rules: &RoomVersionRules,
        roots: &[StateRoot],
        batch: &mut Batch,
    ) -> Result<StateRoot, StoreError> {
        let mut seen = HashSet::new();
        let mut roots: Box<[StateRoot]> =
            roots.iter().copied().filter(|root| !root.is_empty() && seen.insert(*root)).take(PREV_EVENTS_MAX).collect();
        match *roots {
            [] => return Ok(StateRoot::EMPTY),
            [one] => return Ok(one),
            _ => roots.sort_unstable(),
        }
        let key = (room, roots);
        let outcome = match self.memo.get(&key) {
            Some(outcome) => outcome,
            None => self.work_out(room, rules, key, batch).await?,
        };
        self.source.tree.apply(outcome.base, &outcome.changes, batch).await
    }

    async fn work_out(
        &self,
        room: RoomNo,
        rules: &RoomVersionRules,
        key: Question,
        batch: &mut Batch,
    ) -> Result<Arc<Outcome>, StoreError> {
        let conflict = Arc::new(Conflict::read(&self.source.tree, &key.1).await?);
        let mut unconflicted = Unconflicted::new(self.source.clone(), conflict.clone());
        let found = match rules.state_res.v2_rules() {
            Some(v2) => self.replay(room, rules, *v2, &key.1, &conflict, unconflicted).await?,
            None => self.source.resolve_first(room, rules, &conflict, &mut unconflicted).await?,
        };
        let (resolved, new) = self.keys(found, &conflict, batch).await?;
        let mut changes = conflict.changes(&resolved);
        changes.extend(new.iter().map(|(key, event)| (*key, Some(*event))));
        let outcome = Arc::new(Outcome { base: conflict.base, changes });
        if new.is_empty() {
            // New keys may have been minted with this batch, which may be given up.
            self.memo.insert(key, outcome.clone());
        }
        Ok(outcome)
    }

    /// Versions 2 and 2.1.
    async fn replay(
        &self,
        room: RoomNo,
        rules: &RoomVersionRules,
        v2: StateResolutionV2Rules,
        roots: &[StateRoot],
        conflict: &Arc<Conflict>,
        mut unconflicted: Unconflicted,
    ) -> Result<HashMap<Pair, EventNo>, StoreError> {
        let missing = StoreError::Corrupt { table: EVENTS.name, what: "a state without m.room.create" };
        let create = unconflicted.get(&(StateEventType::RoomCreate, String::new())).await?.ok_or(missing)?;
        let create = self.source.events.require(room, create).await?;
        let rules = Arc::new(rules.clone());

        let graph = self.graphs.of(room);
        let mut graph = graph.lock_owned().await;
        graph.trim();
        let sides: Vec<Vec<EventNo>> = conflict.sides().collect();
        self.source.load(&mut graph, room, sides.iter().flatten().copied()).await?;
        let spread;
        (graph, spread) = apart(move || {
            let spread = Spread::of(&mut graph, &sides);
            (graph, spread)
        })
        .await?;
        let mut full =
            self.source.auth_difference(&mut graph, room, roots, &spread, &mut unconflicted, self.shortcuts).await?;
        full |= &spread.conflicted;
        if v2.consider_conflicted_state_subgraph {
            let subgraph;
            (graph, subgraph) = self.sort(graph, spread.any.len(), move |graph| spread.subgraph(graph)).await?;
            full |= subgraph;
        }

        self.source.load_facts(&mut graph, room, &full).await?;
        let whole = full.clone();
        let power;
        (graph, power) = self.sort(graph, full.len(), move |graph| order::power_events(graph, &whole)).await?;
        self.source.load_levels(&mut graph, room, &rules, &create, &power).await?;
        let mut replay = Replay {
            source: self.source.clone(),
            room,
            rules,
            create,
            unconflicted,
            from_unconflicted: !v2.begin_iterative_auth_checks_with_empty_state_map,
            found: HashMap::new(),
        };
        let rest = full - &power;
        let sorted;
        (graph, sorted) = self.sort(graph, power.len(), move |graph| order::by_power(graph, &power)).await?;
        replay.run(&graph, &sorted).await?;
        let sorted;
        (graph, sorted) = self.sort_rest(graph, &mut replay, rest).await?;
        replay.run(&graph, &sorted).await?;
        self.graphs.weigh(room, graph.bytes());
        Ok(replay.found)
    }

    /// The events that are no power events, by the mainline of the power levels found.
    async fn sort_rest(
        &self,
        mut graph: Held,
        replay: &mut Replay,
        rest: RoaringBitmap,
    ) -> Result<(Held, Vec<u32>), StoreError> {
        let levels = replay.in_force(&(StateEventType::RoomPowerLevels, String::new())).await?;
        self.source.load(&mut graph, replay.room, levels).await?;
        let levels = levels.and_then(|levels| graph.dense(levels));
        self.sort(graph, rest.len(), move |graph| order::by_mainline(graph, &rest, levels)).await
    }

    /// Works on a graph: where there are many events to look at, not on the thread of whoever waits.
    pub(super) async fn sort<T: Send + 'static>(
        &self,
        graph: Held,
        events: u64,
        work: impl FnOnce(&Graph) -> T + Send + 'static,
    ) -> Result<(Held, T), StoreError> {
        let work = move || {
            let done = work(&graph);
            (graph, done)
        };
        if events <= self.sorted_at_once { Ok(work()) } else { apart(work).await }
    }

    /// Tells what was found for the keys in conflict from what was found for keys that no state has. What the states
    /// agree on stays.
    async fn keys(
        &self,
        found: HashMap<Pair, EventNo>,
        conflict: &Arc<Conflict>,
        batch: &mut Batch,
    ) -> Result<(HashMap<StateKeyNo, EventNo>, Vec<(StateKeyNo, EventNo)>), StoreError> {
        let unconflicted = Unconflicted::new(self.source.clone(), conflict.clone());
        let (mut resolved, mut new) = (HashMap::new(), Vec::new());
        let mut found: Vec<(Pair, EventNo)> = found.into_iter().collect();
        found.sort_unstable_by_key(|(_, event)| *event);
        for ((kind, state_key), event) in found {
            let key = self.source.store.mint_state_key(&kind, &state_key, batch).await?;
            if conflict.contains(key) {
                resolved.insert(key, event);
            } else if unconflicted.of_key(key).await?.is_none() {
                new.push((key, event));
            }
        }
        Ok((resolved, new))
    }
}

/// Runs what takes long on a thread of its own.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    let ended = |_| StoreError::Engine("state resolution ended early".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(ended)
}
