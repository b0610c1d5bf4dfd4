//! What one writer changes, all or nothing.

use parking_lot::Mutex;

use super::{
    Position,
    codec::{Family, Key, Table, Value},
};

/// One row to write: `None` as value deletes.
pub(super) type Row = (Family, Vec<u8>, Option<Vec<u8>>);

/// Rows on their way to the engine.
#[derive(Default)]
pub struct Rows(pub(super) Vec<Row>);

impl Rows {
    /// Writes a row.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) {
        self.0.push((table.family, table.key(key), Some(value.encode())));
    }

    /// Writes a row whose value is encoded already.
    pub fn put_encoded<K: Key, V>(&mut self, table: &Table<K, V>, key: &K, value: Vec<u8>) {
        self.0.push((table.family, table.key(key), Some(value)));
    }

    /// Deletes a row, if it is there.
    pub fn delete<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) {
        self.0.push((table.family, table.key(key), None));
    }
}

type Late = Box<dyn FnOnce(&mut Rows) + Send>;
type Make = Box<dyn FnOnce(Position, &mut Rows) + Send>;

/// A row that contains its position, and how many positions stay free before it.
pub(super) struct Stamp {
    pub(super) skip: u64,
    pub(super) make: Make,
}

type Publish = Box<dyn FnOnce(Position) + Send>;
type Visible = Box<dyn FnOnce() + Send>;

/// Rows, rows that contain their own stream position, and what happens once all of them are durable.
///
/// A batch is atomic. Positions are not known before the commit, because another writer may come first: rows that
/// contain one are given as closures and made by the committer.
#[derive(Default)]
pub struct Batch {
    pub(super) rows: Rows,
    // Only ever reached through `&mut`; the locks, never taken, let futures hold a `&Batch` across threads.
    late: Mutex<Vec<Late>>,
    stamps: Mutex<Vec<Stamp>>,
    publish: Mutex<Vec<Publish>>,
    visible: Mutex<Vec<Visible>>,
}

/// A batch taken apart by the committer.
pub(super) struct Parts {
    pub(super) rows: Rows,
    pub(super) late: Vec<Late>,
    pub(super) stamps: Vec<Stamp>,
    pub(super) publish: Vec<Publish>,
    pub(super) visible: Vec<Visible>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row.
    pub fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) {
        self.rows.put(table, key, value);
    }

    /// Writes a row whose value is encoded already.
    pub fn put_encoded<K: Key, V>(&mut self, table: &Table<K, V>, key: &K, value: Vec<u8>) {
        self.rows.put_encoded(table, key, value);
    }

    /// Deletes a row, if it is there.
    pub fn delete<K: Key, V>(&mut self, table: &Table<K, V>, key: &K) {
        self.rows.delete(table, key);
    }

    /// Takes the next stream position and makes rows that contain it. Each call takes one position, in the order of
    /// the calls. `make` runs on the committer's thread: no I/O, no locks that are held elsewhere for long.
    pub fn at_position(&mut self, make: impl FnOnce(Position, &mut Rows) + Send + 'static) {
        self.at_position_after(0, make);
    }

    /// The same, leaving `skip` positions free before it: room for what belongs there and comes later.
    pub fn at_position_after(&mut self, skip: u64, make: impl FnOnce(Position, &mut Rows) + Send + 'static) {
        self.stamps.get_mut().push(Stamp { skip, make: Box::new(make) });
    }

    /// Makes rows when the batch takes its place in the order of commits, for decisions that depend on what other
    /// writers handed over before. Takes no position. As short as `at_position`'s closures.
    pub fn rows_later(&mut self, make: impl FnOnce(&mut Rows) + Send + 'static) {
        self.late.get_mut().push(Box::new(make));
    }

    /// Runs once the batch is durable, before its positions become visible, in commit order; given the batch's last
    /// position. It updates what readers keep in memory. Short: it runs on the committer's thread.
    pub fn on_publish(&mut self, publish: impl FnOnce(Position) + Send + 'static) {
        self.publish.get_mut().push(Box::new(publish));
    }

    /// Nothing to write and nothing to publish.
    pub fn is_empty(&self) -> bool {
        let idle = self.late.lock().is_empty() && self.stamps.lock().is_empty() && self.publish.lock().is_empty();
        idle && self.rows.0.is_empty()
    }

    /// Rows in the batch so far, without those that the committer makes.
    pub fn row_count(&self) -> usize {
        self.rows.0.len()
    }

    /// Runs once the batch's positions are visible: it says whom to wake. Who is woken earlier reads the old position,
    /// finds nothing, and waits again. As short as `on_publish`'s closures.
    pub fn on_visible(&mut self, visible: impl FnOnce() + Send + 'static) {
        self.visible.get_mut().push(Box::new(visible));
    }

    /// Takes in what another batch wants, after what this one wants: both become durable together.
    pub fn append(&mut self, other: Self) {
        let Self { rows, late, stamps, publish, visible } = other;
        self.rows.0.extend(rows.0);
        self.late.get_mut().extend(late.into_inner());
        self.stamps.get_mut().extend(stamps.into_inner());
        self.publish.get_mut().extend(publish.into_inner());
        self.visible.get_mut().extend(visible.into_inner());
    }

    pub(super) fn into_parts(self) -> Parts {
        let (late, stamps, publish) = (self.late.into_inner(), self.stamps.into_inner(), self.publish.into_inner());
        Parts { rows: self.rows, late, stamps, publish, visible: self.visible.into_inner() }
    }
}
