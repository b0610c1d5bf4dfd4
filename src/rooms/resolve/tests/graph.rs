//! The graph against plain walks.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::super::{difference::Spread, graph::Graph};
use crate::store::{EventNo, schema::rooms::AuthRecord};

/// Auth events of each event, by places before it.
fn records() -> impl Strategy<Value = Vec<(Vec<usize>, bool)>> {
    proptest::collection::vec((proptest::collection::vec(0..1000_usize, 0..4), any::<bool>()), 1..60).prop_map(
        |mut all| {
            for (place, (auth, _)) in all.iter_mut().enumerate() {
                if place == 0 {
                    auth.clear();
                }
                for auth in auth.iter_mut() {
                    *auth %= place.max(1);
                }
            }
            all
        },
    )
}

fn chain(all: &[(Vec<usize>, bool)], start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open: Vec<usize> = start.into_iter().collect();
    while let Some(place) = open.pop() {
        if found.insert(place) {
            open.extend(&all[place].0);
        }
    }
    found
}

fn number(place: usize) -> EventNo {
    EventNo(place as u64 * 3 + 1)
}

proptest! {
    #[test]
    fn chains_and_subgraphs_are_those_of_a_walk(all in records(), picks in proptest::collection::vec(0..1000_usize, 1..6), cut in 0..60_usize) {
        let record = |(place, (auth, levels)): (usize, &(Vec<usize>, bool))| {
            let auth_events = auth.iter().map(|auth| number(*auth)).collect();
            (number(place), AuthRecord { auth_events, power_levels: *levels })
        };
        let mut graph = Graph::default();
        // In two parts, as when a room goes on.
        let cut = cut.min(all.len());
        graph.add(&all.iter().enumerate().take(cut).map(record).collect::<HashMap<_, _>>());
        graph.add(&all.iter().enumerate().skip(cut).map(record).collect::<HashMap<_, _>>());

        let picks: Vec<usize> = picks.iter().map(|pick| pick % all.len()).collect();
        let places = |set: &roaring::RoaringBitmap, graph: &Graph| -> BTreeSet<usize> {
            set.iter().map(|dense| (usize::try_from(graph.event(dense).unwrap().0).unwrap() - 1) / 3).collect()
        };
        for _ in 0..2 {
            for pick in &picks {
                let dense = graph.dense(number(*pick)).unwrap();
                prop_assert!(graph.auth(dense).iter().all(|auth| *auth < dense), "auth events come first");
                let reached = graph.reach([dense]);
                prop_assert_eq!(places(&reached, &graph), chain(&all, [*pick]));
            }
            let sides: Vec<Vec<EventNo>> = picks.iter().map(|pick| vec![number(*pick)]).collect();
            let spread = Spread::of(&mut graph, &sides);
            prop_assert_eq!(places(&spread.any, &graph), chain(&all, picks.iter().copied()));
            let common = |place: &usize| picks.iter().all(|pick| chain(&all, [*pick]).contains(place));
            prop_assert_eq!(places(&spread.all, &graph), (0..all.len()).filter(common).collect::<BTreeSet<_>>());
            let between = |place: &usize| {
                let below = chain(&all, [*place]);
                picks.iter().any(|pick| below.contains(pick)) && chain(&all, picks.iter().copied()).contains(place)
            };
            prop_assert_eq!(
                places(&spread.subgraph(&graph), &graph),
                (0..all.len()).filter(between).collect::<BTreeSet<_>>()
            );
            graph.trim();
        }
    }
}

#[test]
fn damaged_rows_that_go_round_in_circles_end() {
    let record = |auth: u64| AuthRecord { auth_events: vec![EventNo(auth)], power_levels: false };
    let mut graph = Graph::default();
    graph.add(&HashMap::from([(EventNo(1), record(2)), (EventNo(2), record(3)), (EventNo(3), record(1))]));
    let start = graph.dense(EventNo(1)).unwrap();
    assert!(graph.reach([start]).len() <= 3);
}
