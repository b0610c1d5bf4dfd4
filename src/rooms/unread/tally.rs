//! The counts of one user in one room, and what moves them.

use std::collections::BTreeMap;

use ruma::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};

use super::rules::Outcome;
use crate::rooms::receipts::Marks;

/// Threads counted apart. What happens in further ones counts in the main timeline, where it is seen at least.
const THREADS_MAX: usize = 500;

/// Unread events of the main timeline or of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Events that notify.
    pub(super) notified: u32,
    /// Those of them that highlight.
    pub(super) highlighted: u32,
    /// The order of the first of them.
    first: i64,
    /// The order of the last of them.
    last: i64,
}

/// What is counted of one user in one room, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tallies {
    /// When the user joined: another time means that everything begins anew.
    pub(super) joined: i64,
    /// Events up to this order are counted.
    pub(super) upto: i64,
    /// The main timeline.
    pub(super) main: Tally,
    /// Threads with unread events.
    pub(super) threads: BTreeMap<OwnedEventId, Tally>,
    /// Events counted since this was last stored.
    #[serde(skip)]
    pub(super) unsaved: u32,
}

impl Tally {
    fn add(&mut self, order: i64, outcome: Outcome) {
        if outcome.notify {
            if self.notified == 0 {
                self.first = order;
            }
            self.last = order;
            self.notified = self.notified.saturating_add(1);
            self.highlighted = self.highlighted.saturating_add(u32::from(outcome.highlight));
        }
    }

    /// Takes a receipt into account. `false` when it stands between counted events, so that they must be counted again.
    fn read_upto(&mut self, mark: i64) -> bool {
        if self.notified == 0 || mark < self.first {
            return true;
        }
        if mark < self.last {
            return false;
        }
        *self = Self::default();
        true
    }
}

impl Tallies {
    /// Nothing counted yet of what comes after `upto`.
    pub(super) fn new(joined: i64, upto: i64) -> Self {
        Self { joined, upto, main: Tally::default(), threads: BTreeMap::new(), unsaved: 0 }
    }

    /// Whether these receipts change nothing.
    pub(super) fn settled(&self, marks: &Marks) -> bool {
        let untouched = |tally: &Tally, mark: i64| tally.notified == 0 || mark < tally.first;
        untouched(&self.main, marks.in_thread(None))
            && self.threads.iter().all(|(root, tally)| untouched(tally, marks.in_thread(Some(root))))
    }

    /// Takes receipts into account. Answers the order from which on the `Stale` threads must be counted again.
    pub(super) fn read_upto(&mut self, marks: &Marks) -> Option<Stale> {
        let mut stale = Stale { from: i64::MAX, main: false, threads: Vec::new() };
        if !self.main.read_upto(marks.in_thread(None)) {
            stale.main = true;
            stale.from = marks.in_thread(None);
            self.main = Tally::default();
        }
        self.threads.retain(|root, tally| {
            let mark = marks.in_thread(Some(root));
            if !tally.read_upto(mark) {
                stale.threads.push(root.clone());
                stale.from = stale.from.min(mark);
                *tally = Tally::default();
            }
            tally.notified > 0
        });
        (stale.main || !stale.threads.is_empty()).then_some(stale)
    }

    /// Counts an event.
    pub(super) fn add(&mut self, root: Option<&EventId>, order: i64, outcome: Outcome) {
        let full = self.threads.len() >= THREADS_MAX;
        match root {
            Some(root) if outcome.notify && (!full || self.threads.contains_key(root)) => {
                self.threads.entry(root.to_owned()).or_default().add(order, outcome);
            }
            _ => self.main.add(order, outcome),
        }
    }

    /// The user has sent an event here: everything before it is read.
    pub(super) fn clear(&mut self, root: Option<&EventId>) {
        match root {
            None => self.main = Tally::default(),
            Some(root) => {
                self.threads.remove(root);
            }
        }
    }
}

/// What must be counted again, because a receipt stands in the middle of it.
pub(super) struct Stale {
    /// After this order.
    pub(super) from: i64,
    main: bool,
    threads: Vec<OwnedEventId>,
}

impl Stale {
    /// Whether an event of this thread counts.
    pub(super) fn covers(&self, root: Option<&EventId>) -> bool {
        match root {
            None => self.main,
            Some(root) => self.threads.iter().any(|stale| stale == root),
        }
    }
}
