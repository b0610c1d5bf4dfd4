//! The orders in which conflicted events are tried.
//!
//! Source: spec v1.19, Room Version 2, "Reverse topological power ordering" and "Mainline ordering".

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use roaring::RoaringBitmap;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId};

use super::graph::Graph;
use crate::event::power::UserLevel;

/// The power events of a set, and what their auth events lead to without leaving the set.
pub(super) fn power_events(graph: &Graph, set: &RoaringBitmap) -> RoaringBitmap {
    let mut open: Vec<u32> = set.iter().filter(|dense| graph.facts(*dense).is_some_and(|facts| facts.power)).collect();
    let mut found = RoaringBitmap::new();
    while let Some(dense) = open.pop() {
        if found.insert(dense) {
            open.extend(graph.auth(dense).iter().copied().filter(|auth| set.contains(*auth)));
        }
    }
    found
}

/// Sorts by the graph of auth events; among those that could come next, the sender with the greatest power comes first,
/// then the earlier, then the smaller id. The levels are known.
pub(super) fn by_power(graph: &Graph, set: &RoaringBitmap) -> Vec<u32> {
    // Who waits for an event, and for how many each waits.
    let mut waiting: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut open: HashMap<u32, usize> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for dense in set {
        let mut before: Vec<u32> = graph.auth(dense).iter().copied().filter(|auth| set.contains(*auth)).collect();
        before.sort_unstable();
        before.dedup();
        if before.is_empty() {
            ready.extend(rank(graph, dense));
        } else {
            open.insert(dense, before.len());
            for auth in before {
                waiting.entry(auth).or_default().push(dense);
            }
        }
    }
    let mut sorted = Vec::new();
    while let Some(Reverse((.., dense))) = ready.pop() {
        sorted.push(dense);
        for next in waiting.remove(&dense).unwrap_or_default() {
            if let Some(count) = open.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    ready.extend(rank(graph, next));
                }
            }
        }
    }
    sorted
}

type Rank<'a> = Reverse<(Reverse<UserLevel>, MilliSecondsSinceUnixEpoch, &'a OwnedEventId, u32)>;

fn rank(graph: &Graph, dense: u32) -> Option<Rank<'_>> {
    let facts = graph.facts(dense)?;
    let level = facts.level.unwrap_or(UserLevel::Int(0));
    Some(Reverse((Reverse(level), facts.ts, &facts.id, dense)))
}

/// Sorts by where the power levels that an event names meet those in force: older ones first, then the earlier event,
/// then the smaller id. What meets them nowhere comes before all.
pub(super) fn by_mainline(graph: &Graph, set: &RoaringBitmap, levels: Option<u32>) -> Vec<u32> {
    let mainline: Vec<u32> = std::iter::successors(levels, |levels| graph.levels_of(*levels)).collect();
    // Counted from the oldest on, so that greater is later; nothing is less than something.
    let mut places: HashMap<u32, Option<usize>> =
        mainline.iter().rev().enumerate().map(|(place, levels)| (*levels, Some(place))).collect();
    let mut ranked = Vec::new();
    for dense in set {
        let mut walked = Vec::new();
        let mut at = Some(dense);
        let place = loop {
            let Some(here) = at else { break None };
            if let Some(place) = places.get(&here) {
                break *place;
            }
            walked.push(here);
            at = graph.levels_of(here);
        };
        places.extend(walked.into_iter().map(|walked| (walked, place)));
        if let Some(facts) = graph.facts(dense) {
            ranked.push((place, facts.ts, &facts.id, dense));
        }
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., dense)| dense).collect()
}
