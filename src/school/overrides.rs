//! What was decided about pairs of people by name, in memory.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use super::policy::PairOverrides;
use crate::{
    rooms::policy::Verb,
    store::{
        Store, StoreError, UserNo,
        schema::school::{OVERRIDES, Override, OverrideEffect},
    },
};

/// Overrides there may be at once.
pub(super) const OVERRIDES_MAX: usize = 20_000;

type Pairs = HashMap<(UserNo, UserNo), Vec<Entry>>;

/// All overrides, by actor and target.
#[derive(Debug, Default)]
pub(super) struct Overrides(ArcSwap<Pairs>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    number: u64,
    verb: Option<Verb>,
    effect: OverrideEffect,
    until_ms: Option<u64>,
}

impl Overrides {
    /// Reads them, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn load_blocking(store: &Store) -> Result<Self, StoreError> {
        let mut pairs = Pairs::new();
        store.walk_blocking(&OVERRIDES, |number, row| {
            add(&mut pairs, number, &row);
            Ok(())
        })?;
        Ok(Self(ArcSwap::from_pointee(pairs)))
    }

    /// What is in force for a pair.
    pub(super) fn of(&self, actor: UserNo, target: UserNo, now_ms: impl FnOnce() -> u64) -> PairOverrides {
        let mut found = PairOverrides::NONE;
        let pairs = self.0.load();
        let Some(entries) = pairs.get(&(actor, target)) else { return found };
        let now_ms = now_ms();
        for entry in entries.iter().filter(|entry| entry.until_ms.is_none_or(|until| now_ms < until)) {
            found.add(entry.verb, entry.effect);
        }
        found
    }

    /// Everybody about whom something was decided for an actor, in force or not.
    pub(super) fn targets_of(&self, actor: UserNo) -> Vec<UserNo> {
        let pairs = self.0.load();
        pairs.keys().filter(|(one, _)| *one == actor).map(|(_, target)| *target).collect()
    }

    /// When the first of a pair's overrides ends.
    pub(super) fn expires(&self, actor: UserNo, target: UserNo, now_ms: u64) -> Option<u64> {
        let pairs = self.0.load();
        let entries = pairs.get(&(actor, target)).into_iter().flatten();
        entries.filter_map(|entry| entry.until_ms).filter(|until| now_ms < *until).min()
    }

    /// Whether any has ended after one time and until another.
    pub(super) fn have_ended(&self, after_ms: u64, until_ms: u64) -> bool {
        let pairs = self.0.load();
        let mut ends = pairs.values().flatten().filter_map(|entry| entry.until_ms);
        ends.any(|end| after_ms < end && end <= until_ms)
    }

    /// Adds one. Writers take turns: the caller holds the lock of the decisions.
    pub(super) fn put(&self, number: u64, row: &Override) {
        let mut pairs = Pairs::clone(&self.0.load());
        add(&mut pairs, number, row);
        self.0.store(Arc::new(pairs));
    }

    /// Removes some, by number. Writers take turns.
    pub(super) fn remove(&self, numbers: &[u64]) {
        let mut pairs = Pairs::clone(&self.0.load());
        pairs.retain(|_, entries| {
            entries.retain(|entry| !numbers.contains(&entry.number));
            !entries.is_empty()
        });
        self.0.store(Arc::new(pairs));
    }
}

fn add(pairs: &mut Pairs, number: u64, row: &Override) {
    let verb = match row.verb.as_deref() {
        None => None,
        Some(name) => match Verb::from_name(name) {
            Some(verb) => Some(verb),
            // Of a newer server. What is not understood opens nothing.
            None => return,
        },
    };
    let entry = Entry { number, verb, effect: row.effect, until_ms: row.until_ms };
    pairs.entry((row.actor, row.target)).or_default().push(entry);
}
