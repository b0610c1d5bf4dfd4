//! Walking tables that may be damaged, and comparing one with its counterpart.

use std::{collections::HashSet, fmt::Debug, path::Path};

use super::{Report, states::States};
use crate::store::{
    Store, StoreError,
    codec::{Family, Key, Table, Value},
    engine::{Engine, Scan},
};

/// Rows read at once: events are large.
const PAGE: usize = 512;

/// Checks a store whose writers rest. Blocking, and long.
///
/// # Errors
/// The engine refuses to read: its files are damaged.
pub fn check(store: &Store) -> Result<Report, StoreError> {
    check_engine(store.engine())
}

/// Checks the database in `path`, also while a server runs on it. Takes about `memory_bytes`, and some 40 bytes for
/// each node of the state trees. Blocking, and long.
///
/// # Errors
/// There is no database, or the engine refuses to read it.
pub fn check_folder(path: &Path, memory_bytes: usize) -> Result<Report, StoreError> {
    check_engine(&Engine::open_read_only(path, memory_bytes)?)
}

fn check_engine(engine: &Engine) -> Result<Report, StoreError> {
    let mut check = Check { engine, report: Report::default(), walked: HashSet::new() };
    let mut states = States::default();
    check.names()?;
    check.nodes()?;
    check.events(&mut states)?;
    check.relations()?;
    check.rooms()?;
    check.members(&mut states)?;
    check.receipts_and_aliases()?;
    check.federation(&mut states)?;
    check.users()?;
    check.keys()?;
    check.media()?;
    check.school()?;
    Ok(check.report)
}

/// A check under way.
pub(super) struct Check<'e> {
    pub(super) engine: &'e Engine,
    pub(super) report: Report,
    /// Tags of the tables whose rows were counted.
    walked: HashSet<u8>,
}

impl Check<'_> {
    /// Calls `each` for every row of a table; a row that does not decode is a finding.
    pub(super) fn walk<K: Key, V: Value>(
        &mut self,
        table: &Table<K, V>,
        mut each: impl FnMut(&mut Self, K, V) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let first_time = self.walked.insert(table.tag);
        let mut from = vec![table.tag];
        // Tags are below 255, so the next one ends the table.
        let to = vec![table.tag.saturating_add(1)];
        loop {
            let scan =
                Scan { family: table.family, from: from.clone(), to: to.clone(), descending: false, limit: PAGE };
            let page = self.engine.scan_blocking(&scan)?;
            for (key, value) in &page {
                self.report.rows += u64::from(first_time);
                match (table.decode_key(key), V::decode(value)) {
                    (Some(key), Some(value)) => each(self, key, value)?,
                    // Keys can be secrets' hashes: no more than their size is told.
                    _ => self
                        .report
                        .find(table.name, || format!("a row with a key of {} bytes does not decode", key.len())),
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => {
                    from = last.to_vec();
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// One row. One that does not decode counts as missing here; the walk over its table tells more.
    pub(super) fn get<K: Key, V: Value>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, StoreError> {
        Ok(self.engine.get_blocking(table.family, &table.key(key))?.and_then(|bytes| V::decode(&bytes)))
    }

    /// Whether there is a row.
    pub(super) fn has<K: Key, V>(&self, table: &Table<K, V>, key: &K) -> Result<bool, StoreError> {
        Ok(self.engine.get_blocking(table.family, &table.key(key))?.is_some())
    }

    /// The last row whose key begins with `part`.
    pub(super) fn last<K: Key, V: Value, P: Key>(
        &self,
        table: &Table<K, V>,
        part: &P,
    ) -> Result<Option<(K, V)>, StoreError> {
        let from = table.prefix(part);
        let mut to = from.clone();
        // Longer than any rest of a key that consists of integers.
        to.extend_from_slice(&[0xff; 32]);
        let scan = Scan { family: Family::Rows, from, to, descending: true, limit: 1 };
        let rows = self.engine.scan_blocking(&scan)?;
        Ok(rows.first().and_then(|(key, value)| Some((table.decode_key(key)?, V::decode(value)?))))
    }

    /// Every row of `table` has the counterpart that `expected` names; rows without one are for other checks.
    pub(super) fn agree<K, V, K2, V2>(
        &mut self,
        table: &Table<K, V>,
        other: &Table<K2, V2>,
        expected: impl Fn(&K, &V) -> Option<(K2, V2)>,
    ) -> Result<(), StoreError>
    where
        K: Key + Debug,
        V: Value,
        K2: Key,
        V2: Value + PartialEq,
    {
        self.walk(table, |check, key, value| {
            let Some((other_key, other_value)) = expected(&key, &value) else { return Ok(()) };
            match check.get(other, &other_key)? {
                Some(found) if found == other_value => {}
                Some(_) => {
                    check.report.find(table.name, || format!("{key:?} differs from its counterpart in {}", other.name));
                }
                None => check.report.find(table.name, || format!("{key:?} has no counterpart in {}", other.name)),
            }
            Ok(())
        })
    }
}
